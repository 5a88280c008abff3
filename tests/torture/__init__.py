"""Runs that try to break the library, each a module with a command of its own.

``python -m tests.torture.NAME`` is the short form, a few seconds that the tests run as well;
``--long`` is the one whose figures the README shows. Each prints its seed first and takes it with
``--seed``, ends by itself, and prints its figure last. ``--broken NAME`` breaks the library on
purpose, which the run has to notice: it then exits with 1, as it does for a fault that is real.
The runs that record or fail operations of the file system need Linux and a C compiler, and full
disks need root.
"""
