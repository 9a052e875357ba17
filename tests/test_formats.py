import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from nbkit import formats, pictures
from nbkit.contract import ColumnRule, Confirmation, Contract, TableRule
from nbkit.errors import CorruptArtifact, UnknownKind, UntrustedType

RANDOM = np.random.default_rng(0)
X = pd.DataFrame({"a": RANDOM.normal(size=200), "b": RANDOM.normal(size=200)})
TEXT = X.assign(c=list("xy") * 100)
Y = (X["a"] + RANDOM.normal(size=200) > 0).astype(int)
MODELS = {
    "boosting": (HistGradientBoostingClassifier(max_iter=5, random_state=0), X),
    "regression": (HistGradientBoostingRegressor(max_iter=5, random_state=0), X),
    "forest": (RandomForestClassifier(5, random_state=0), X),
    "linear": (
        make_pipeline(
            ColumnTransformer(
                [
                    ("n", make_pipeline(SimpleImputer(), StandardScaler()), ["a", "b"]),
                    ("c", OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=3), ["c"]),
                ]
            ),
            LogisticRegression(),
        ),
        TEXT,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_equal_models_are_equal_bytes_and_load_as_they_were(name):
    model, data = MODELS[name]
    first, second = (formats.dump(model.fit(data, Y))[2] for _ in range(2))
    assert first == second
    loaded = formats.load("model", first)
    assert (loaded.predict(data) == model.predict(data)).all()
    assert formats.dump(loaded)[2] == first


def test_a_model_has_the_same_bytes_in_another_process():
    code = (
        "import hashlib, tests.test_formats as t\n"
        "print(hashlib.sha256(t.formats.dump(t.MODELS['linear'][0].fit(t.TEXT, t.Y))[2]).hexdigest())"
    )
    said = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in "ab"
    }
    assert len(said) == 1


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": pd.to_datetime(["2013-01-01", None])}),
        pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "c": pd.Categorical(["u", "v"])}),
        pd.DataFrame({"value": [0.7]}, index=pd.Index(["roc_auc"], name="metric")),
        pd.DataFrame({"ü ✈": [True, False]}),
        pd.DataFrame(columns=["a", "b"]),
        pd.DataFrame({"a": pd.Series([], dtype="float64")}),
        pd.DataFrame({"t": pd.to_datetime(["2013-11-03 05:30"], utc=True).tz_convert("America/New_York")}),
    ],
    ids=["mixed", "nullable", "indexed", "unicode", "no rows or types", "no rows", "zoned"],
)
def test_a_table_comes_back_equal(frame):
    kind, suffix, content = formats.dump(frame)
    assert (kind, suffix) == ("table", ".parquet")
    pd.testing.assert_frame_equal(formats.load(kind, content), frame)
    assert formats.dump(frame.copy())[2] == content


def test_a_series_comes_back_with_its_name():
    series = pd.Series([1.0, None], name="late")
    kind, _, content = formats.dump(series)
    pd.testing.assert_series_equal(formats.load(kind, content), series)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "twice: a"),
        (pd.DataFrame({"a": [1, "x"]}), "one type"),
    ],
)
def test_a_table_that_cannot_be_kept_says_why(frame, words):
    with pytest.raises(UnknownKind, match=words):
        formats.dump(frame)


def test_an_array_comes_back():
    array = np.arange(12.0).reshape(3, 4)
    kind, suffix, content = formats.dump(array)
    assert suffix == ".npy"
    np.testing.assert_array_equal(formats.load(kind, content), array)


def test_a_matplotlib_figure_is_an_svg_that_is_the_same_twice():
    def draw():
        figure = Figure()
        axes = figure.subplots()
        axes.plot([1, 3, 2])
        axes.set_title("a < b & c")
        return formats.dump(figure)

    assert draw() == draw()
    kind, suffix, content = draw()
    assert suffix == ".svg"
    assert formats.load(kind, content).alt == "a < b & c"


def test_a_large_figure_becomes_a_png():
    figure = Figure()
    figure.subplots().scatter(RANDOM.normal(size=9000), RANDOM.normal(size=9000))
    kind, suffix, content = formats.dump(figure)
    assert suffix == ".png"
    assert formats.load(kind, content) == content


def test_a_picture_keeps_its_words():
    picture = pictures.Picture("<svg width='1'><path/></svg>", alt='two "bars", 3 < 4', title="Bars")
    kind, suffix, content = formats.dump(picture)
    assert suffix == ".svg"
    assert content.startswith(
        b"<svg style=\"color: #1f2328; background: #ffffff\" width='1'><title>Bars</title><desc>two"
    )
    assert formats.load(kind, content) == picture


def test_code_that_only_the_notebook_has_is_refused():
    def double(values):
        return values * 2

    double.__module__ = "__main__"
    double.__qualname__ = "double"
    with pytest.raises(UntrustedType, match="move it to a module"):
        formats.dump(FunctionTransformer(double))


def test_an_unknown_kind_lists_the_known():
    with pytest.raises(UnknownKind, match="table, series, figure, model"):
        formats.load("pickle", b"")


def test_a_picture_is_kept_on_a_plate_and_loaded_without():
    for svg in ('<svg style="x: y"><g/></svg>', '<svg><g style="x: y"/></svg>'):
        kind, _, content = formats.dump(pictures.Picture(svg, "alt", "title"))
        assert b"color: #1f2328; background: #ffffff" in content.split(b">")[0]
        assert formats.load(kind, content) == pictures.Picture(svg, "alt", "title")


def test_a_contract_is_a_kind_of_its_own():
    late = ColumnRule("late", categories=(0, 1), available_at="target")
    heights = ColumnRule("ü", "number", max_missing=0.5, min=-1.5, max=10**30, unit="m")
    rules = (TableRule("order", "a < b"),)
    contract = Contract((heights, late), rules, ("ü",), 7, confirmed=Confirmation("Ann", "2026-11-28", "abc"))
    kind, suffix, content = formats.dump(contract)
    assert (kind, suffix) == ("contract", ".json")
    assert formats.load(kind, content) == contract
    assert formats.load(kind, formats.dump(Contract(()))[2]) == Contract(())
    for damaged in (b"", b"[]", content.replace(b'"columns"', b'"colums"')):
        with pytest.raises(CorruptArtifact, match="not a contract"):
            formats.load(kind, damaged)
