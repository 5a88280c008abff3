"""A database file made by each released revision, and the script that makes the next one."""
