"""A model file whose trees lead out of themselves is refused before compiled code follows them."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from nbkit import formats
from nbkit.errors import CorruptArtifact
from nbkit.trees import check_trees
from nbkit.trust import load_model

X = np.random.default_rng(0).normal(size=(300, 4))
X[:, 1] = (X[:, 1] * 2).round() % 5
Y = (X[:, 0] + X[:, 1] > 1).astype(int)
MODELS = {
    "tree": DecisionTreeClassifier(max_depth=4),
    "forest": RandomForestRegressor(5, max_depth=4),
    "boosting": HistGradientBoostingClassifier(max_iter=5, categorical_features=[1]),
    "older boosting": GradientBoostingClassifier(n_estimators=5),
    "parts of the columns": BaggingClassifier(max_features=0.5, n_estimators=5),
    "isolation": IsolationForest(n_estimators=5, max_features=0.5),
    "in company": VotingClassifier([("a", make_pipeline(DecisionTreeClassifier(max_depth=3)))]),
    "calibrated": CalibratedClassifierCV(HistGradientBoostingClassifier(max_iter=5)),
}


@pytest.mark.parametrize("name", MODELS)
def test_honest_trees_are_sound(name):
    check_trees(MODELS[name].fit(X, Y))


def spoil(content, field, place, value):
    """Write a number into the first array of nodes of a model file; return the file, or None if it stays as it is."""
    out, done = io.BytesIO(), False
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            if name.endswith(".npy") and not done:
                nodes = np.load(io.BytesIO(part), allow_pickle=False)
                if nodes.dtype.names and field in nodes.dtype.names:
                    nodes = nodes.copy()
                    value = np.array(value).astype(nodes.dtype[field])
                    done = bool(nodes[field][place % len(nodes)] != value)
                    nodes[field][place % len(nodes)] = value
                    buffer = io.BytesIO()
                    np.save(buffer, nodes)
                    part = buffer.getvalue()
            new.writestr(name, part)
    return out.getvalue() if done else None


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("tree", "left_child", 2**40),
        ("tree", "right_child", 0),
        ("tree", "feature", 4),
        ("tree", "feature", -7),
        ("forest", "left_child", 2**20),
        ("forest", "feature", 2**35),
        ("boosting", "left", 0),
        ("boosting", "right", 2**31),
        ("boosting", "feature_idx", 2**30),
        ("older boosting", "feature", 99),
    ],
)
def test_trees_that_lead_out_of_themselves_are_refused(name, field, value):
    content = spoil(formats.dump(MODELS[name].fit(X, Y))[2], field, 0, value)
    with pytest.raises(CorruptArtifact, match="points outside"):
        load_model(content)


@settings(max_examples=150)
@given(
    st.sampled_from(["tree", "forest", "boosting", "older boosting"]),
    st.sampled_from(
        [
            "left_child",
            "right_child",
            "feature",
            "left",
            "right",
            "feature_idx",
            "is_leaf",
            "is_categorical",
            "bitset_idx",
        ]
    ),
    st.integers(0, 40),
    st.integers(-(2**40), 2**40) | st.integers(-3, 40),
)
def test_whatever_stands_in_a_tree_it_is_refused_or_answers(name, field, place, value):
    content = spoil(fitted(name), field, place, value)
    if content is None:
        return
    try:
        model = load_model(content)
    except CorruptArtifact:
        return
    assert len(model.predict(X)) == len(X)


def fitted(name, cache={}):  # noqa: B006 - it is meant to last
    if name not in cache:
        cache[name] = formats.dump(MODELS[name].fit(X, Y))[2]
    return cache[name]
