"""The Alembic environment; installed as ``beryl_groups.migrations``."""
