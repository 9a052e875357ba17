"""A model version: its identity, state and evidence, and how one is asked for by name."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from nbkit.errors import UnknownVersion
from nbkit.values import decode, encode
from nbkit.wording import suggest

NUMBER = re.compile("[0-9]{1,9}")
LONGEST = 200  # characters in the name of a model or an alias


@dataclass(frozen=True, eq=False)
class Version:
    """One immutable version of a model as the registry knows it.

    Attributes
    ----------
    name, number
        What people call it: ``flights@3``.
    digest
        sha256 of the manifest of its bundle: what it *is*.
    state
        One of draft, candidate, staging, production, retired, rejected.
    created, by
        When (UTC, ISO 8601) and by whom it was registered.
    scores
        Scores with intervals, as `nbkit.model.score` gives them.
    lineage, params
        Where it came from, and with what parameters.
    gates
        The newest result of each gate: gate, passed, blocking, detail.
    files
        The manifest: path, kind, sha256, bytes, key.
    aliases
        Names that point to it now.
    note
        What there is to say about the last call, for instance that the bundle was already registered.
    """

    name: str
    number: int
    digest: str
    state: str
    created: str
    by: str
    scores: pd.DataFrame
    lineage: dict[str, Any]
    params: dict[str, Any]
    gates: pd.DataFrame
    files: pd.DataFrame
    aliases: tuple[str, ...] = field(default=())
    note: str = ""

    @property
    def reference(self) -> str:
        """Name and number, as in ``flights@3``."""
        return f"{self.name}@{self.number}"

    def __repr__(self) -> str:
        aliases = f", aliases {' '.join(self.aliases)}" if self.aliases else ""
        return f"Version({self.reference}, {self.state}{aliases}, digest {self.digest[:12]})"


def split_reference(reference: str) -> tuple[str, str]:
    """Split ``name@number``, ``name@alias`` or ``name`` into its name and the rest.

    Examples
    --------
    >>> split_reference("flights@candidate"), split_reference("flights")
    (('flights', 'candidate'), ('flights', ''))
    """
    name, _, rest = reference.strip().partition("@")
    if not name or not reference.strip().isprintable():
        raise UnknownVersion(f"{reference!r} names no model; write NAME, NAME@NUMBER or NAME@ALIAS")
    return name, rest.strip()


def is_name(name: str) -> bool:
    """Return whether a text can be the name of a model or an alias: printable, without @, slash or blank, not too long.

    Examples
    --------
    >>> is_name("flights"), is_name("a b"), is_name("a@1"), is_name("")
    (True, False, False, False)
    """
    plain = name.isprintable() and not any(sign in "@/\\" or sign.isspace() for sign in name)
    return bool(name) and plain and len(name) <= LONGEST


def unknown(what: str, wanted: str, known: Iterable[str]) -> UnknownVersion:
    """Make the error for a name that is not there: it lists the known ones and the nearest first."""
    return UnknownVersion(f"no {what} {wanted!r}{suggest(wanted, known) or '; there are none yet'}")


def pack_table(table: pd.DataFrame | None) -> dict[str, Any]:
    """Turn a small table into JSON data; a named index is kept."""
    if table is None:
        return {"index": None, "columns": [], "rows": []}
    flat = table.reset_index() if table.index.name else table
    rows = [encode(list(row)) for row in flat.itertuples(index=False, name=None)]
    return {"index": table.index.name, "columns": [str(column) for column in flat.columns], "rows": rows}


def unpack_table(packed: Mapping[str, Any]) -> pd.DataFrame:
    """Turn the JSON data of `pack_table` back into a table.

    Examples
    --------
    >>> table = pd.DataFrame({"value": [0.5, float("nan")]}, index=pd.Index(["a", "b"], name="metric"))
    >>> unpack_table(pack_table(table)).equals(table)
    True
    """
    table = pd.DataFrame(decode(packed["rows"]), columns=packed["columns"])
    return table.set_index(packed["index"]) if packed["index"] else table
