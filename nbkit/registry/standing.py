"""Where a run's version stands in the registry now, told in milliseconds: what a stage did there may hold no more."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nbkit.registry.replay import replay

Ask = Callable[[str, dict[str, Any]], list[dict[str, Any]]]

EVENTS = "SELECT id, event, name, number, alias, by, time, why FROM events WHERE name = :name ORDER BY id"
DIGEST = "SELECT digest FROM versions WHERE name = :name AND number = :number"


def describe_candidate(parameters: dict[str, Any], scraps: dict[str, Any], root: Path) -> str:
    """Describe which version is the candidate of the model that a stage registered."""
    return _describe("candidate", parameters["registry"], scraps["version"], root)


def describe_staging(parameters: dict[str, Any], scraps: dict[str, Any], root: Path) -> str:
    """Describe which version is in staging of the model that a stage tried out."""
    return _describe("staging", parameters["registry"], scraps["version"], root)


def describe_production(parameters: dict[str, Any], scraps: dict[str, Any], root: Path) -> str:
    """Describe which version is in production of the model that a stage compares with."""
    return _describe("production", parameters["registry"], scraps["name"], root)


def _describe(alias: str, registry: str, reference: str, root: Path) -> str:
    name = reference.partition("@")[0]
    with _connect(registry, root) as ask:
        number = replay({**event, "detail": {}} for event in ask(EVENTS, {"name": name})).aliases.get(alias)
        if number is None:
            return f"no {alias} of {name}"
        digest = next(row["digest"] for row in ask(DIGEST, {"name": name, "number": number}))
    return f"{name}@{number} ({digest[:8]}) as {alias}"


@contextlib.contextmanager
def _connect(registry: str, root: Path) -> Iterator[Ask]:
    """Yield what asks the database: by way of SQLAlchemy, which takes a while to import, only where it must be."""
    if "://" in registry:
        import sqlalchemy

        from nbkit.registry.tables import explain, split_place

        url, _ = split_place(registry)
        with explain(url), sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool).connect() as connection:
            yield lambda query, given: list(map(dict, connection.execute(sqlalchemy.text(query), given).mappings()))
        return
    path = root / registry / "registry.db"
    if not path.is_file():
        yield lambda query, given: []
        return
    with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        yield lambda query, given: [dict(row) for row in database.execute(query, given)]
