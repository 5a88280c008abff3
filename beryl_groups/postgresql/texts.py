"""The text of each statement, in the dialect of PostgreSQL and with the schema in every name.

So what is found does not depend on ``search_path``. Values stand as ``$1``, ``$2``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect

from beryl_groups.postgresql import SCHEMA

if TYPE_CHECKING:
    from sqlalchemy.sql.expression import Executable


class _Compiler(PGCompiler):
    def visit_on_conflict_do_nothing(self, on_conflict: Any, **_: Any) -> str:  # noqa: ARG002
        return "ON CONFLICT DO NOTHING"  # that of our statements names no index, on any dialect


class _Dialect(PGDialect):
    statement_compiler = _Compiler
    supports_statement_cache = True
    _sa_propagate_class_events = False


_DIALECT = _Dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


class _Texts(dict["Executable | str", bytes]):
    def __missing__(self, statement: Executable | str) -> bytes:
        if isinstance(statement, str):
            written = statement
        else:
            written = str(
                statement.compile(  # type: ignore[attr-defined]
                    dialect=_DIALECT,
                    schema_translate_map={None: SCHEMA},
                    render_schema_translate=True,
                )
            )
        text = self[statement] = written.encode()
        return text


SQL = _Texts()
"""The text of each statement, of Core or as a constant."""


def parameter(value: object) -> bytes | None:
    """Return a value as the server reads it."""
    if isinstance(value, str):
        return bound(value).encode()
    if isinstance(value, (list, tuple)):
        return array(value)
    return None if value is None else str(value).encode()


def bound(text: str) -> str:
    """Return a text that is below the same names, for one that the server cannot take.

    Only the bound of a page or a range holds a NUL. No name does, so what comes after one comes
    after this, and what comes before before.
    """
    return text.partition("\0")[0] + "\1" if "\0" in text else text


def array(texts: list[str] | tuple[str, ...]) -> bytes:
    """Return names as one value of the type text[]."""
    if not texts:
        return b"{}"
    # No name holds a NUL, so it can stand between them while the others are escaped.
    escaped = "\0".join(texts).replace("\\", "\\\\").replace('"', '\\"').replace("\0", '","')
    return f'{{"{escaped}"}}'.encode()
