"""Benchmarks: the library beside what a user would write or pick instead.

``python -m tests.benchmarks`` prints the table, ``python -m tests.benchmarks.growth`` measures
how the library holds up as a file grows.
"""
