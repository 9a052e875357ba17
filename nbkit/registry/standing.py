"""Where a run's version stands in the registry now, told in milliseconds: what a stage did there may hold no more."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

QUERY = (
    "SELECT versions.number, versions.digest FROM aliases JOIN versions "
    "ON versions.name = aliases.name AND versions.number = aliases.number "
    "WHERE aliases.name = :name AND aliases.alias = :alias"
)


def describe_candidate(parameters: dict[str, Any], scraps: dict[str, Any], root: Path) -> str:
    """Say which version is the candidate of the model that a stage registered."""
    return _describe("candidate", parameters["registry"], scraps["version"], root)


def describe_staging(parameters: dict[str, Any], scraps: dict[str, Any], root: Path) -> str:
    """Say which version is in staging of the model that a stage tried out."""
    return _describe("staging", parameters["registry"], scraps["version"], root)


def _describe(alias: str, registry: str, reference: str, root: Path) -> str:
    name = reference.partition("@")[0]
    row = _ask(registry, {"name": name, "alias": alias}, root)
    return f"{name}@{row[0]} ({row[1][:8]}) as {alias}" if row else f"no {alias} of {name}"


def _ask(registry: str, given: dict[str, str], root: Path) -> tuple[int, str] | None:
    if "://" in registry:
        import sqlalchemy

        from nbkit.registry.tables import explain, split_place

        url, _ = split_place(registry)
        with explain(url), sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool).connect() as connection:
            row = connection.execute(sqlalchemy.text(QUERY), given).first()
            return (row.number, row.digest) if row else None
    path = root / registry / "registry.db"
    if not path.is_file():
        return None
    with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        found: tuple[int, str] | None = database.execute(QUERY, given).fetchone()
    return found
