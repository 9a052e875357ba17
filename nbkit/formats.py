"""Objects as files: tables as Parquet, models with skops, figures as SVG or PNG, contracts and other values as JSON.

A new kind of artifact is one row in `FORMATS`. The same content always gives the same bytes.
"""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from nbkit.contract import Contract
from nbkit.errors import CorruptArtifact, NbkitError, UnknownKind, UntrustedType
from nbkit.pictures import PNG, dump_figure, is_figure, load_figure
from nbkit.problem import Problem
from nbkit.trust import load_model
from nbkit.values import decode, encode, is_of


@dataclass(frozen=True)
class Format:
    """One kind of artifact: how it is recognised, written and read."""

    kind: str
    suffix: str
    belongs: Callable[[Any], bool]
    dump: Callable[[Any], bytes]
    load: Callable[[bytes], Any]


def find_format(value: Any) -> Format:
    """Return the format that keeps a value.

    Raises
    ------
    UnknownKind
        If there is none; the message lists what can be kept.
    """
    for row in FORMATS:
        if row.belongs(value):
            return row
    raise UnknownKind(
        f"nothing keeps a {type(value).__module__}.{type(value).__qualname__}; "
        f"what can be kept: {', '.join(row.kind for row in FORMATS)}"
    )


def dump(value: Any) -> tuple[str, str, bytes]:
    """Turn a value into ``(kind, suffix, bytes)``; the same content gives the same bytes.

    Examples
    --------
    >>> kind, suffix, content = dump({"auc": 0.75})
    >>> kind, suffix, load(kind, content)
    ('value', '.json', {'auc': 0.75})
    """
    row = find_format(value)
    content = row.dump(value)
    return row.kind, ".png" if content.startswith(PNG) else row.suffix, content


def check_loadable(model: Any, name: str) -> None:
    """Refuse a model or transformer that later stages could not load; `name` is what it is called in the error.

    Raises
    ------
    UntrustedType
        If it is made of code that this project does not vouch for.
    """
    kind, _, content = dump(model)
    try:
        load(kind, content)
    except UntrustedType as error:
        raise UntrustedType(f"{name} could not be loaded by later stages: {error}") from None


def load(kind: str, content: bytes) -> Any:
    """Undo `dump`.

    Raises
    ------
    UnknownKind
        If `kind` is none of `FORMATS`.
    UntrustedType
        If a model holds types that neither nbkit nor this project vouches for.
    CorruptArtifact
        If the bytes are not a file of that kind.
    """
    for row in FORMATS:
        if row.kind == kind:
            try:
                return row.load(content)
            except NbkitError:
                raise
            except Exception as error:  # each library has errors of its own
                raise CorruptArtifact(f"this is not a {kind}: {type(error).__name__}: {error}") from error
    raise UnknownKind(f"no format {kind!r}; there are {', '.join(row.kind for row in FORMATS)}")


# --- tables


def _dump_table(frame: Any) -> bytes:
    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UnknownKind(f"a table needs distinct column names; twice: {', '.join(twice)}")
    buffer = io.BytesIO()
    try:
        frame.to_parquet(buffer, engine="pyarrow", compression="zstd")
    except Exception as error:
        raise UnknownKind(f"this table cannot be kept as Parquet: {error}; give each column one type") from error
    return buffer.getvalue()


def _load_table(content: bytes) -> Any:
    import pandas as pd

    return pd.read_parquet(io.BytesIO(content), engine="pyarrow")


# --- models


def _is_model(value: Any) -> bool:
    return hasattr(value, "get_params") and hasattr(value, "fit")


def _dump_model(model: Any) -> bytes:
    from skops import io as skops_io

    lost = [name for name in skops_io.get_untrusted_types(data=skops_io.dumps(model)) if name.startswith("__main__.")]
    if lost:
        raise UntrustedType(
            f"{', '.join(lost)} is defined in the notebook and could not be loaded anywhere else: move it to a module"
        )
    return _settle_archive(skops_io.dumps(model))


def _settle_archive(content: bytes) -> bytes:
    """Rewrite a skops archive without memory addresses and times, so that equal models are equal bytes.

    Ids and member files are numbered in the order in which ``schema.json`` meets them. Equal plain values share an id:
    whether they were one object in memory is chance.
    """
    ids: dict[Any, int] = {}
    files: dict[str, str] = {}

    def settle(node: Any) -> Any:
        if isinstance(node, list):
            return [settle(item) for item in node]
        if not isinstance(node, dict):
            return node
        settled: dict[str, Any] = {}
        for key, item in node.items():
            if key == "__id__":
                plain = node.get("__loader__") == "JsonNode"
                settled[key] = ids.setdefault(node["content"] if plain else item, len(ids) + 1)
            elif key == "file" and isinstance(item, str):
                settled[key] = files.setdefault(item, f"{len(files) + 1}{Path(item).suffix}")
            else:
                settled[key] = settle(item)
        return settled

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        schema = settle(json.loads(archive.read("schema.json")))
        members = {new: _settle_array(archive.read(old)) for old, new in files.items()}
    members["schema.json"] = json.dumps(schema).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, member)
    return buffer.getvalue()


def _settle_array(content: bytes) -> bytes:
    """Zero the padding between the fields of a structured array (the nodes of a tree), which is whatever was there."""
    if not content.startswith(b"\x93NUMPY"):
        return content
    array = _load_array(content)
    if array.dtype.names is None:
        return content
    settled = array.copy()
    settled.view("u1")[...] = 0
    for name in array.dtype.names:
        settled[name] = array[name]
    return _dump_array(settled)


# --- anything else


def _is_array(value: Any) -> bool:
    return is_of("numpy", "ndarray")(value) and value.dtype.kind != "O"


def _dump_array(array: Any) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _load_array(content: bytes) -> Any:
    import numpy as np

    array = np.load(io.BytesIO(content), allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise ValueError("it is an archive of arrays")
    return array


def _dump_value(value: Any) -> bytes:
    return json.dumps(encode(value), ensure_ascii=False, allow_nan=False).encode()


def _load_value(content: bytes) -> Any:
    return decode(json.loads(content))


FORMATS: tuple[Format, ...] = (
    Format("table", ".parquet", is_of("pandas", "DataFrame"), _dump_table, _load_table),
    Format(
        "series",
        ".parquet",
        is_of("pandas", "Series"),
        lambda series: _dump_table(series.to_frame("value" if series.name is None else series.name)),
        lambda content: _load_table(content).iloc[:, 0],
    ),
    Format("figure", ".svg", is_figure, dump_figure, load_figure),
    Format("model", ".skops", _is_model, _dump_model, load_model),
    Format("array", ".npy", _is_array, _dump_array, _load_array),
    Format(
        "problem",
        ".json",
        lambda value: isinstance(value, Problem),
        lambda problem: _dump_value(asdict(problem)),
        lambda content: Problem(**_load_value(content)),
    ),
    Format(
        "contract",
        ".json",
        lambda value: isinstance(value, Contract),
        lambda contract: json.dumps(asdict(contract), ensure_ascii=False, default=str).encode(),
        lambda content: msgspec.convert(json.loads(content), Contract),
    ),
    Format("value", ".json", lambda _: True, _dump_value, _load_value),
)
