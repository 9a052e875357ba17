"""The registry: versions of models, the names that point to them, and the moves that are allowed."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from nbkit.errors import BadParameter, GateClosed, UnknownVersion
from nbkit.registry import bundle as bundles
from nbkit.registry.events import append_event, utc_now, verify_events
from nbkit.registry.moves import (
    closed_gates,
    insert_gates,
    need,
    newest_gates,
    point_alias,
    production_stack,
    user_name,
)
from nbkit.registry.queries import fetch_one, find_number, read_state, score_values, select_where, set_state
from nbkit.registry.tables import ALIASES, EVENTS, FILES, MODELS, VERSIONS, is_read_only, open_database
from nbkit.registry.versions import STAGES, Version, pack_table, split_reference, unpack_table
from nbkit.store import Store
from nbkit.values import decode, encode


class Registry:
    """Models, versions, aliases, gates and the log of one team.

    Parameters
    ----------
    url_or_folder
        A folder (``registry.db`` and ``blobs/`` are laid in it) or an SQLAlchemy URL.
    files
        The folder of the files when a URL is given.

    Raises
    ------
    BadParameter
        A URL without a folder for the files, or a registry that a newer nbkit wrote.
    """

    def __init__(self, url_or_folder: str | os.PathLike[str] = "registry", files: str | None = None) -> None:
        place = os.fspath(url_or_folder)
        if "://" in place:
            if files is None:
                raise BadParameter("a registry at a database URL needs files=, the folder for its files")
            url, self.folder = sa.make_url(place), Path(files)
        else:
            folder = Path(place)
            folder.mkdir(parents=True, exist_ok=True)
            url = sa.URL.create("sqlite", database=str(folder.resolve() / "registry.db"))
            self.folder = Path(files or folder / "blobs")
        self.store = Store(self.folder)
        self._engine = open_database(url)
        self._read_only = is_read_only(url)

    def read(self) -> sa.Connection:
        """Connect for reading."""
        return self._engine.connect()

    def _write(self) -> sa.Connection:
        if self._read_only:
            raise BadParameter(
                f"the registry beside {self.folder} may only be read here: its file or folder is read-only"
            )
        return self._engine.connect().execution_options(write=True)

    # --- versions

    def register(
        self,
        name: str,
        bundle: Mapping[str, Any],
        *,
        scores: pd.DataFrame | None = None,
        lineage: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        gates: pd.DataFrame | None = None,
        tags: Mapping[str, Any] | None = None,
        by: str = "",
    ) -> Version:
        """Register a bundle as the next version of a model; a bundle that is already there keeps its number.

        Parameters
        ----------
        name
            The model's name: no ``@``, ``/`` or blanks.
        bundle
            Entry name to value (``model``, ``contract``, ``catalogue``, ``reference``, ``golden``, …). `scores` and
            `params` join it where it has no entry of that name. Lineage does not: equal bytes that another run made
            are the same version.
        scores
            Index metric; value, low, high, n, better.
        lineage, params, tags
            Plain values that are kept with the version.
        gates
            gate, passed, blocking, detail, as `evaluate_gates` gives it; recorded as evidence for this digest.
        by
            Who registers; the user's name where it is empty.

        Returns
        -------
        Version
            Its `note` says if the bundle was registered before.

        Raises
        ------
        UntrustedType
            The model holds types defined in a notebook or not vouched for.
        BadModel, BadParameter
            No model in the bundle; a name that cannot be used.
        """
        if not name or any(sign in name for sign in "@/\\ \t\n"):
            raise BadParameter(f"a model's name holds no @, slash or blank: {name!r}")
        by = by or user_name()
        parts = {"scores": scores, "params": dict(params) if params else None, **bundle}
        files = bundles.store_bundle(parts, self.store)
        digest = bundles.digest_manifest(files)
        with self._write() as connection, connection.begin():
            known = fetch_one(connection, VERSIONS.c.number, VERSIONS.c.name == name, VERSIONS.c.digest == digest)
            number = known or self._insert(
                connection,
                {
                    "name": name,
                    "digest": digest,
                    "by": by,
                    "scores": pack_table(scores),
                    "lineage": encode(dict(lineage or {})),
                    "params": encode(dict(params or {})),
                    "tags": encode(dict(tags or {})),
                },
                files,
            )
            if gates is not None:
                insert_gates(connection, name, number, gates, by)
        note = f"the same bundle is already {name}@{number}: nothing new was registered" if known else ""
        return self._version(name, number, note)

    def _insert(self, connection: sa.Connection, row: dict[str, Any], files: pd.DataFrame) -> int:
        name, now = row["name"], utc_now()
        if fetch_one(connection, MODELS.c.name, MODELS.c.name == name) is None:
            connection.execute(MODELS.insert().values(name=name, created=now))
        connection.execute(sa.select(MODELS).where(MODELS.c.name == name).with_for_update())
        number = int(fetch_one(connection, sa.func.max(VERSIONS.c.number), VERSIONS.c.name == name) or 0) + 1
        connection.execute(VERSIONS.insert().values(number=number, state="draft", created=now, **row))
        listing = [{str(key): value for key, value in line.items()} for line in files.to_dict("records")]
        connection.execute(FILES.insert(), [{"name": name, "number": number, **line} for line in listing])
        append_event(connection, "register", name, number, by=row["by"], why="", digest=row["digest"])
        return number

    def get(self, reference: str) -> Version:
        """Find a version: ``flights@candidate``, ``flights@3``, or ``flights`` for the newest.

        Raises
        ------
        UnknownVersion
            No such model, number or alias; the message lists those that are there.
        """
        name, rest = split_reference(reference)
        with self.read() as connection:
            return self._version(name, find_number(connection, name, rest))

    def _version(self, name: str, number: int, note: str = "") -> Version:
        with self.read() as connection:
            here: dict[str, Any] = {"name": name, "number": number}
            row = connection.execute(select_where(VERSIONS, here)).mappings().one()
            files = pd.DataFrame(connection.execute(select_where(FILES, here).order_by(FILES.c.path)).mappings().all())
            aliases = connection.execute(select_where(ALIASES, here).order_by(ALIASES.c.alias)).mappings().all()
            gates = newest_gates(connection, name, number)
        return Version(
            name=name,
            number=number,
            digest=row["digest"],
            state=row["state"],
            created=row["created"],
            by=row["by"],
            scores=unpack_table(row["scores"]),
            lineage=decode(row["lineage"]),
            params=decode(row["params"]),
            gates=gates,
            tags=decode(row["tags"]),
            files=files[list(bundles.COLUMNS)],
            aliases=tuple(alias["alias"] for alias in aliases),
            note=note,
        )

    def load(self, version: Version | str, entry: str = "model") -> Any:
        """Load one entry of a version's bundle, its bytes checked against the digest.

        Raises
        ------
        UnknownVersion
            No such version or entry.
        CorruptArtifact
            The bytes are gone or were changed.
        UntrustedType
            The model holds types that this project does not vouch for.
        """
        version = self.get(version) if isinstance(version, str) else version
        return bundles.load_entry(version.files, entry, self.store)

    def load_bundle(self, version: Version | str) -> dict[str, Any]:
        """Load all entries of a version's bundle, each checked: entry name to value."""
        version = self.get(version) if isinstance(version, str) else version
        names = [Path(path).stem for path in version.files["path"]]
        return {name: self.load(version, name) for name in names}

    def export_bundle(self, version: Version | str, folder: str | os.PathLike[str]) -> Path:
        """Write a version as a plain folder with its files and ``nbkit.json``; return the folder."""
        version = self.get(version) if isinstance(version, str) else version
        facts = {key: getattr(version, key) for key in ("name", "number", "digest", "created", "by")}
        facts |= {"lineage": encode(version.lineage), "tags": encode(version.tags)}
        return bundles.export_files(version.files, self.store, Path(folder), facts)

    def list(self, name: str | None = None) -> pd.DataFrame:
        """List versions, newest first: name, number, state, aliases, created, by, digest, then one column per score.

        Raises
        ------
        UnknownVersion
            No model of that name.
        """
        with self.read() as connection:
            query = sa.select(VERSIONS).order_by(VERSIONS.c.name, VERSIONS.c.number.desc())
            if name is not None:
                find_number(connection, name, "")
                query = query.where(VERSIONS.c.name == name)
            found = connection.execute(query).mappings().all()
            aliases: dict[tuple[str, int], list[str]] = {}
            for row in connection.execute(sa.select(ALIASES).order_by(ALIASES.c.alias)):
                aliases.setdefault((row.name, row.number), []).append(row.alias)
        columns = ["name", "number", "state", "created", "by", "digest"]
        facts = [{column: row[column] for column in columns} for row in found]
        table = pd.DataFrame(facts, columns=columns)
        table.insert(3, "aliases", [", ".join(aliases.get((row["name"], row["number"]), [])) for row in found])
        scores = pd.DataFrame([score_values(row["scores"]) for row in found])
        return pd.concat([table, scores], axis=1)

    # --- names and moves

    def set_alias(self, name: str, number: int, alias: str, *, by: str = "", why: str = "") -> Version:
        """Let a name point to a version; ``candidate`` and ``staging`` also move the version's state.

        Parameters
        ----------
        name, number
            The version.
        alias
            Any word that is no number; ``production`` is reached with `promote` only.
        by, why
            Who and the reason, for the log.

        Raises
        ------
        GateClosed
            The alias is ``production``, or the version was rejected.
        UnknownVersion
            No such version.
        """
        if alias == "production":
            raise GateClosed(f"production is reached through the gates only: promote {name}@{number}")
        if not alias or alias.isdigit() or any(sign in alias for sign in "@/\\ \t\n"):
            raise BadParameter(f"an alias is a word without @, slash or blank that is no number: {alias!r}")
        with self._write() as connection, connection.begin():
            number = find_number(connection, name, str(number))
            if alias in STAGES and read_state(connection, name, number) == "rejected":
                raise GateClosed(f"{name}@{number} was rejected; register a new version")
            point_alias(connection, name, number, alias)
            append_event(connection, "alias", name, number, alias=alias, by=by or user_name(), why=why)
        return self._version(name, number)

    def record_gates(self, version: Version | str, gates: pd.DataFrame, *, by: str = "") -> Version:
        """Record gate results as evidence for a version; the newest result of each gate counts.

        Parameters
        ----------
        version
            A version or a reference to one.
        gates
            gate, passed, blocking, detail. What is not True has not passed.
        by
            Who judged.

        Raises
        ------
        BadParameter
            A column is missing.
        """
        version = self.get(version) if isinstance(version, str) else version
        with self._write() as connection, connection.begin():
            insert_gates(connection, version.name, version.number, gates, by or user_name())
        return self._version(version.name, version.number)

    def reject(self, reference: str, *, by: str, why: str) -> Version:
        """Reject a version for good: it loses its stage aliases and can never be promoted."""
        version = self.get(reference)
        if version.state == "production":
            raise GateClosed(f"{version.reference} is in production; promote another or roll back first")
        with self._write() as connection, connection.begin():
            mine = (ALIASES.c.name == version.name) & (ALIASES.c.number == version.number)
            connection.execute(ALIASES.delete().where(mine & ALIASES.c.alias.in_(STAGES)))
            set_state(connection, version.name, version.number, "rejected")
            append_event(connection, "reject", version.name, version.number, by=need(by, "by"), why=need(why, "why"))
        return self._version(version.name, version.number)

    def promote(self, reference: str, alias: str = "production", *, by: str, why: str) -> Version:
        """Move a version to production if its evidence allows, in one transaction with its log entry.

        The newest result of each gate recorded for this version is checked again; the version must have passed the
        application test, that is, be in state ``staging``. The version in production before is retired.

        Parameters
        ----------
        reference
            ``NAME@NUMBER`` or ``NAME@ALIAS``.
        alias
            Only ``production``; other names are set with `set_alias`.
        by, why
            Who and the reason; both required.

        Raises
        ------
        GateClosed
            A blocking gate failed, no gate was recorded, or the application test is missing: the message lists all.
        CorruptArtifact
            A file of the bundle is gone or is no longer what was registered.
        """
        if alias != "production":
            raise BadParameter(f"promote leads to production; for {alias!r} use set_alias")
        by, why = need(by, "by"), need(why, "why")
        for row in self.get(reference).files.to_dict("records"):
            bundles.read_file(row, self.store)
        name, rest = split_reference(reference)
        with self._write() as connection, connection.begin():
            number = find_number(connection, name, rest)
            state = read_state(connection, name, number)
            if state == "production":
                return self._version(name, number, f"{name}@{number} is already in production")
            closed = closed_gates(newest_gates(connection, name, number), state)
            if closed:
                raise GateClosed(f"{name}@{number} may not go to production: {'; '.join(closed)}")
            before = point_alias(connection, name, number, alias)
            append_event(connection, "promote", name, number, alias=alias, by=by, why=why, before=before)
        return self._version(name, number)

    def rollback(self, name: str, *, by: str, why: str) -> Version:
        """Bring back the version that was in production before; no new gates are asked, the log says so.

        Raises
        ------
        UnknownVersion
            There was none before.
        """
        by, why = need(by, "by"), need(why, "why")
        with self._write() as connection, connection.begin():
            find_number(connection, name, "")
            query = sa.select(EVENTS.c.event, EVENTS.c.number).where(EVENTS.c.name == name).order_by(EVENTS.c.id)
            served = production_stack([(row.event, row.number) for row in connection.execute(query)])
            served = served[:1] + [n for n in served[1:] if read_state(connection, name, n) != "rejected"]
            if len(served) < 2:
                raise UnknownVersion(f"no version of {name!r} was in production before; nothing to go back to")
            point_alias(connection, name, served[1], "production")
            append_event(connection, "rollback", name, served[1], alias="production", by=by, why=why, before=served[0])
        return self._version(name, served[1])

    def history(self, name: str | None = None) -> pd.DataFrame:
        """Return the log, oldest first: time, event, name, number, alias, by, why, detail."""
        query = sa.select(EVENTS).order_by(EVENTS.c.id)
        with self.read() as connection:
            if name is not None:
                find_number(connection, name, "")
                query = query.where(EVENTS.c.name == name)
            rows = connection.execute(query).mappings().all()
        return pd.DataFrame(rows, columns=["time", "event", "name", "number", "alias", "by", "why", "detail"])

    def verify_history(self) -> int:
        """Check the hash chain of the log and return its length; `CorruptArtifact` names the first broken event."""
        with self.read() as connection:
            return verify_events(connection)
