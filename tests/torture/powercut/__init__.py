"""The power goes, and whatever the storage is left with opens, with all that was acknowledged.

``workloads`` makes calls in a process whose storage is recorded, with their begins and ends in
the same stream; ``disk`` is what of it a power cut may leave; ``states`` builds such folders, and
``judge`` opens them and says what is wrong.
"""
