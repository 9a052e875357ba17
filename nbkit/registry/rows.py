"""A version and its manifest, read from the rows of the database."""

from typing import Any

import pandas as pd
import sqlalchemy as sa

from nbkit.registry.bundle import COLUMNS, digest_rows
from nbkit.registry.events import read_events
from nbkit.registry.queries import select_where
from nbkit.registry.replay import Standing, replay
from nbkit.registry.tables import ALIASES, FILES, VERSIONS
from nbkit.registry.verdict import GATE_COLUMNS
from nbkit.registry.versions import Version, unpack_table
from nbkit.values import decode


def build_version(connection: sa.Connection, name: str, number: int, standing: Standing | None = None) -> Version:
    """Read a version from the rows of the database, its gates from the log."""
    here: dict[str, Any] = {"name": name, "number": number}
    row = connection.execute(select_where(VERSIONS, here)).mappings().one()
    aliases = connection.execute(select_where(ALIASES, here).order_by(ALIASES.c.alias)).mappings().all()
    standing = standing or replay(read_events(connection, name))
    return Version(
        name=name,
        number=number,
        digest=row["digest"],
        state=row["state"],
        created=row["created"],
        by=row["by"],
        scores=unpack_table(row["scores"]),
        lineage=decode(row["lineage"]),
        params=decode(row["params"]),
        gates=pd.DataFrame(standing.newest_gates(number), columns=GATE_COLUMNS),
        tags=decode(row["tags"]),
        files=read_files(connection, name, number),
        aliases=tuple(alias["alias"] for alias in aliases),
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
