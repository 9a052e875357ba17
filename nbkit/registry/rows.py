"""What the registry reads from its database: the number behind a reference, a version, its manifest."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import sqlalchemy as sa

from nbkit.errors import UnknownVersion
from nbkit.registry.bundle import COLUMNS, digest_rows
from nbkit.registry.replay import Standing
from nbkit.registry.tables import FILES, MODELS, VERSIONS
from nbkit.registry.verdict import GATE_COLUMNS
from nbkit.registry.versions import NUMBER, Version, unknown, unpack_table
from nbkit.values import decode
from nbkit.wording import suggest

SHOWN = 20  # numbers in a message, the newest


def fetch_one(connection: sa.Connection, column: Any, *where: Any) -> Any:
    """Return one value or None."""
    return connection.execute(sa.select(column).where(*where)).scalar()


def select_where(table: sa.Table, where: Mapping[str, Any]) -> sa.Select[Any]:
    """Select the rows of a table whose columns equal the given values."""
    return sa.select(table).where(*(table.c[key] == value for key, value in where.items()))


def find_number(connection: sa.Connection, name: str, rest: str, standing: Standing) -> int:
    """Return the number that a number, an alias or nothing (the newest) stands for.

    Raises
    ------
    UnknownVersion
        No such model, number or alias; the message lists those that are there.
    """
    need_model(connection, name)
    if not rest:
        found = fetch_one(connection, sa.func.max(VERSIONS.c.number), VERSIONS.c.name == name)
    elif NUMBER.fullmatch(rest):
        found = fetch_one(connection, VERSIONS.c.number, VERSIONS.c.name == name, VERSIONS.c.number == int(rest))
    else:
        found = standing.aliases.get(rest)
    if found is None:
        numbers = connection.execute(sa.select(VERSIONS.c.number).where(VERSIONS.c.name == name)).scalars().all()
        raise UnknownVersion(_explain_missing(name, rest, sorted(numbers), sorted(standing.aliases)))
    return int(found)


def need_model(connection: sa.Connection, name: str) -> None:
    """Raise `UnknownVersion` if there is no model of a name; the message lists those that are there."""
    if fetch_one(connection, MODELS.c.name, MODELS.c.name == name) is None:
        raise unknown("model", name, connection.execute(sa.select(MODELS.c.name).order_by(MODELS.c.name)).scalars())


def _explain_missing(name: str, rest: str, numbers: Sequence[int], aliases: Sequence[str]) -> str:
    """State that a model has no such version or alias, and which there are.

    Examples
    --------
    >>> _explain_missing("churn", "9", [1, 2], ["candidate", "staging"])
    'churn has no version 9; there are 1, 2 and the aliases candidate, staging'
    >>> _explain_missing("churn", "stagin", [1], ["staging"])
    "churn has no alias stagin; did you mean 'staging'? There are 1 and the aliases staging"
    """
    is_number = bool(NUMBER.fullmatch(rest))
    near = "" if is_number else suggest(rest, aliases, most=0)
    more = f" and the aliases {', '.join(aliases)}" if aliases else ""
    earlier = "…, " if len(numbers) > SHOWN else ""
    there = f"here are {earlier}{', '.join(map(str, numbers[-SHOWN:]))}{more}"
    return f"{name} has no {'version' if is_number else 'alias'} {rest}{near}{' T' if near else '; t'}{there}"


def score_values(packed: Mapping[str, Any]) -> dict[str, Any]:
    """Return metric to value from a packed score table; empty where it has no such columns."""
    table = unpack_table(packed)
    if "value" not in table.columns or not table.index.name:
        return {}
    return {str(metric): value for metric, value in table["value"].items()}


def build_version(connection: sa.Connection, name: str, number: int, standing: Standing) -> Version:
    """Make a version of its rows and of what the log says of it."""
    row = connection.execute(select_where(VERSIONS, {"name": name, "number": number})).mappings().one()
    return Version(
        name=name,
        number=number,
        digest=row["digest"],
        state=standing.states[number],
        created=row["created"],
        by=row["by"],
        scores=unpack_table(row["scores"]),
        lineage=decode(row["lineage"]),
        params=decode(row["params"]),
        gates=pd.DataFrame(standing.newest_gates(number), columns=GATE_COLUMNS),
        files=read_files(connection, name, number),
        aliases=standing.list_aliases(number),
    )


def read_files(connection: sa.Connection, name: str, number: int) -> pd.DataFrame:
    """Return the manifest of a version."""
    return pd.DataFrame(_list_files(connection, name, number), columns=list(COLUMNS))


def read_digest(connection: sa.Connection, name: str, number: int) -> str:
    """Return the digest of a version, computed from the rows of its files."""
    return digest_rows(_list_files(connection, name, number))


def _list_files(connection: sa.Connection, name: str, number: int) -> list[dict[str, Any]]:
    query = select_where(FILES, {"name": name, "number": number}).order_by(FILES.c.path)
    return [{key: row[key] for key in COLUMNS} for row in connection.execute(query).mappings()]
