import datetime as dt
import decimal
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbkit.errors import UnknownKind
from nbkit.values import decode, encode

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.dates()
    | st.datetimes()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.builds(np.float32, st.floats(width=32))
    | st.builds(np.int64, st.integers(-(2**63), 2**63 - 1))
    | st.frozensets(st.text())
    | st.sets(st.text() | st.integers())
)
KEYS = st.text() | st.integers() | st.tuples(st.text(), st.integers())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)


def travel(value):
    """To JSON and back, through JavaScript, as when JupyterLab saves the notebook."""

    def real(text):
        return int(float(text)) if float(text).is_integer() else float(text)

    return decode(
        json.loads(json.dumps(encode(value), allow_nan=False), parse_float=real, parse_int=lambda t: int(float(t)))
    )


def same(left, right):
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right or (left != left and right != right)


@given(VALUES)
def test_what_travels_arrives_with_its_type(value):
    assert same(travel(value), value)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"), float("-inf"), (1, (2,)), {1, 2}, frozenset("a"), {"$": 1}, {"$": "artifact", "value": 2},
        np.bool_(True), np.str_("s"), np.datetime64("2013-01-01T10"), np.timedelta64(5, "h"),
        pd.Timestamp("2013-11-03 06:30", tz="UTC").tz_convert("America/New_York"),
        pd.Timestamp("2013-01-01"), pd.Timedelta("1h"),
        pd.NaT, pd.NA, dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.time(1, 2), decimal.Decimal("1.10"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_value_arrives_as_it_was(value):
    arrived = travel(value)
    assert type(arrived) is type(value)
    assert repr(arrived) == repr(value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.array([1.0, np.nan, np.inf]),
        np.array(["2013-01-01", "NaT"], dtype="M8[ns]"),
        np.array([None, "a", (1, 2)], dtype=object),
        np.zeros((0, 3), dtype="f4"),
        np.array(5),
        np.array([True, False]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_an_array_keeps_shape_and_dtype(array):
    arrived = travel(array)
    assert arrived.dtype == array.dtype
    assert arrived.shape == array.shape
    assert repr(arrived) == repr(array)


def test_plain_json_stays_plain():
    value = {"auc": 0.75, "names": ["a", "b"], "n": 3, "none": None}
    assert encode(value) == value


def test_what_nothing_keeps_is_refused_by_name():
    with pytest.raises(UnknownKind, match=r"builtins\.object is not a small value"):
        encode({"a": [object()]})
