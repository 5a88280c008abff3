"""Processes of several threads call everything at random, and their history has to be a line.

Each call is timed at both ends, on a clock that all processes share. There has to be an order of
all calls, in which none comes before one that had ended when it began, and in which each gives,
done alone, what it gave: an answer, a refusal, or nothing (Herlihy and Wing, "Linearizability",
1990, https://doi.org/10.1145/78969.78972). The coherence checker holds reads against writes; here
writes and refusals are judged as well, and transactions as one call with all that they saw.
"""
