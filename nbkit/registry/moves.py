"""How versions move: which alias changes which state, what evidence a promotion needs, what a rollback leads to."""

import getpass

import numpy as np
import pandas as pd
import sqlalchemy as sa

from nbkit.errors import BadParameter
from nbkit.registry.events import append_event, utc_now
from nbkit.registry.queries import read_state, select_where, set_state
from nbkit.registry.tables import ALIASES, GATES
from nbkit.registry.versions import STAGES

GATE_COLUMNS = ["gate", "passed", "blocking", "detail"]


def production_stack(events: list[tuple[str, int]]) -> list[int]:
    """Replay a model's log and return the versions in production, now first, then what a rollback leads to.

    Examples
    --------
    >>> production_stack([("promote", 1), ("promote", 2), ("promote", 3), ("rollback", 2)])
    [2, 1]
    """
    stack: list[int] = []
    for event, number in events:
        if event == "promote":
            stack.append(number)
        elif event == "rollback":
            while stack and stack[-1] != number:
                stack.pop()
    return stack[::-1]


def point_alias(connection: sa.Connection, name: str, number: int, alias: str) -> int | None:
    """Move an alias and the states with it; return the number it pointed to before."""
    mine = (ALIASES.c.name == name) & (ALIASES.c.alias == alias)
    before: int | None = connection.execute(sa.select(ALIASES.c.number).where(mine)).scalar()
    connection.execute(ALIASES.delete().where(mine))
    connection.execute(ALIASES.insert().values(name=name, alias=alias, number=number))
    if alias not in STAGES:
        return before
    if before not in (None, number) and read_state(connection, name, int(before or 0)) == alias:
        set_state(connection, name, int(before or 0), "retired")
    rank = {state: place for place, state in enumerate(STAGES)}
    if rank.get(read_state(connection, name, number), -1) < rank[alias]:
        set_state(connection, name, number, alias)
    return before


def insert_gates(connection: sa.Connection, name: str, number: int, gates: pd.DataFrame, by: str) -> None:
    """Keep gate results as evidence, with an event; what is not True has not passed."""
    missing = [column for column in GATE_COLUMNS if column not in gates.columns]
    if missing:
        raise BadParameter(f"a gate table has the columns {', '.join(GATE_COLUMNS)}; {', '.join(missing)} is missing")
    rows = [
        {"gate": str(gate), "passed": isinstance(passed, bool | np.bool_) and bool(passed), "blocking": bool(blocking),
         "detail": str(detail)}
        for gate, passed, blocking, detail in gates[GATE_COLUMNS].itertuples(index=False, name=None)
    ]  # fmt: skip
    if not rows:
        return
    now = utc_now()
    connection.execute(GATES.insert(), [{"name": name, "number": number, "time": now, **row} for row in rows])
    failed = [row["gate"] for row in rows if not row["passed"]]
    append_event(connection, "gates", name, number, by=by, why="", judged=len(rows), failed=failed)


def newest_gates(connection: sa.Connection, name: str, number: int) -> pd.DataFrame:
    """Return the newest result of each gate of a version."""
    rows = (
        connection.execute(select_where(GATES, {"name": name, "number": number}).order_by(GATES.c.id)).mappings().all()
    )
    newest = {row["gate"]: row for row in rows}
    return pd.DataFrame([{key: row[key] for key in GATE_COLUMNS} for row in newest.values()], columns=GATE_COLUMNS)


def closed_gates(gates: pd.DataFrame, state: str) -> list[str]:
    """Return why a version may not go to production; empty when it may."""
    failed = gates[gates["blocking"].astype(bool) & ~gates["passed"].astype(bool)]
    closed = [f"gate {row['gate']!r} failed ({row['detail']})" for _, row in failed.iterrows()]
    if gates.empty:
        closed.append("no gate was ever judged; run 09_register")
    if state != "staging":
        closed.append(f"its application test is missing (state {state}, not staging); run 10_deploy")
    return closed


def user_name() -> str:
    """Return the name of the user who runs this."""
    try:
        return getpass.getuser()
    except OSError:  # a container without a user database
        return "unknown"


def need(text: str, what: str) -> str:
    """Return a text that must not be empty."""
    if not text.strip():
        raise BadParameter(f"{what}= is empty; the log needs to know who did it and why")
    return text
