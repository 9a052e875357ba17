"""Is what the registry says what its log says: each row is compared with the event that made it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from nbkit.registry.events import hash_plain
from nbkit.registry.queries import select_where
from nbkit.registry.replay import Standing
from nbkit.registry.rows import read_digest
from nbkit.registry.tables import ALIASES, EVENTS, FILES, GATES, MODELS, VERSIONS
from nbkit.registry.verdict import GATE_COLUMNS

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
        Versions whose digest, facts and gates are computed again; all by default. States and names are compared for
        all.

    Returns
    -------
    list of str
        A sentence per finding; empty if all is as the log says.
    """
    columns = (VERSIONS.c.number, VERSIONS.c.state, VERSIONS.c.digest)
    rows = connection.execute(sa.select(*columns).where(VERSIONS.c.name == name).order_by(VERSIONS.c.number)).all()
    findings = list(standing.broken)
    known = connection.execute(sa.select(MODELS.c.name).where(MODELS.c.name == name)).first()
    if (known is None) == bool(standing.states):
        findings.append(f"the table of models and the log do not both know {name}")
    findings += _compare_versions(name, rows, standing)
    pairs = sa.select(ALIASES.c.alias, ALIASES.c.number).where(ALIASES.c.name == name)
    found = {row.alias: row.number for row in connection.execute(pairs)}
    for alias in sorted(found.keys() | standing.aliases.keys()):
        here, logged = found.get(alias), standing.aliases.get(alias)
        if here != logged:
            findings.append(f"{name}@{alias} points to {_say(here)}, its log says {_say(logged)}")
    for number in standing.states if numbers is None else numbers:
        findings += _compare_version(connection, name, number, standing)
    return findings


def _say(number: int | None) -> str:
    return "no version" if number is None else f"version {number}"


def _compare_versions(name: str, rows: Sequence[Any], standing: Standing) -> list[str]:
    findings = []
    for row in rows:
        logged = standing.states.get(row.number)
        if logged is None:
            findings.append(f"{name}@{row.number} was never registered: the log knows no such version")
        elif row.state != logged:
            findings.append(f"{name}@{row.number} has the state {row.state}, its log says {logged}")
        if logged is not None and row.digest != standing.registered[row.number].get("digest"):
            findings.append(f"{name}@{row.number} has another digest than its registration in the log")
    there = {row.number for row in rows}
    gone = [number for number in standing.states if number not in there]
    return findings + [f"{name}@{number} was registered, but its row is gone" for number in gone]


def _compare_version(connection: sa.Connection, name: str, number: int, standing: Standing) -> list[str]:
    """Compare what one version is made of and its evidence with the log."""
    here, reference = {"name": name, "number": number}, f"{name}@{number}"
    logged = standing.registered.get(number)
    row = connection.execute(select_where(VERSIONS, here)).mappings().first()
    if row is None or logged is None:
        return []  # said already
    findings = []
    if read_digest(connection, name, number) != logged.get("digest"):
        findings.append(f"the files of {reference} are not those that were registered: their digest is another one")
    if hash_facts(dict(row)) != logged.get("facts"):
        findings.append(f"the scores, parameters, lineage or tags of {reference} were changed after it was registered")
    query = select_where(GATES, here).order_by(GATES.c.id)
    gates = [{key: line[key] for key in GATE_COLUMNS} for line in connection.execute(query).mappings()]
    if gates != standing.gates.get(number, []):
        findings.append(f"the gate results of {reference} are not those that were recorded in the log")
    return findings


def list_names(connection: sa.Connection) -> list[str]:
    """Return every name of a model that stands in any table."""
    names = sa.union(*(sa.select(table.c.name) for table in (MODELS, VERSIONS, ALIASES, FILES, GATES, EVENTS)))
    return sorted(connection.execute(names).scalars())
