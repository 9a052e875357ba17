"""The registry's log: append-only, each event sealed with the hash of the one before, its end noted beside the files.

An edit, a deletion or an insertion breaks the chain. A tail that was cut off or written by something else does not fit
the note of the log's end, which lies with the files and not in the database. With a key in ``NBKIT_REGISTRY_KEY``
events and note are signed (HMAC-SHA256), so that who can write both but has no key is noticed, too.
"""

import datetime as dt
import getpass
import hashlib
import hmac
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from nbkit.errors import BadParameter
from nbkit.registry.files import Files
from nbkit.registry.tables import EVENTS
from nbkit.wording import format_count

SEALED = ("id", "time", "event", "name", "number", "alias", "by", "why", "detail", "previous")
KEY = "NBKIT_REGISTRY_KEY"
RESTORED = "if an older copy of the database was put back on purpose, put that of its files back as well"


def utc_now() -> str:
    """Return the time in UTC, ISO 8601 with milliseconds."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
        raise BadParameter("by= has more than 200 characters; a name is enough, the reason belongs into why=")
    return clean(text)


def clean(text: Any) -> str:
    """Return a text without what a database refuses: half characters and NUL.

    Examples
    --------
    >>> clean("a" + chr(0) + chr(0xdcff))
    'a??'
    """
    return str(text).replace("\0", "?").encode("utf-8", "replace").decode()


def hash_plain(plain: Any) -> str:
    """Return the sha256 of JSON data.

    Examples
    --------
    >>> hash_plain({"a": 1, "b": 2}) == hash_plain({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(plain, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def seal_event(event: Mapping[str, Any]) -> str:
    """Return the sha256 of an event, the hash of the event before included."""
    return hash_plain({key: event[key] for key in SEALED})


def name_event(event: Mapping[str, Any]) -> str:
    """Name an event in a sentence."""
    return f"event {event['id']} ({event['event']} of {event['name']}@{event['number']}, {event['time']})"


class Log:
    """The events of a registry, and the note of their end.

    Parameters
    ----------
    files
        Where the note lies.
    name
        The registry's own name, which names the note.
    """

    def __init__(self, files: Files, name: str) -> None:
        self.files, self.note = files, f"log-{name}.json"
        self._key = os.environ.get(KEY, "").encode()

    @property
    def has_key(self) -> bool:
        """Whether a key to sign with is in the environment."""
        return bool(self._key)

    def sign(self, what: str, text: str) -> str:
        """Return the signature of an event's hash or of the note; empty without a key."""
        return hmac.new(self._key, f"nbkit {what}\n{text}".encode(), "sha256").hexdigest() if self._key else ""

    # --- writing

    def append(
        self, connection: sa.Connection, event: str, name: str, number: int, *, alias: str = "", by: str, why: str,
        **detail: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Add one event inside of the caller's transaction, which holds the write lock; return it."""
        last = read_end(connection)
        row: dict[str, Any] = {
            "id": last["id"] + 1,
            "time": utc_now(),
            "event": event,
            "name": name,
            "number": number,
            "alias": alias,
            "by": by,
            "why": why,
            "detail": detail,
            "previous": last["hash"],
        }
        row["hash"] = seal_event(row)
        connection.execute(EVENTS.insert().values(**row, signature=self.sign("event", row["hash"])))
        return row

    def write_end(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Note the log's end before and after a transaction, just before it is committed: one of the two holds."""
        signature = self.sign("end", json.dumps([before, after], sort_keys=True))
        self.files.write_note(self.note, json.dumps({"ends": [before, after], "signature": signature}).encode())

    def refuse_unsigned(self, connection: sa.Connection) -> None:
        """Refuse to write without the key into a log that is signed."""
        if (
            not self._key
            and connection.execute(sa.select(EVENTS.c.id).where(EVENTS.c.signature != "").limit(1)).first()
        ):
            raise BadParameter(f"the registry's log is signed: set {KEY} to the key before you change anything")

    # --- checking

    def read_note(self) -> bytes | None:
        """Return the note of the log's end as it is."""
        return self.files.read_note(self.note)

    def check_end(self, note: bytes | None, end: Mapping[str, Any], *, signed: bool = True) -> list[str]:
        """Return what is wrong with the end of the log, given the note and the last event's id and hash."""
        if note is None:
            return [] if not end["id"] else [f"the note of the log's end ({self.note}) is gone; {RESTORED}"]
        try:
            found = json.loads(note)
            ends: list[dict[str, Any]] = [{"id": int(one["id"]), "hash": str(one["hash"])} for one in found["ends"]]
            signature, last = str(found["signature"]), max(one["id"] for one in ends)
        except (ValueError, KeyError, TypeError):
            return [f"the note of the log's end ({self.note}) cannot be read; {RESTORED}"]
        wanted = self.sign("end", json.dumps(ends, sort_keys=True))
        if signed and wanted and not hmac.compare_digest(wanted, signature):
            return [f"the note of the log's end ({self.note}) is not signed with this key"]
        if dict(end) in ends:
            return []
        what = "its last events were cut off" if end["id"] < last else "its last events were not written by nbkit"
        return [f"the log ends with event {end['id']}, the note beside the files says {last}: {what}; {RESTORED}"]

    def check_events(self, events: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return which events were changed since they were written, or are not signed."""
        wrong = []
        for event in events:
            if event["hash"] != seal_event(event):
                wrong.append(f"{name_event(event)} was changed after it was written")
            elif self._key and not hmac.compare_digest(self.sign("event", event["hash"]), event["signature"]):
                wrong.append(f"{name_event(event)} is not signed with this key")
        return wrong


def read_end(connection: sa.Connection) -> dict[str, Any]:
    """Return id and hash of the last event; 0 and an empty text where there is none."""
    last = connection.execute(sa.select(EVENTS.c.id, EVENTS.c.hash).order_by(EVENTS.c.id.desc()).limit(1)).first()
    return {"id": int(last.id), "hash": str(last.hash)} if last else {"id": 0, "hash": ""}


def read_events(connection: sa.Connection, name: str | None = None) -> list[dict[str, Any]]:
    """Return the events of a model, or all, oldest first."""
    query = sa.select(EVENTS).order_by(EVENTS.c.id)
    found = connection.execute(query if name is None else query.where(EVENTS.c.name == name))
    return [dict(row) for row in found.mappings()]


def check_links(connection: sa.Connection) -> list[str]:
    """Return where the chain of all events is broken: the database compares each with the one before."""
    before = EVENTS.alias()
    joined = EVENTS.outerjoin(before, before.c.id == EVENTS.c.id - 1)
    fits = EVENTS.c.previous == sa.func.coalesce(before.c.hash, "")
    gap = (EVENTS.c.id > 1) & before.c.id.is_(None)
    query = sa.select(EVENTS).select_from(joined).where(~fits | gap).order_by(EVENTS.c.id).limit(5)
    rows = connection.execute(query).mappings().all()
    return [
        f"{name_event(dict(row))} does not follow the event before it: one was changed, removed or put in"
        for row in rows
    ]


def describe_moves(reference: str, events: Sequence[Mapping[Any, Any]]) -> tuple[list[str], str]:
    """Describe the last approval of a version, what came after it, and its rejection."""
    name, _, number = reference.partition("@")
    said: list[str] = []
    rejected, here = "", False
    for event in events:
        who = f"by {event['by']} on {str(event['time'])[:10]}"
        kind, mine = event["event"], str(event["number"]) == number
        if mine and kind == "promote":
            many = len(event["detail"].get("conditions", ()))
            hangs = f", with {format_count(many, 'condition')} open" if many else ""
            said = [f"{reference} was approved for production {who}{hangs}: {event['why']}"]
        elif mine and kind == "rollback":
            said.append(f"brought back to production {who}: {event['why']}")
        elif mine and kind == "reject":
            rejected = f"{reference} was rejected {who}: {event['why']}"
            said += [f"rejected {who}: {event['why']}"] if said else []
        elif here and kind == "promote":
            said.append(f"replaced by {name}@{event['number']} {who}")
        elif here and kind == "rollback":
            said.append(f"rolled back {who}: {event['why']}")
        here = mine if kind in ("promote", "rollback") else here
    return said, rejected
