"""The registry: versions of models, the names that point to them, and the moves that are allowed."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from nbkit.errors import BadParameter, CorruptArtifact, GateClosed, UnknownVersion
from nbkit.registry import bundle as bundles
from nbkit.registry.events import read_events, utc_now
from nbkit.registry.golden import explain_golden
from nbkit.registry.ledger import Ledger, refuse
from nbkit.registry.moves import clean, follow_log, insert_gates, need, read_gates, user_name
from nbkit.registry.queries import fetch_one, find_number, score_values
from nbkit.registry.replay import Standing
from nbkit.registry.rows import build_version, read_files
from nbkit.registry.tables import ALIASES, FILES, MODELS, VERSIONS
from nbkit.registry.verify import hash_facts, list_names
from nbkit.registry.versions import STAGES, Version, is_name, pack_table, split_reference
from nbkit.values import encode

Gates = list[dict[str, Any]]
Findings = list[str]  # in the class below, `list` is a method
Listing = list[tuple[str, pd.DataFrame]]


class Registry:
    """Models, versions, aliases, gates and the log of one team.

    What is read is compared with the log: the digest is computed again, states, aliases and gates are replayed. What
    does not fit raises `CorruptArtifact`; `verify` lists all of it.

    Parameters
    ----------
    place
        A folder (``registry.db`` and ``blobs/`` are laid in it) or the URL of a PostgreSQL or SQLite database, such as
        ``postgresql://ann@db/models?files=s3://bucket/models``. The password comes from ``PGPASSWORD`` or
        ``~/.pgpass``.
    files
        Where the files lie: a folder or any fsspec URL. Needed once, when a registry is laid at a URL: the database
        remembers it.
    create
        Whether a registry that is not there is laid.

    Raises
    ------
    BadParameter
        A new registry at a URL without a place for the files, or a registry that another nbkit wrote.
    UnknownVersion
        There is no registry, and `create` is false.
    CorruptArtifact
        The database cannot be opened.
    """

    def __init__(
        self, place: str | os.PathLike[str] = "registry", files: str | None = None, *, create: bool = True
    ) -> None:
        self._ledger = Ledger(os.fspath(place), files or "", create=create)
        self.store = self._ledger.files

    def read(self) -> sa.Connection:
        """Connect for reading."""
        return self._ledger.read()

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
            The model's name: no ``@``, slash or blanks, at most 200 signs.
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
        if not is_name(name):
            raise BadParameter(f"a model's name holds no @, slash or blank and at most 200 signs: {name!r}")
        by = need(by or user_name(), "by")
        evidence = [] if gates is None else read_gates(gates)
        parts = {"scores": scores, "params": dict(params) if params else None, **bundle}
        files = bundles.store_bundle(parts, self.store)
        row = {
            "name": name,
            "digest": bundles.digest_manifest(files),
            "by": by,
            "scores": pack_table(scores),
            "lineage": encode(dict(lineage or {})),
            "params": encode(dict(params or {})),
            "tags": encode(dict(tags or {})),
        }

        def work(connection: sa.Connection, _: Standing) -> Version:
            same = (VERSIONS.c.name == name, VERSIONS.c.digest == row["digest"])
            known = fetch_one(connection, VERSIONS.c.number, *same)
            number = int(known or self._insert(connection, row, files))
            self._record(connection, name, number, evidence, by)
            note = f"the same bundle is already {name}@{number}: nothing new was registered" if known else ""
            return replace(build_version(connection, name, number), note=note)

        return self._ledger.change(name, work)

    def _insert(self, connection: sa.Connection, row: dict[str, Any], files: pd.DataFrame) -> int:
        name, row = row["name"], {**row, "created": utc_now()}
        if fetch_one(connection, MODELS.c.name, MODELS.c.name == name) is None:
            connection.execute(MODELS.insert().values(name=name, created=row["created"]))
        number = int(fetch_one(connection, sa.func.max(VERSIONS.c.number), VERSIONS.c.name == name) or 0) + 1
        connection.execute(VERSIONS.insert().values(number=number, state="draft", **row))
        listing = [{str(key): value for key, value in line.items()} for line in files.to_dict("records")]
        connection.execute(FILES.insert(), [{"name": name, "number": number, **line} for line in listing])
        facts = hash_facts(row)
        self._ledger.log.append(
            connection, "register", name, number, by=row["by"], why="", digest=row["digest"], facts=facts
        )
        return number

    def _record(self, connection: sa.Connection, name: str, number: int, gates: Gates, by: str) -> None:
        if gates:
            failed = [row["gate"] for row in gates if not row["passed"]]
            detail: dict[str, Any] = {"judged": len(gates), "failed": failed, "gates": gates}
            event = self._ledger.log.append(connection, "gates", name, number, by=by, why="", **detail)
            insert_gates(connection, name, number, gates, event["time"])

    def get(self, reference: str) -> Version:
        """Find a version: ``flights@candidate``, ``flights@3``, or ``flights`` for the newest.

        Its digest is computed again from the rows of its files; its state, aliases and gates are compared with the log.
        The bytes of the files are checked when they are loaded.

        Raises
        ------
        UnknownVersion
            No such model, number or alias; the message lists those that are there.
        CorruptArtifact
            The registry is not what its log says.
        """
        return self._find(reference)[0]

    def _find(self, reference: str) -> tuple[Version, Standing]:
        name, rest = split_reference(reference)

        def work(connection: sa.Connection) -> tuple[tuple[Version, Standing], list[str]]:
            number = find_number(connection, name, rest)
            standing, findings = self._ledger.compare(connection, name, [number])
            refuse(findings)
            return (build_version(connection, name, number, standing), standing), findings

        found, findings = self._ledger.check(work)
        refuse(findings)
        return found

    def load(self, version: Version | str, entry: str = "model") -> Any:
        """Load one entry of a version's bundle, its bytes checked against the digest and that against the log.

        Raises
        ------
        UnknownVersion
            No such version or entry.
        CorruptArtifact
            The bytes are gone or were changed, or the registry is not what its log says.
        UntrustedType
            The model holds types that this project does not vouch for.
        """
        return bundles.load_entry(self._renew(version).files, entry, self.store)

    def load_bundle(self, version: Version | str) -> dict[str, Any]:
        """Load all entries of a version's bundle, each checked: entry name to value."""
        files = self._renew(version).files
        return {Path(path).stem: bundles.load_entry(files, path, self.store) for path in files["path"]}

    def _renew(self, version: Version | str) -> Version:
        """Read a version again, as what a caller holds may be old or made by hand."""
        found = self.get(version if isinstance(version, str) else version.reference)
        if isinstance(version, Version) and found.digest != version.digest:
            raise CorruptArtifact(f"{version.reference} has another digest in this registry: {found.digest[:12]}")
        return found

    def list(self, name: str | None = None) -> pd.DataFrame:
        """List versions, newest first: name, number, state, aliases, created, by, digest, then one column per score.

        Raises
        ------
        UnknownVersion
            No model of that name.
        """
        with self._ledger.explain(), self.read() as connection, connection.begin():
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
        if not is_name(alias) or alias.isnumeric() or len(alias) > 100:
            raise BadParameter(f"an alias is a word without @, slash or blank that is no number: {alias!r}")
        by = need(by or user_name(), "by")

        def work(connection: sa.Connection, standing: Standing) -> Version:
            there = find_number(connection, name, str(number))
            if alias in STAGES and standing.states[there] == "rejected":
                raise GateClosed(f"{name}@{number} was rejected; register a new version")
            return self._move(connection, "alias", name, there, alias=alias, by=by, why=clean(why))

        return self._ledger.change(name, work)

    def _move(self, connection: sa.Connection, event: str, name: str, number: int, **facts: Any) -> Version:
        """Write an event and let the rows follow."""
        self._ledger.log.append(connection, event, name, number, **facts)
        follow_log(connection, name)
        return build_version(connection, name, number)

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
        found, rows = self._renew(version), read_gates(gates)
        by = need(by or user_name(), "by")

        def work(connection: sa.Connection, _: Standing) -> Version:
            self._record(connection, found.name, found.number, rows, by)
            return build_version(connection, found.name, found.number)

        return self._ledger.change(found.name, work)

    def reject(self, reference: str, *, by: str, why: str) -> Version:
        """Reject a version for good: it loses its stage aliases, is not served and can never be promoted.

        Raises
        ------
        GateClosed
            It is in production.
        """
        by, why = need(by, "by"), need(why, "why")
        name, rest = split_reference(reference)

        def work(connection: sa.Connection, standing: Standing) -> Version:
            number = find_number(connection, name, rest)
            if standing.states[number] == "production":
                raise GateClosed(f"{name}@{number} is in production; promote another or roll back first")
            return self._move(connection, "reject", name, number, by=by, why=why)

        return self._ledger.change(name, work)

    def promote(self, reference: str, alias: str = "production", *, by: str, why: str) -> Version:
        """Move a version to production if its evidence allows, in one transaction with its log entry.

        The newest result of each gate in the log is checked again; the version must have passed the application test,
        that is, be in state ``staging``; its files must be those that were registered, and its golden rows must get
        the answers that they got then. The version in production before is retired.

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
            A blocking gate failed, no gate was recorded, the application test is missing, or the golden rows fail: the
            message lists all.
        CorruptArtifact
            A file of the bundle is gone or is no longer what was registered, or the registry is not what its log says.
        """
        if alias != "production":
            raise BadParameter(f"promote leads to production; for {alias!r} use set_alias")
        by, why = need(by, "by"), need(why, "why")
        version, standing = self._find(reference)
        name, number = version.name, version.number
        if version.state == "production":
            return replace(
                version, note=f"{version.reference} is already in production, {self._name_approver(version)}"
            )
        _open(version.reference, standing.closed(number) or self._prove(version))

        def work(connection: sa.Connection, standing: Standing) -> Version:
            _open(version.reference, standing.closed(number))
            facts = {"alias": alias, "by": by, "why": why, "before": standing.aliases.get(alias)}
            return self._move(connection, "promote", name, number, **facts)

        return self._ledger.change(name, work)

    def _name_approver(self, version: Version) -> str:
        events = self.history(version.name)
        last = events[(events["event"] == "promote") & (events["number"] == version.number)].iloc[-1]
        return f"approved by {last['by']} on {str(last['time'])[:10]}: {last['why']}"

    def _prove(self, version: Version) -> Findings:
        """Check the bytes of all files; return why the version does not give its golden answers."""
        for row in version.files.to_dict("records"):
            bundles.read_file(row, self.store)
        return explain_golden(self.load_bundle(version), version.params)

    def rollback(self, name: str, *, by: str, why: str) -> Version:
        """Bring back the version that was in production before; no new gates are asked, the log says so.

        Raises
        ------
        UnknownVersion
            There was none before.
        GateClosed
            It no longer gives its golden answers.
        CorruptArtifact
            Its files are gone or were changed, or the registry is not what its log says.
        """
        by, why = need(by, "by"), need(why, "why")
        now, standing = self._find(name)
        target = _find_earlier(now.name, standing)
        version = self.get(f"{now.name}@{target}")
        _open(version.reference, self._prove(version))

        def work(connection: sa.Connection, standing: Standing) -> Version:
            if _find_earlier(version.name, standing) != target:
                raise GateClosed(f"another version of {version.name} was promoted in the meantime; look, and try again")
            facts = {"alias": "production", "by": by, "why": why, "before": standing.served[-1]}
            return self._move(connection, "rollback", version.name, target, **facts)

        return self._ledger.change(version.name, work)

    def history(self, name: str | None = None) -> pd.DataFrame:
        """Return the log, oldest first: time, event, name, number, alias, by, why, detail."""
        with self._ledger.explain(), self.read() as connection, connection.begin():
            if name is not None:
                find_number(connection, name, "")
            rows = read_events(connection, name)
        return pd.DataFrame(rows, columns=["time", "event", "name", "number", "alias", "by", "why", "detail"])

    # --- trust in what is kept

    def verify(self, *, files: bool = True) -> Findings:
        """Compare everything with the log: each event, version, name, gate result, and the bytes of each file.

        Parameters
        ----------
        files
            Whether the files are read, too.

        Returns
        -------
        list of str
            A sentence per finding; empty if all is as it was written. Without a key (``NBKIT_REGISTRY_KEY``) it cannot
            be noticed that someone rewrote the database, its whole log and the note of its end consistently.
        """

        def work(connection: sa.Connection) -> tuple[Listing, Findings]:
            findings: Findings = []
            listing: Listing = []
            for name in list_names(connection):
                standing, odd = self._ledger.compare(connection, name, None)
                findings += odd
                listing += [(f"{name}@{number}", read_files(connection, name, number)) for number in standing.states]
            return listing, findings

        listing, findings = self._ledger.check(work)
        for reference, rows in listing if files else ():
            findings += bundles.check_files(reference, rows, self.store)
        return findings

    def explain_signature(self) -> str:
        """Say whether the log is signed, and whether that was checked."""
        if self._ledger.log.has_key:
            return "signed with this key"
        signed = self._ledger.is_signed()
        return "signed, but there is no key here to check that" if signed else "not signed"

    def sign(self, *, by: str, why: str) -> int:
        """Sign the events that are not signed yet with the key in ``NBKIT_REGISTRY_KEY``; return how many they were.

        Raises
        ------
        BadParameter
            There is no key.
        CorruptArtifact
            The registry is not what its log says: nothing is signed.
        """
        return self._ledger.sign(by=need(by, "by"), why=need(why, "why"))


def _open(reference: str, closed: Findings) -> None:
    if closed:
        raise GateClosed(f"{reference} may not go to production: {'; '.join(closed)}")


def _find_earlier(name: str, standing: Standing) -> int:
    """Return the version that a rollback leads to."""
    earlier = [number for number in standing.served[:-1] if number not in standing.rejected]
    if earlier:
        return earlier[-1]
    told = [
        f"{name}@{number} was "
        + (f"rejected by {standing.rejected[number]}" if number in standing.rejected else "rolled back")
        for number in dict.fromkeys([*standing.served[:-1], *standing.left])
        if number not in standing.served[-1:]
    ]
    why = "; ".join(told) or f"no version of {name!r} was in production before"
    raise UnknownVersion(f"nothing to go back to: {why}; `nbkit promote` puts another into production")
