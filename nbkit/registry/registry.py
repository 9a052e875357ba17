"""The registry: versions of models, the names that point to them, and the moves that are allowed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import sqlalchemy as sa

from nbkit.errors import BadParameter, GateClosed
from nbkit.registry import bundle as bundles
from nbkit.registry.events import clean, describe_moves, need, user_name, utc_now
from nbkit.registry.golden import explain_golden
from nbkit.registry.reading import Reader
from nbkit.registry.replay import STAGES, Standing, find_earlier
from nbkit.registry.rows import build_version, fetch_one, find_number
from nbkit.registry.tables import FILES, MODELS, VERSIONS
from nbkit.registry.verdict import read_gates
from nbkit.registry.verify import hash_facts
from nbkit.registry.versions import Version, is_name, pack_table, split_reference
from nbkit.values import encode


class Registry(Reader):
    """Models, versions, aliases, gates and the log of one team: what `Reader` shows, and the moves.

    The parameters are those of `Reader`.
    """

    def register(
        self,
        name: str,
        bundle: Mapping[str, Any],
        *,
        scores: pd.DataFrame | None = None,
        lineage: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        gates: pd.DataFrame | None = None,
        by: str = "",
    ) -> Version:
        """Register a bundle as the next version of a model; a bundle that is already there keeps its number.

        Parameters
        ----------
        name
            The model's name: no ``@``, slash or blanks, at most 200 characters.
        bundle
            Entry name to value (``model``, ``contract``, ``catalogue``, ``reference``, ``golden``, …). `scores` and
            `params` join it where it has no entry of that name. Lineage does not: equal bytes that another run made
            are the same version.
        scores
            Index metric; value, low, high, n, better.
        lineage, params
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
            raise BadParameter(f"a model's name holds no @, slash or blank and at most 200 characters: {name!r}")
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
            "tags": {},  # no longer given, but part of the facts that the log has hashed
        }

        def work(connection: sa.Connection, _: Standing) -> Version:
            same = (VERSIONS.c.name == name, VERSIONS.c.digest == row["digest"])
            known = fetch_one(connection, VERSIONS.c.number, *same)
            number = int(known or self._insert(connection, row, files))
            self._record(connection, name, number, evidence, by)
            note = f"the same bundle is already {name}@{number}: nothing new was registered" if known else ""
            return replace(self._build(connection, name, number), note=note)

        return self._ledger.change(name, work)

    def _insert(self, connection: sa.Connection, row: dict[str, Any], files: pd.DataFrame) -> int:
        name, row = row["name"], {**row, "created": utc_now()}
        if fetch_one(connection, MODELS.c.name, MODELS.c.name == name) is None:
            connection.execute(MODELS.insert().values(name=name, created=row["created"]))
        number = int(fetch_one(connection, sa.func.max(VERSIONS.c.number), VERSIONS.c.name == name) or 0) + 1
        connection.execute(VERSIONS.insert().values(number=number, **row))
        listing = [{str(key): value for key, value in line.items()} for line in files.to_dict("records")]
        connection.execute(FILES.insert(), [{"name": name, "number": number, **line} for line in listing])
        facts = hash_facts(row)
        self._ledger.log.append(
            connection, "register", name, number, by=row["by"], why="", digest=row["digest"], facts=facts
        )
        return number

    def _record(self, connection: sa.Connection, name: str, number: int, gates: list[dict[str, Any]], by: str) -> None:
        if gates:
            failed = [row["gate"] for row in gates if not row["passed"]]
            detail: dict[str, Any] = {"judged": len(gates), "failed": failed, "gates": gates}
            self._ledger.log.append(connection, "gates", name, number, by=by, why="", **detail)

    def set_alias(self, name: str, number: int, alias: str, *, by: str = "", why: str = "") -> Version:
        """Let a name point to a version; ``candidate`` and ``staging`` also move the version's state.

        Parameters
        ----------
        name, number
            The version.
        alias
            Any word that is not a number; ``production`` is reached with `promote` only.
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
            raise BadParameter(f"an alias is a word without @, slash or blank that is not a number: {alias!r}")
        by = need(by or user_name(), "by")

        def work(connection: sa.Connection, standing: Standing) -> Version:
            there = find_number(connection, name, str(number), standing)
            if alias in STAGES and standing.states[there] == "rejected":
                raise GateClosed(f"{name}@{number} was rejected; register a new version")
            return self._move(connection, "alias", name, there, alias=alias, by=by, why=clean(why))

        return self._ledger.change(name, work)

    def _move(self, connection: sa.Connection, event: str, name: str, number: int, **facts: Any) -> Version:
        """Write an event; return where the version stands then."""
        self._ledger.log.append(connection, event, name, number, **facts)
        return self._build(connection, name, number)

    def _build(self, connection: sa.Connection, name: str, number: int) -> Version:
        return build_version(connection, name, number, self._ledger.replay(connection, name)[0])

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
            return self._build(connection, found.name, found.number)

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
            number = find_number(connection, name, rest, standing)
            if standing.states[number] == "production":
                raise GateClosed(f"{name}@{number} is in production; promote another or roll back first")
            return self._move(connection, "reject", name, number, by=by, why=why)

        return self._ledger.change(name, work)

    def promote(
        self, reference: str, alias: str = "production", *, by: str, why: str, conditions: Sequence[str] = ()
    ) -> Version:
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
        conditions
            Sentences on which the approval hangs, for the log.

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
            said, _ = describe_moves(version.reference, self.history(name).to_dict("records"))
            told = "; ".join(said).removeprefix(f"{version.reference} was ")
            return replace(version, note=f"{version.reference} is already in production, {told}")
        _open(version.reference, standing.closed(number) or self._prove(version))

        def work(connection: sa.Connection, standing: Standing) -> Version:
            _open(version.reference, standing.closed(number))
            facts: dict[str, Any] = {"alias": alias, "by": by, "why": why, "before": standing.aliases.get(alias)}
            facts |= {"conditions": [*map(clean, conditions)]} if conditions else {}
            return self._move(connection, "promote", name, number, **facts)

        return self._ledger.change(name, work)

    def _prove(self, version: Version) -> list[str]:
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
        target = find_earlier(now.name, standing)
        version = self.get(f"{now.name}@{target}")
        _open(version.reference, self._prove(version))

        def work(connection: sa.Connection, standing: Standing) -> Version:
            if find_earlier(version.name, standing) != target:
                raise GateClosed(f"another version of {version.name} was promoted in the meantime; look, and try again")
            facts = {"alias": "production", "by": by, "why": why, "before": standing.served[-1]}
            return self._move(connection, "rollback", version.name, target, **facts)

        return self._ledger.change(version.name, work)

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


def _open(reference: str, closed: list[str]) -> None:
    if closed:
        raise GateClosed(f"{reference} may not go to production: {'; '.join(closed)}")
