"""Small values as JSON that keeps their type: NaN, None, dates, tuples, NumPy and pandas scalars, arrays."""

import base64
import datetime as dt
import decimal
import math
import sys
from collections.abc import Callable
from typing import Any

from nbkit.errors import UnknownKind

TAG = "$"
PLAIN = (str, bool, type(None))
SAFE = 2**53  # up to here JavaScript tells whole numbers apart


def encode(value: Any) -> Any:
    """Turn a value into JSON types; what JSON cannot say is wrapped as ``{"$": type, "value": …}``.

    So is what JavaScript would not bring back when JupyterLab saves a notebook: floats without a fraction (it writes 3
    for 3.0) and whole numbers beyond 2**53.

    Parameters
    ----------
    value
        None, bool, int, float, str, bytes, Decimal, dates and times, NumPy scalars and arrays, pandas scalars, and
        lists, tuples, sets and dicts of these (dict keys of any such type).

    Returns
    -------
    object
        Only dict, list, str, int, finite float, bool and None.

    Raises
    ------
    UnknownKind
        For any other type.

    Examples
    --------
    >>> encode({"auc": 0.75, "low": float("nan"), "range": (0, 1)})
    {'auc': 0.75, 'low': {'$': 'float', 'value': 'nan'}, 'range': {'$': 'tuple', 'value': [0, 1]}}
    >>> decode(_)
    {'auc': 0.75, 'low': nan, 'range': (0, 1)}
    """
    if type(value) in PLAIN:
        return value
    if isinstance(value, dict):
        return _encode_dict(value)
    if isinstance(value, list):
        return [encode(item) for item in value]
    for name, belongs, pack, _ in CODECS:
        if belongs(value):
            return _tagged(name, pack(value))
    if isinstance(value, float):
        whole = not math.isfinite(value) or value.is_integer()
        return _tagged("float", repr(float(value))) if whole else float(value)
    if isinstance(value, int):
        return int(value) if abs(value) <= SAFE else _tagged("int", str(int(value)))
    if isinstance(value, str):  # a subclass, such as an enum's member
        return str(value)
    raise UnknownKind(
        f"a {type(value).__module__}.{type(value).__qualname__} is not a small value; "
        "save a table, a model, a figure, or plain values"
    )


def decode(data: Any) -> Any:
    """Undo `encode`.

    Parameters
    ----------
    data
        What `encode` returned, also after a round trip through JSON.
    """
    if isinstance(data, list):
        return [decode(item) for item in data]
    if not isinstance(data, dict):
        return data
    if TAG not in data:
        return {key: decode(item) for key, item in data.items()}
    name, inner = data[TAG], data["value"]
    if name == "dict":
        return {decode(key): decode(item) for key, item in inner}
    if name == "None":
        return None
    if name in ("float", "int"):
        return {"float": float, "int": int}[name](inner)
    for known, _, _, unpack in CODECS:
        if known == name:
            return unpack(inner)
    raise UnknownKind(f"a value of kind {name!r} was written by a newer nbkit: upgrade to read it")


def _tagged(name: str, value: Any) -> dict[str, Any]:
    return {TAG: name, "value": value}


def _encode_dict(value: dict[Any, Any]) -> dict[str, Any]:
    if all(type(key) is str for key in value) and TAG not in value:
        return {key: encode(item) for key, item in value.items()}
    return _tagged("dict", [[encode(key), encode(item)] for key, item in value.items()])


def is_of(module: str, name: str) -> Callable[[Any], bool]:
    """Return a test for a type of a module, which does not import it: who holds such a value has it loaded."""
    return lambda value: module in sys.modules and isinstance(value, getattr(sys.modules[module], name))


def _is_missing(name: str) -> Callable[[Any], bool]:
    return lambda value: "pandas" in sys.modules and value is getattr(sys.modules["pandas"], name)


def _pack_scalar(value: Any) -> list[Any]:
    if value.dtype.kind in "mM":
        return [value.dtype.str, str(value.astype("int64"))]
    return [value.dtype.str, encode(value.item())]


def _unpack_scalar(inner: list[Any]) -> Any:
    import numpy as np

    dtype = np.dtype(inner[0])
    plain = int(inner[1]) if dtype.kind in "mM" else decode(inner[1])
    return np.array(plain, dtype="int64").view(dtype)[()] if dtype.kind in "mM" else dtype.type(plain)


def _pack_array(value: Any) -> list[Any]:
    flat = value.astype("int64") if value.dtype.kind in "mM" else value
    return [value.dtype.str, list(value.shape), [encode(item) for item in flat.ravel().tolist()]]


def _unpack_array(inner: list[Any]) -> Any:
    import numpy as np

    dtype, items = np.dtype(inner[0]), [decode(item) for item in inner[2]]
    if dtype.kind == "O":
        array = np.empty(len(items), dtype=object)
        array[:] = items
    else:
        array = np.array(items, dtype="int64" if dtype.kind in "mM" else dtype)
    return (array.view(dtype) if dtype.kind in "mM" else array).reshape(inner[1])


def _pandas(name: str) -> Callable[[Any], Any]:
    def build(inner: Any) -> Any:
        import pandas as pd

        return getattr(pd, name) if inner is None else getattr(pd, name)(inner)

    return build


def _pack_timedelta(value: dt.timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _pack_timestamp(value: Any) -> list[Any]:
    plain = value.tz_localize(None) if value.tz is None else value.tz_convert("UTC").tz_localize(None)
    zone = None if value.tz is None else str(value.tz)
    return [plain.isoformat(), zone, value.unit]


def _unpack_timestamp(inner: list[Any]) -> Any:
    import pandas as pd

    stamp = pd.Timestamp(inner[0])
    return (stamp if inner[1] is None else stamp.tz_localize("UTC").tz_convert(inner[1])).as_unit(inner[2])


def _pack_set(value: Any) -> list[Any]:
    return sorted((encode(item) for item in value), key=repr)


# name, does it belong, to JSON, from JSON; the first that fits wins, so subclasses come before what they extend
CODECS: tuple[tuple[str, Callable[[Any], bool], Callable[[Any], Any], Callable[[Any], Any]], ...] = (
    ("NaT", _is_missing("NaT"), lambda _: None, _pandas("NaT")),
    ("NA", _is_missing("NA"), lambda _: None, _pandas("NA")),
    ("ndarray", is_of("numpy", "ndarray"), _pack_array, _unpack_array),
    ("numpy", is_of("numpy", "generic"), _pack_scalar, _unpack_scalar),
    ("Timestamp", is_of("pandas", "Timestamp"), _pack_timestamp, _unpack_timestamp),
    ("Timedelta", is_of("pandas", "Timedelta"), lambda value: value.isoformat(), _pandas("Timedelta")),
    ("datetime", is_of("datetime", "datetime"), lambda value: value.isoformat(), dt.datetime.fromisoformat),
    ("date", is_of("datetime", "date"), lambda value: value.isoformat(), dt.date.fromisoformat),
    ("time", is_of("datetime", "time"), lambda value: value.isoformat(), dt.time.fromisoformat),
    ("timedelta", is_of("datetime", "timedelta"), _pack_timedelta, lambda inner: dt.timedelta(*inner)),
    ("Decimal", is_of("decimal", "Decimal"), str, decimal.Decimal),
    ("bytes", is_of("builtins", "bytes"), lambda value: base64.b64encode(value).decode("ascii"), base64.b64decode),
    ("bytes", is_of("builtins", "bytearray"), lambda value: base64.b64encode(value).decode("ascii"), base64.b64decode),
    (
        "tuple",
        is_of("builtins", "tuple"),
        lambda value: list(map(encode, value)),
        lambda inner: tuple(map(decode, inner)),
    ),
    ("frozenset", is_of("builtins", "frozenset"), _pack_set, lambda inner: frozenset(map(decode, inner))),
    ("set", is_of("builtins", "set"), _pack_set, lambda inner: set(map(decode, inner))),
)
