"""How the rows of the registry follow its log, and what a move needs."""

import getpass
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from nbkit.errors import BadParameter
from nbkit.registry.events import read_events
from nbkit.registry.replay import replay
from nbkit.registry.tables import ALIASES, GATES, VERSIONS
from nbkit.registry.verdict import GATE_COLUMNS


def follow_log(connection: sa.Connection, name: str) -> None:
    """Set the states and aliases of a model to what its log says."""
    standing = replay(read_events(connection, name))
    states = sa.select(VERSIONS.c.number, VERSIONS.c.state).where(VERSIONS.c.name == name)
    for number, state in connection.execute(states).all():
        if state != standing.states[number]:
            mine = (VERSIONS.c.name == name) & (VERSIONS.c.number == number)
            connection.execute(VERSIONS.update().where(mine).values(state=standing.states[number]))
    connection.execute(ALIASES.delete().where(ALIASES.c.name == name))
    rows = [{"name": name, "alias": alias, "number": number} for alias, number in standing.aliases.items()]
    if rows:
        connection.execute(ALIASES.insert(), rows)


def read_gates(gates: pd.DataFrame) -> list[dict[str, Any]]:
    """Read a gate table as rows; what is not True has not passed.

    Raises
    ------
    BadParameter
        A column is missing.
    """
    missing = [column for column in GATE_COLUMNS if column not in gates.columns]
    if missing:
        raise BadParameter(f"a gate table has the columns {', '.join(GATE_COLUMNS)}; {', '.join(missing)} is missing")
    rows = gates[GATE_COLUMNS].itertuples(index=False, name=None)
    return [
        {"gate": clean(gate), "passed": is_true(passed), "blocking": bool(blocking), "detail": clean(detail)}
        for gate, passed, blocking, detail in rows
    ]


def is_true(passed: Any) -> bool:
    """Tell whether a gate's result is True, and not only something that counts as true."""
    return isinstance(passed, bool | np.bool_) and bool(passed)


def insert_gates(connection: sa.Connection, name: str, number: int, rows: list[dict[str, Any]], time: str) -> None:
    """Keep gate results as evidence."""
    connection.execute(GATES.insert(), [{"name": name, "number": number, "time": time, **row} for row in rows])


def user_name() -> str:
    """Return the name of the user who runs this."""
    try:
        return getpass.getuser()
    except OSError:  # a container without a user database
        return "unknown"


def need(text: str, what: str) -> str:
    """Return a text that must not be empty, and that any database can keep."""
    if not text.strip():
        raise BadParameter(f"{what}= is empty; the log needs to know who did it and why")
    if what == "by" and len(text) > 200:
        raise BadParameter("by= has more than 200 signs; a name is enough, the reason belongs into why=")
    return clean(text)


def clean(text: Any) -> str:
    """Return a text without what a database refuses: half characters and NUL.

    Examples
    --------
    >>> clean("a" + chr(0) + chr(0xdcff))
    'a??'
    """
    return str(text).replace("\0", "?").encode("utf-8", "replace").decode()
