"""Digests of what a stage's result depends on: files, folders, modules, packages; read again only if they change."""

import ast
import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from nbkit.cells import digest_code
from nbkit.store import digest_file, write_atomic

FRESH, COARSE = 100_000_000, 2_000_000_000  # nanoseconds in which a file may change again without its time telling
# how values are handed over and cells are run: their versions change no result
TOOLS = {"nbkit", "papermill", "scrapbook", "ipykernel", "ipython", "nbformat", "nbclient"}


class Memo:
    """Digests of files, kept for as long as size, time and inode of a file stay what they were.

    Parameters
    ----------
    path
        Where it is kept; what cannot be read is forgotten.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._changed = False
        try:
            self._known: dict[str, list[Any]] = dict(json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            self._known = {}

    def digest(self, place: Path) -> str:
        """Return the sha256 of a file, for ``.py`` of what its code does.

        Returns
        -------
        str
            Empty if there is no such file.
        """
        try:
            facts = place.stat()
        except OSError:
            return ""
        changed = facts.st_ctime_ns if facts.st_nlink == 1 else 0  # a copy may keep the rest; a link changes only this
        stamp = [facts.st_size, facts.st_mtime_ns, changed, facts.st_ino]
        known = self._known.get(str(place))
        if known and known[:-1] == stamp:
            return str(known[-1])
        try:
            found = _digest_module(place) if place.suffix == ".py" else digest_file(place)
        except OSError:
            return ""
        if time.time_ns() - facts.st_mtime_ns > (FRESH if facts.st_mtime_ns % 1_000_000_000 else COARSE):
            self._known[str(place)] = [*stamp, found]
            self._changed = True
        return found

    def save(self) -> None:
        """Keep what was learnt; losing it costs time only."""
        if self._changed:
            self._changed = False
            with contextlib.suppress(OSError):
                write_atomic(self.path, json.dumps(self._known).encode())


def _digest_module(path: Path) -> str:
    try:
        return digest_code(ast.parse(path.read_bytes()))
    except (SyntaxError, ValueError, RecursionError):
        return digest_file(path)


def find_packages(modules: Iterable[str]) -> dict[str, str]:
    """Return the versions of the distributions that hold these modules, and of all that those require.

    Parameters
    ----------
    modules
        Names of top-level modules; what is in no distribution is passed over.
    """
    owners = list_owners()
    wanted = [_normalise(owner) for module in modules for owner in owners.get(module, ())]
    versions, found = list_versions(), {}
    while wanted:
        name = wanted.pop()
        if name in versions and name not in found and name not in TOOLS:
            found[name] = versions[name]
            wanted += _requirements(name)
    return dict(sorted(found.items()))


@cache
def list_versions() -> dict[str, str]:
    """Return the version of each installed distribution, from the names of its metadata folders alone."""
    found: dict[str, str] = {}
    for folder in reversed(sys.path):
        try:
            entries = os.listdir(folder or ".")  # noqa: PTH208 - a thousand times per start
        except OSError:
            continue
        for entry in entries:
            if entry.endswith(".dist-info"):
                name, _, version = entry.removesuffix(".dist-info").partition("-")
                found[_normalise(name)] = version
    return found


@cache
def list_owners() -> dict[str, list[str]]:
    """Return the distributions of each top-level module; takes a quarter of a second, once."""
    from importlib import metadata

    return dict(metadata.packages_distributions())


@cache
def _requirements(name: str) -> tuple[str, ...]:
    from importlib import metadata

    required = metadata.requires(name) or []
    plain = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in required if "extra ==" not in line]
    return tuple(_normalise(each) for each in plain)


def _normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
