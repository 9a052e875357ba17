"""Is what the registry says what its log says: each row is compared with the event that made it."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from nbkit.registry.events import hash_plain
from nbkit.registry.replay import Standing
from nbkit.registry.rows import read_digest, select_where
from nbkit.registry.tables import EVENTS, FILES, MODELS, VERSIONS

FACTS = ("created", "by", "scores", "lineage", "params", "tags")


def hash_facts(row: Mapping[str, Any]) -> str:
    """Return the sha256 of what is kept with a version beside its files."""
    return hash_plain({key: row[key] for key in FACTS})


def compare_model(
    connection: sa.Connection, name: str, standing: Standing, numbers: Collection[int] | None = None
) -> list[str]:
    """Compare a model's rows with its replayed log.

    Parameters
    ----------
    connection
        Of the registry's database.
    name
        The model.
    standing
        What the log says, from `nbkit.registry.replay.replay`.
    numbers
        Versions whose digest and facts are computed again; all by default. Which versions there are is compared for
        all.

    Returns
    -------
    list of str
        A sentence per finding; empty if all is as the log says.
    """
    rows = connection.execute(select_where(VERSIONS, {"name": name}).order_by(VERSIONS.c.number)).mappings().all()
    findings = list(standing.broken)
    known = connection.execute(sa.select(MODELS.c.name).where(MODELS.c.name == name)).first()
    if (known is None) == bool(standing.states):
        findings.append(f"the table of models and the log do not both know {name}")
    for row in map(dict, rows):
        findings += _compare_version(connection, row, standing, deep=numbers is None or row["number"] in numbers)
    gone = standing.states.keys() - {row["number"] for row in rows}
    return findings + [f"{name}@{number} was registered, but its row is gone" for number in sorted(gone)]


def _compare_version(
    connection: sa.Connection, row: Mapping[str, Any], standing: Standing, *, deep: bool
) -> Iterator[str]:
    """Yield in what a version, and if `deep` all that it is made of, differs from its registration."""
    reference, logged = f"{row['name']}@{row['number']}", standing.registered.get(row["number"])
    if logged is None:
        yield f"{reference} was never registered: the log knows no such version"
        return
    if row["digest"] != logged.get("digest"):
        yield f"{reference} has another digest than its registration in the log"
    if deep and read_digest(connection, row["name"], row["number"]) != logged.get("digest"):
        yield f"the files of {reference} are not those that were registered: their digest is another one"
    if deep and hash_facts(row) != logged.get("facts"):
        yield f"the scores, parameters or lineage of {reference} were changed after it was registered"


def list_names(connection: sa.Connection) -> list[str]:
    """Return every name of a model that stands in any table."""
    names = sa.union(*(sa.select(table.c.name) for table in (MODELS, VERSIONS, FILES, EVENTS)))
    return sorted(connection.execute(names).scalars())
