"""A bundle: everything a model version is made of, as files whose manifest's sha256 is the version's identity."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nbkit import formats
from nbkit.errors import BadModel, BadParameter, CorruptArtifact, NbkitError
from nbkit.registry.files import Files
from nbkit.registry.versions import unknown

COLUMNS = ("path", "kind", "sha256", "bytes", "key")


def store_bundle(bundle: Mapping[str, Any], store: Files) -> pd.DataFrame:
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
        if dataclasses.is_dataclass(value) and formats.find_format(value).kind == "value":
            value = dataclasses.asdict(value)  # type: ignore[arg-type]
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
    return digest_rows(files.to_dict("records"))


def digest_rows(files: Iterable[Mapping[Any, Any]]) -> str:
    """Return what `digest_manifest` returns, for rows that are not a table."""
    rows = sorted([row["path"], row["kind"], row["sha256"], row["bytes"]] for row in files)
    return hashlib.sha256(json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def load_entry(files: pd.DataFrame, name: str, store: Files) -> Any:
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


def read_file(row: Any, store: Files) -> bytes:
    """Return the bytes of one row of a manifest, checked against the sha256 that the manifest tells."""
    content = store.get(row["key"])
    if hashlib.sha256(content).hexdigest() != row["sha256"]:
        raise CorruptArtifact(f"{row['path']} is not the file that was registered; register the model again")
    return content


def check_files(reference: str, files: pd.DataFrame, store: Files) -> list[str]:
    """Read every file of a version and return a sentence for each that is not what was registered."""
    findings = []
    for row in files.to_dict("records"):
        try:
            read_file(row, store)
        except NbkitError as error:
            findings.append(f"{row['path']} of {reference}: {error}")
    return findings
