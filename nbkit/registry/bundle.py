"""A bundle: everything a model version is made of, as files whose manifest's sha256 is the version's identity."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nbkit import formats
from nbkit.errors import BadModel, BadParameter, CorruptArtifact
from nbkit.registry.versions import unknown
from nbkit.store import Store, write_atomic

MANIFEST = "nbkit.json"
COLUMNS = ("path", "kind", "sha256", "bytes", "key")


def store_bundle(bundle: Mapping[str, Any], store: Store) -> pd.DataFrame:
    """Keep each entry of a bundle as a file; entries that are None are left out.

    Parameters
    ----------
    bundle
        Entry name (letters, digits, ``_``, ``-``) to value; ``model`` is required, and is loaded again at once, since
        a model that cannot be loaded must not be registered. Dataclasses are kept as dicts.
    store
        Where the bytes go.

    Returns
    -------
    DataFrame
        The manifest, sorted by path: path, kind, sha256, bytes, key.

    Raises
    ------
    BadModel
        No model in the bundle.
    UntrustedType
        The model holds types defined in a notebook or not vouched for.
    """
    if bundle.get("model") is None:
        raise BadModel(f"a bundle needs an entry 'model'; it has {', '.join(bundle) or 'nothing'}")
    bad = [name for name in bundle if not re.fullmatch(r"\w[\w-]*", name)]
    if bad:
        raise BadParameter(f"bundle entries are named with letters, digits, _ and -; not {bad[0]!r}")
    rows = []
    for name, value in bundle.items():
        if value is None:
            continue
        if dataclasses.is_dataclass(value) and not isinstance(value, type | formats.Picture):
            value = dataclasses.asdict(value)  # a Contract, for instance
        kind, suffix, content = formats.dump(value)
        if kind == "model":
            formats.load(kind, content)
        key = store.put(content, suffix)
        rows.append((f"{name}{suffix}", kind, hashlib.sha256(content).hexdigest(), len(content), key))
    return pd.DataFrame(sorted(rows), columns=list(COLUMNS))


def digest_manifest(files: pd.DataFrame) -> str:
    """Return the sha256 of a manifest: the identity of a bundle, wherever its bytes lie.

    Examples
    --------
    >>> row = {"path": "model.skops", "kind": "model", "sha256": "ab", "bytes": 3, "key": "anywhere"}
    >>> digest_manifest(pd.DataFrame([row]))[:8]
    'aa56b1d0'
    """
    rows = files.sort_values("path")[["path", "kind", "sha256", "bytes"]].values.tolist()
    return hashlib.sha256(json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def load_entry(files: pd.DataFrame, name: str, store: Store) -> Any:
    """Load one entry of a bundle after its bytes were checked against the manifest.

    Parameters
    ----------
    files
        The manifest.
    name
        The entry, with or without its suffix: ``model`` or ``model.skops``.
    store
        Where the bytes are.

    Raises
    ------
    UnknownVersion
        No such entry.
    CorruptArtifact
        The bytes are gone or not those that were registered.
    """
    names = [Path(path).stem for path in files["path"]]
    wanted = Path(name).stem
    if wanted not in names:
        raise unknown("bundle entry", name, names)
    row = files.iloc[names.index(wanted)]
    return formats.load(row["kind"], read_file(row, store))


def read_file(row: Any, store: Store) -> bytes:
    """Return the bytes of one row of a manifest, checked against the sha256 that the manifest tells."""
    content = store.get(row["key"])
    if hashlib.sha256(content).hexdigest() != row["sha256"]:
        raise CorruptArtifact(f"{row['path']} is not the file that was registered; register the model again")
    return content


def export_files(files: pd.DataFrame, store: Store, folder: Path, facts: Mapping[str, Any]) -> Path:
    """Write a bundle as a plain folder: its files, and ``nbkit.json`` with the manifest and `facts`.

    Raises
    ------
    CorruptArtifact
        A path in the manifest points outside of the folder, or bytes were changed.
    """
    folder = folder.resolve()
    for _, row in files.iterrows():
        path = (folder / row["path"]).resolve()
        if not path.is_relative_to(folder):
            raise CorruptArtifact(f"the manifest's path {row['path']!r} points outside of the bundle")
        write_atomic(path, read_file(row, store))
    listing = files[["path", "kind", "sha256", "bytes"]].to_dict("records")
    text = json.dumps({**facts, "files": listing}, indent=2, ensure_ascii=False, default=str)
    write_atomic(folder / MANIFEST, text.encode())
    return folder
