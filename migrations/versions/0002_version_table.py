"""A name of its own for the table that holds the revision: ``beryl_groups_version``.

It had Alembic's own, ``alembic_version``, under which a program that keeps tables of its own in the
same database would look for its revision. What is to be done has been done before this runs, since
Alembic has to know the table to know the revision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.operations import Operations

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade(op: Operations) -> None:
    pass


def downgrade(op: Operations) -> None:
    pass
