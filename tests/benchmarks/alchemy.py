"""Plain SQLAlchemy, as its tutorial has it: Core, and the ORM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, bindparam, create_engine, event, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from beryl_groups.sqlite import driver
from tests.benchmarks import raw
from tests.benchmarks.contender import Base

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_THREADS = 64

_TABLES_TO_READ = f"""
import sys, {driver.__name__} as driver
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, Text, create_engine, select
metadata = MetaData()
groups = Table(
    "groups", metadata,
    Column("id", Integer, primary_key=True), Column("name", Text, unique=True))
group_topics = Table(
    "group_topics", metadata,
    Column("group_id", ForeignKey(groups.c.id), primary_key=True),
    Column("topic", Text, primary_key=True))
engine = create_engine("sqlite:///" + sys.argv[1], module=driver)
statement = select(group_topics.c.topic).select_from(
    groups.outerjoin(group_topics)).where(groups.c.name == sys.argv[2])
with engine.connect() as connection:
    rows = connection.execute(statement).scalars().all()
frozenset([topic for topic in rows if topic is not None])
engine.dispose()
"""

_CLASSES_TO_READ = f"""
import sys, {driver.__name__} as driver
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
class Model(DeclarativeBase):
    pass
class Group(Model):
    __tablename__ = "groups"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    members: Mapped[list["Membership"]] = relationship()
class Membership(Model):
    __tablename__ = "group_topics"
    group_id: Mapped[int] = mapped_column(ForeignKey("groups.id"), primary_key=True)
    topic: Mapped[str] = mapped_column(primary_key=True)
engine = create_engine("sqlite:///" + sys.argv[1], module=driver)
with Session(engine) as session:
    group = session.scalars(select(Group).where(Group.name == sys.argv[2])).one()
    frozenset(member.topic for member in group.members)
engine.dispose()
"""


class Model(DeclarativeBase):
    pass


class Membership(Model):
    __tablename__ = "group_topics"
    group_id: Mapped[int] = mapped_column(ForeignKey("groups.id"), primary_key=True)
    topic: Mapped[str] = mapped_column(primary_key=True)


class Group(Model):
    __tablename__ = "groups"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    members: Mapped[list[Membership]] = relationship()


groups = Model.metadata.tables["groups"]
group_topics = Model.metadata.tables["group_topics"]

_ID = select(groups.c.id).where(groups.c.name == bindparam("name"))
_TOPICS = (
    select(group_topics.c.topic)
    .select_from(groups.outerjoin(group_topics))
    .where(groups.c.name == bindparam("name"))
)
_ADD = (
    insert(group_topics)
    .values(group_id=_ID.scalar_subquery(), topic=bindparam("topic"))
    .on_conflict_do_nothing()
)
_ADD_TO_ID = insert(group_topics).on_conflict_do_nothing()


class _Alchemy(Base):
    promises = "the same as ours, as far as its user sets the pragmas and writes it"

    def __init__(self, address: str) -> None:
        raw.connect(address).close()  # the same tables as everyone's
        self._engine = create_engine(
            f"sqlite:///{address}",
            module=driver,
            pool_size=MOST_THREADS,
            connect_args={"timeout": 60},
        )
        event.listen(self._engine, "connect", _set_up)

    def fill(self, content: Iterable[tuple[str, list[str]]]) -> None:
        with self._engine.begin() as connection:
            for name, topics in content:
                connection.execute(insert(groups), {"name": name})
                group_id = connection.execute(_ID, {"name": name}).scalar_one()
                if rows := [{"group_id": group_id, "topic": topic} for topic in topics]:
                    connection.execute(_ADD_TO_ID, rows)

    def close(self) -> None:
        self._engine.dispose()


def _set_up(connection: Any, record: object) -> None:
    connection.executescript(raw.PRAGMAS)


class Core(_Alchemy):
    name = "SQLAlchemy Core"
    first_read = _TABLES_TO_READ

    def add(self, name: str, topic: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(_ADD, {"name": name, "topic": topic})

    def add_many(self, name: str, topics: Sequence[str]) -> None:
        with self._engine.begin() as connection:
            group_id = connection.execute(_ID, {"name": name}).scalar_one()
            rows = [{"group_id": group_id, "topic": topic} for topic in topics]
            connection.execute(_ADD_TO_ID, rows)

    def topics(self, name: str) -> frozenset[str]:
        with self._engine.connect() as connection:
            found = connection.execute(_TOPICS, {"name": name}).scalars().all()
        if not found:
            raise KeyError(name)
        return frozenset([topic for topic in found if topic is not None])


class Orm(_Alchemy):
    name = "SQLAlchemy ORM"
    first_read = _CLASSES_TO_READ

    def add(self, name: str, topic: str) -> None:
        with Session(self._engine) as session, session.begin():
            group = session.scalars(select(Group).where(Group.name == name)).one()
            session.merge(Membership(group_id=group.id, topic=topic))

    def add_many(self, name: str, topics: Sequence[str]) -> None:
        with Session(self._engine) as session, session.begin():
            group = session.scalars(select(Group).where(Group.name == name)).one()
            rows = [{"group_id": group.id, "topic": topic} for topic in topics]
            session.execute(insert(Membership).on_conflict_do_nothing(), rows)

    def topics(self, name: str) -> frozenset[str]:
        with Session(self._engine) as session:
            group = session.scalars(select(Group).where(Group.name == name)).one()
            return frozenset(member.topic for member in group.members)
