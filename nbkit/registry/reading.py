"""The registry as it is read: versions, what they hold, the log, and whether all of it is as it was written."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from nbkit.errors import CorruptArtifact
from nbkit.registry import bundle as bundles
from nbkit.registry.events import read_events
from nbkit.registry.ledger import Ledger, refuse
from nbkit.registry.replay import Standing, replay_models
from nbkit.registry.rows import build_version, find_number, need_model, read_files, score_values
from nbkit.registry.tables import FILES, VERSIONS
from nbkit.registry.verify import compare_model, list_names
from nbkit.registry.versions import Version, split_reference
from nbkit.store import is_settled
from nbkit.values import decode

Findings = list[str]  # in the class below, `list` is a method
Paths = list[Path]
Listing = list[tuple[str, pd.DataFrame]]


class Reader:
    """Models, versions, aliases, gates and the log of one team, to look at.

    States, aliases and gates are what the log says; digests and facts are computed again and compared with it. What
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

    def get(self, reference: str) -> Version:
        """Find a version: ``flights@candidate``, ``flights@3``, or ``flights`` for the newest.

        Its digest is computed again from the rows of its files and compared with the log, which says its state, aliases
        and gates. The bytes of the files are checked when they are loaded.

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
            need_model(connection, name)
            standing, findings = self._ledger.replay(connection, name)
            number = find_number(connection, name, rest, standing)
            findings += compare_model(connection, name, standing, [number])
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
                need_model(connection, name)
                query = query.where(VERSIONS.c.name == name)
            found = connection.execute(query).mappings().all()
            standings = replay_models(read_events(connection, name))
            rows = []
            for row in found:
                name, number = row["name"], row["number"]
                standing = standings.get(name, Standing())
                where = standing.states.get(number, "unknown"), ", ".join(standing.list_aliases(number))
                rows.append((name, number, *where, row["created"], row["by"], row["digest"]))
            columns = ["name", "number", "state", "aliases", "created", "by", "digest"]
            scores = pd.DataFrame([score_values(row["scores"]) for row in found])
            return pd.concat([pd.DataFrame(rows, columns=columns), scores], axis=1)

    def history(self, name: str | None = None) -> pd.DataFrame:
        """Return the log, oldest first: time, event, name, number, alias, by, why, detail."""
        with self._ledger.explain(), self.read() as connection, connection.begin():
            if name is not None:
                need_model(connection, name)
            rows = read_events(connection, name)
        return pd.DataFrame(rows, columns=["time", "event", "name", "number", "alias", "by", "why", "detail"])

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
        """State whether the log is signed, and whether that was checked."""
        if self._ledger.log.has_key:
            return "signed with this key"
        signed = self._ledger.is_signed()
        return "signed, but there is no key here to check that" if signed else "not signed"

    def describe_versions(self, name: str) -> str:
        """Describe which versions of a model there are, and the state of each."""
        rows = self.list(name).sort_values("number").itertuples()
        return f"there are {', '.join(f'{name}@{row.number} ({row.state})' for row in rows)}"

    def list_source_runs(self) -> set[str]:
        """Return the names of the runs that registered a version."""
        with self.read() as connection:
            lineages = connection.execute(sa.select(VERSIONS.c.lineage)).scalars()
            return {str(run) for lineage in lineages if (run := decode(lineage).get("run"))}

    def find_unused_files(self) -> Paths:
        """Return the files that no version holds: what a registration left that was killed on its way."""
        with self.read() as connection:
            used = set(connection.execute(sa.select(FILES.c.key)).scalars())
        unused = [path for path in self.store.list_files() if f"{path.parent.name}/{path.name}" not in used]
        return [path for path in unused if is_settled(path)]
