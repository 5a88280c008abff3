"""The coherence checker: every read is held against what others had committed around it.

Processes with several handles and threads write and read one file at random, beside the
``sqlite3`` shell. Each call is timed at both ends, on a clock that all processes share. Writes
of one group follow one another, so its history is a line; afterwards each read has to be
explained by a moment between its begin and its end at which what it saw was current.
"""
