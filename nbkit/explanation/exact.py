"""Exact Shapley values: trees by TreeSHAP, also with native categories; linear models; models that tell their own."""

from typing import Any

import numpy as np

from nbkit.explanation.shapley import Parts
from nbkit.explanation.treeshap import Tree, explain_trees, make_tree
from nbkit.model.train import draw_rows
from nbkit.stats import Array

NODES = 105_000_000  # tree nodes that are visited in a second, a node of several outputs once for each
TREES = ("RandomForest", "ExtraTrees", "HistGradientBoosting", "DecisionTree", "LGBM", "XGB")


def is_trees(last: Any) -> bool:
    """Return whether an estimator is made of trees that can be walked."""
    return any(type(last).__name__.startswith(name) for name in TREES)


def count_nodes(last: Any) -> int:
    """Return how many nodes the trees of scikit-learn's estimators have; 0 where there are none."""
    trees = [tree.tree_.node_count for tree in getattr(last, "estimators_", []) if hasattr(tree, "tree_")]
    return int(sum(trees) + sum(len(tree.nodes) for step in getattr(last, "_predictors", []) for tree in step))


def by_trees(parts: Parts, seed: int, background: int) -> tuple[Array, Array]:
    """Explain trees by TreeSHAP, path-dependent; LightGBM and XGBoost by their own."""
    boosted = type(parts.last).__name__.startswith("HistGradientBoosting")
    ask = _ask_own if gives_own(parts.last) else _walk_boosting if boosted else _walk_forest
    return match_outputs(*ask(parts), parts)


def by_weights(parts: Parts, seed: int, background: int) -> tuple[Array, Array]:
    """Explain a linear model exactly, against the mean of some rows."""
    coef = np.atleast_2d(parts.last.coef_)
    intercept = np.atleast_1d(parts.last.intercept_)
    matrix = parts.matrix.to_numpy(dtype=float)
    middle = draw_rows(parts.matrix, background, seed).to_numpy(dtype=float).mean(axis=0)
    values = (matrix - middle)[:, :, None] * coef.T[None]
    return match_outputs(values, intercept + coef @ middle, parts)


def gives_own(last: Any) -> str:
    """Return which of LightGBM and XGBoost an estimator is of, which give margin and Shapley values; "" if neither."""
    package = type(last).__module__.partition(".")[0]
    return package if package in ("lightgbm", "xgboost") else ""


def match_outputs(values: Array, base: Array, parts: Parts) -> tuple[Array, Array]:
    """Bring the outputs of a method (one per class, or one for the last) to those that are explained."""
    wanted = parts.served.shape[1]
    if values.shape[2] == wanted and wanted > 1:
        return values, base
    guesses = [(values[:, :, [k]], base[[k]]) for k in range(values.shape[2])]
    guesses += [(-part, other - start) for part, start in guesses for other in (0.0, 1.0)]  # of the other class
    return min(guesses, key=lambda guess: float(np.abs(guess[0].sum(axis=1) + guess[1] - parts.served).max()))


def _ask_own(parts: Parts) -> tuple[Array, Array]:
    """Let LightGBM or XGBoost explain itself: for each class its columns, then the base."""
    if gives_own(parts.last) == "lightgbm":
        told = parts.last.predict(parts.given, pred_contrib=True)
    else:
        import xgboost

        rows = xgboost.DMatrix(parts.given, enable_categorical=True)
        told = parts.last.get_booster().predict(rows, pred_contribs=True)
    told = np.asarray(told, dtype=float).reshape(len(parts.matrix), -1, parts.matrix.shape[1] + 1)
    return told[:, :, :-1].transpose(0, 2, 1), told[0, :, -1]


def _walk_forest(parts: Parts) -> tuple[Array, Array]:
    """Explain a forest or one tree: the mean of its trees."""
    matrix = parts.matrix.to_numpy(dtype=np.float32)  # as forests read it
    each = [part.tree_ for part in getattr(parts.last, "estimators_", [parts.last])]
    trees = []
    for tree in each:
        value = tree.value[:, 0, :]
        value = value / value.sum(axis=1, keepdims=True) if hasattr(parts.last, "classes_") else value
        value = value[:, 1:] if value.shape[1] == 2 else value
        asks = {"column": tree.feature, "threshold": tree.threshold, "gap": tree.missing_go_to_left.astype(bool)}
        ends = {"left": tree.children_left, "right": tree.children_right, "cover": tree.weighted_n_node_samples}
        trees.append(make_tree(**ends, **asks, value=value / len(each)))
    return explain_trees(trees, matrix)


def _walk_boosting(parts: Parts) -> tuple[Array, Array]:
    """Explain scikit-learn's boosted trees, also those that ask for categories, which the model moves to the front."""
    last = parts.last
    if last._preprocessor is None:
        order, matrix = np.arange(parts.matrix.shape[1]), parts.matrix.to_numpy(dtype=float)
    else:
        order = np.argsort(~last.is_categorical_, kind="stable")
        matrix = np.asarray(last._preprocess_X(parts.given, reset=False), dtype=float)
    values, bases = [], []
    for place, start in enumerate(np.ravel(last._baseline_prediction)):
        found, base = explain_trees([_read_boosted(step[place]) for step in last._predictors], matrix)
        values.append(found[:, np.argsort(order), 0])
        bases.append(float(start) + base[0])
    return np.stack(values, axis=2), np.array(bases)


def _read_boosted(tree: Any) -> Tree:
    nodes = tree.nodes
    leaf, by_level = nodes["is_leaf"].astype(bool), nodes["is_categorical"].astype(bool)
    bits = np.zeros((len(nodes), 8), dtype=np.uint32)
    bits[by_level] = tree.raw_left_cat_bitsets[nodes["bitset_idx"][by_level]]
    ends = {name: np.where(leaf, -1, nodes[name].astype(int)) for name in ("left", "right")}
    asks = {"column": nodes["feature_idx"], "threshold": nodes["num_threshold"], "by_level": by_level, "bits": bits}
    gap = nodes["missing_go_to_left"].astype(bool)
    return make_tree(**ends, **asks, gap=gap, value=nodes["value"][:, None], cover=nodes["count"])
