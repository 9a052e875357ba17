"""The database of a registry with its log: reading and writing in transactions whose log was checked."""

import random
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from nbkit.errors import BadParameter, CorruptArtifact, UnknownVersion
from nbkit.registry.events import KEY, Log, check_links, name_event, read_end, read_events, seal_event
from nbkit.registry.files import open_files
from nbkit.registry.replay import Standing, replay
from nbkit.registry.tables import EVENTS, explain, is_conflict, is_read_only, open_database, show, split_place
from nbkit.registry.verify import compare_model

T = TypeVar("T")
TRIES = 6  # of a transaction that another one got in the way of


def refuse(findings: list[str]) -> None:
    """Refuse to go on where a registry is not what its log says.

    Raises
    ------
    CorruptArtifact
        With the first finding.
    """
    if findings:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        raise CorruptArtifact(
            f"the registry was changed by something other than nbkit: {findings[0]}{more}; `nbkit registry verify` "
            "lists all; put a backup of the database and its files back"
        )


class Ledger:
    """A registry's database, files and log.

    Parameters
    ----------
    place, files, create
        As in `nbkit.registry.Registry`.
    """

    def __init__(self, place: str, files: str, *, create: bool) -> None:
        if "://" in place:
            url, named = split_place(place)
            wanted = files or named
        else:
            if create:
                Path(place).mkdir(parents=True, exist_ok=True)
            url = sa.URL.create("sqlite", database=str(Path(place).resolve() / "registry.db"))
            wanted = files or str(Path(place) / "blobs")
        if not create and url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
            raise UnknownVersion(f"there is no registry in {place} yet: `nbkit run PARAMS` registers a model in 09")
        self.url = url
        self._engine, settings = open_database(url, wanted, create=create)
        self.files = open_files(wanted or settings["files"])
        self.log = Log(self.files, settings["id"])
        self._read_only = is_read_only(url)

    def read(self) -> sa.Connection:
        """Connect for reading; all that one transaction reads is of one moment."""
        level = {} if self.url.get_backend_name() == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        return self._engine.connect().execution_options(**level)

    def change(self, name: str, work: Callable[[sa.Connection, Standing], T]) -> T:
        """Do work on a model in one transaction, after the log was checked."""
        return self._transact(lambda connection: self._work(connection, name, work))

    def _transact(self, work: Callable[[sa.Connection], T]) -> T:
        """Do work in one writing transaction; again if another one got in the way."""
        if self._read_only:
            raise BadParameter(f"the registry {show(self.url)} may only be read here: its file or folder is read-only")
        for left in reversed(range(TRIES)):
            with explain(self.url, "written"):
                try:
                    with self._engine.connect().execution_options(write=True) as connection, connection.begin():
                        return work(connection)
                except sa.exc.DBAPIError as error:
                    if not (left and is_conflict(error)):
                        raise
            time.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - so that two do not meet again
        raise AssertionError("the last try returns or raises")

    def _work(self, connection: sa.Connection, name: str, work: Callable[[sa.Connection, Standing], T]) -> T:
        self.log.refuse_unsigned(connection)
        before = read_end(connection)
        findings = self.log.check_end(self.log.read_note(), before) + check_links(connection)
        standing, odd = self.compare(connection, name, ())
        refuse(findings + odd)
        done = work(connection, standing)
        after = read_end(connection)
        if after != before:
            self.log.write_end(before, after)
        return done

    def compare(
        self, connection: sa.Connection, name: str, numbers: Collection[int] | None
    ) -> tuple[Standing, list[str]]:
        """Replay a model's log and compare its rows with it."""
        standing, findings = self.replay(connection, name)
        return standing, findings + compare_model(connection, name, standing, numbers)

    def replay(self, connection: sa.Connection, name: str) -> tuple[Standing, list[str]]:
        """Replay a model's log; return also what is wrong with its events."""
        events = read_events(connection, name)
        return replay(events), self.log.check_events(events)

    def check(self, work: Callable[[sa.Connection], tuple[T, list[str]]]) -> tuple[T, list[str]]:
        """Read in one transaction, and return also what is wrong with the log, its end included.

        The note of the end is read before and after: where a writer came in between, all is read again.
        """
        for _ in range(50):
            note = self.log.read_note()
            with explain(self.url), self.read() as connection, connection.begin():
                end = read_end(connection)
                links = check_links(connection)
                found, findings = work(connection)
            if note == self.log.read_note():
                return found, self.log.check_end(note, end) + links + findings
            time.sleep(0.01)
        return found, links + findings  # always busy: the end is checked by the next one who asks

    def explain(self) -> AbstractContextManager[None]:
        """Turn what the database raises into errors with words."""
        return explain(self.url)

    def is_signed(self) -> bool:
        """Return whether any event is signed."""
        with self.explain(), self.read() as connection:
            signed = sa.select(EVENTS.c.id).where(EVENTS.c.signature != "").limit(1)
            return connection.execute(signed).first() is not None

    def sign(self, *, by: str, why: str) -> int:
        """Sign what is not signed yet, after all events were checked; return how many events that were."""
        if not self.log.has_key:
            raise BadParameter(f"there is no key: set {KEY} to what only those know who may change the registry")

        def work(connection: sa.Connection) -> int:
            note, end = self.log.read_note(), read_end(connection)
            events = read_events(connection)
            open_ones = [event for event in events if not event["signature"]]
            refuse(self.log.check_end(note, end, signed=not open_ones) + check_links(connection))
            refuse(self.log.check_events([event for event in events if event["signature"]]))
            refuse([f"{name_event(event)} was changed" for event in open_ones if event["hash"] != seal_event(event)])
            for event in open_ones:
                mine = EVENTS.c.id == event["id"]
                connection.execute(EVENTS.update().where(mine).values(signature=self.log.sign("event", event["hash"])))
            self.log.write_end(end, end)
            return len(open_ones)

        return self._transact(work)
