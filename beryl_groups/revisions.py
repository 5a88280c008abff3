"""The revisions of the schema, the newest last; the scripts are in ``migrations/versions``."""

REVISIONS = ("0001", "0002")
HEAD = REVISIONS[-1]

VERSION_TABLE = "beryl_groups_version"
"""Alembic's own name for it is left to the host program, which may use Alembic as well."""
