"""Groups in a PostgreSQL database, by psycopg 3, which comes with ``beryl_groups[postgresql]``."""

SCHEMA = "beryl_groups"
"""All that is ours in a database is in it, and nothing else is touched."""
