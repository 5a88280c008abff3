"""The revisions of the schema, the newest last; the scripts are in ``migrations/versions``."""

REVISIONS = ("0001",)
HEAD = REVISIONS[-1]
