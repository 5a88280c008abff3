"""SIGKILL at random moments into processes that open, write, migrate and copy one file.

Each thread of each process goes through calls that can be told from their number alone, and tells
through a pipe when it begins one and when it ends it. When all are killed, what they had ended has
to be in the file, what they had begun may be there whole or not at all, and nothing else may.

A kill takes nothing that SQLite has handed to the system: a library that never syncs goes unnoticed
here, and needs a power cut.
"""
