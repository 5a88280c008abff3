"""A long life: several processes at work on one file, one of which holds on to what it reads.

``workers`` is what each process does until it is over, with its memory and descriptors told now
and then; ``watch`` keeps count of that and of the WAL, and says what has grown.
"""
