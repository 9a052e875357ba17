"""Whether the trees of a loaded model can be walked: compiled code follows their numbers without looking."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from nbkit.errors import CorruptArtifact

Ends = tuple[Any, Any, Any, Any]  # left and right child, feature, whether it is a leaf


def check_trees(model: Any) -> None:
    """Check that every tree leads from each node to later nodes only, and asks for features that there are.

    Parameters
    ----------
    model
        A model that was loaded. Trees are looked for in its attributes, and in lists, dicts and arrays of objects.

    Raises
    ------
    CorruptArtifact
        A tree points outside of itself, or its estimator has fewer features than it asks for.
    """
    for tree, owner in _find_trees(model):
        features = getattr(owner, "n_features_in_", None)
        if type(tree).__name__ == "Tree":
            ends: Ends = (tree.children_left, tree.children_right, tree.feature, tree.children_left == -1)
        else:
            nodes = tree.nodes
            ends = (nodes["left"], nodes["right"], nodes["feature_idx"], nodes["is_leaf"].astype(bool))
            sets = nodes["bitset_idx"][nodes["is_categorical"].astype(bool)]
            if (sets >= len(tree.raw_left_cat_bitsets)).any():
                raise CorruptArtifact("the model cannot be used: a tree asks for categories that it does not hold")
        if not isinstance(features, int | np.integer) or not _is_sound(*ends, int(features)):
            raise CorruptArtifact("the model cannot be used: a tree of it points outside of itself or of its features")


def _is_sound(left: Any, right: Any, feature: Any, leaf: Any, features: int) -> bool:
    place = np.arange(len(left))[~leaf]
    children = [each[~leaf].astype("int64") for each in (left, right)]
    asked = feature[~leaf].astype("int64")
    later = all(bool(((child > place) & (child < len(left))).all()) for child in children)
    return len(left) > 0 and later and bool(((asked >= 0) & (asked < features)).all())


def _find_trees(model: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each tree of scikit-learn with the estimator that checks the columns before the tree is walked."""
    waiting, seen = [(model, None)], set()
    while waiting:
        found, owner = waiting.pop()
        if id(found) in seen or found is None or isinstance(found, str | bytes | int | float | type):
            continue
        seen.add(id(found))
        if type(found).__name__ in ("Tree", "TreePredictor") and type(found).__module__.startswith("sklearn."):
            yield found, owner
            continue
        if isinstance(found, np.ndarray):
            parts: Any = found.ravel() if found.dtype == object else ()
        elif isinstance(found, list | tuple | set | frozenset | dict):
            parts = found.values() if isinstance(found, dict) else found
        else:
            owner = owner if _is_walked_by(owner, found) else found
            parts = getattr(found, "__dict__", {}).values()
        waiting += [(each, owner) for each in parts]


def _is_walked_by(ensemble: Any, part: Any) -> bool:
    """Return whether an ensemble hands its rows to a part that looks at them no more."""
    names = {each.__name__ for each in type(ensemble).__mro__} if hasattr(part, "tree_") else set()
    return bool(names & {"BaseForest", "BaseGradientBoosting"})
