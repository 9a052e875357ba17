"""The registry's log: append-only, each event sealed with the hash of the one before."""

import datetime as dt
import hashlib
import json
from typing import Any

import sqlalchemy as sa

from nbkit.errors import CorruptArtifact
from nbkit.registry.tables import EVENTS

SEALED = ("id", "time", "event", "name", "number", "alias", "by", "why", "detail", "previous")


def utc_now() -> str:
    """Return the time in UTC, ISO 8601 with milliseconds."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seal_event(event: dict[str, Any]) -> str:
    """Return the sha256 of an event, the hash of the event before included."""
    plain = {key: event[key] for key in SEALED}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def append_event(
    connection: sa.Connection, event: str, name: str, number: int, *, alias: str = "", by: str, why: str, **detail: Any
) -> None:
    """Add one event to the log inside the caller's transaction."""
    last = connection.execute(sa.select(EVENTS.c.id, EVENTS.c.hash).order_by(EVENTS.c.id.desc()).limit(1)).first()
    row: dict[str, Any] = {
        "id": last.id + 1 if last else 1,
        "time": utc_now(),
        "event": event,
        "name": name,
        "number": number,
        "alias": alias,
        "by": by,
        "why": why,
        "detail": detail,
        "previous": last.hash if last else "",
    }
    connection.execute(EVENTS.insert().values(**row, hash=seal_event(row)))


def verify_events(connection: sa.Connection) -> int:
    """Walk the log and return how many events it holds.

    Raises
    ------
    CorruptArtifact
        An event was changed, removed or put in between; the message names the first one.
    """
    previous, expected = "", 1
    for row in connection.execute(sa.select(EVENTS).order_by(EVENTS.c.id)).mappings():
        event = dict(row)
        if event["id"] != expected or event["previous"] != previous or event["hash"] != seal_event(event):
            raise CorruptArtifact(
                f"the registry's log was changed by hand at event {event['id']} ({event['event']} of "
                f"{event['name']}@{event['number']}, {event['time']}); compare with a backup"
            )
        previous, expected = event["hash"], expected + 1
    return expected - 1
