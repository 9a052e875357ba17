"""Shapley values of trees, path-dependent and exact, one player a column, in time linear in the number of nodes."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from nbkit.stats import Array

WIDTH = 4  # points that are taken together


@dataclass(frozen=True)
class Tree:
    """One tree; node 0 is its root, and every node comes after its parent.

    Attributes
    ----------
    left, right
        Children of each node; -1 of a leaf.
    column, threshold
        What a split asks; a row goes left whose value is not above the threshold, or whose category is in `bits`.
    gap
        Whether rows without a value go left.
    bits
        (nodes, 8) words of 32 categories that go left; None if no split asks for a category.
    by_level
        Whether a split asks for a category.
    value
        (nodes, outputs); only those of leaves count.
    cover
        How many rows of train came to each node.
    """

    left: Array
    right: Array
    column: Array
    threshold: Array
    gap: Array
    by_level: Array
    bits: Array
    value: Array
    cover: Array


def explain_trees(trees: list[Tree], matrix: Array) -> tuple[Array, Array]:
    """Return the Shapley values of a sum of trees: (rows, columns, outputs), and the base of each output.

    What is not known of a row is averaged over the rows of train that came to each node. The polynomial of a path is
    integrated by Gauss and Legendre's rule with as many points as make it exact.

    Parameters
    ----------
    trees
        Their outputs are added up.
    matrix
        (rows, columns), NaN where there is no value.

    References
    ----------
    Lundberg, S. M. et al. (2020). Nature Machine Intelligence 2, 56-67. Yu, P. et al. (2022). Linear TreeShap. NeurIPS
    35. Owen, G. (1972). Multilinear extensions of games. Management Science 18, 64-79.
    """
    rows = np.ascontiguousarray(matrix, dtype=np.float64)
    outputs = trees[0].value.shape[1]
    trace, _, walk = _compile()
    found, base = np.zeros((len(rows), rows.shape[1], outputs)), np.zeros(outputs)
    for tree in trees:
        leaf = tree.left < 0
        base += tree.value[leaf].T @ tree.cover[leaf] / tree.cover[0]
        if len(leaf) > 1:
            parent, before, width = trace(tree.left, tree.right, tree.column)
            points, weights = np.polynomial.legendre.leggauss(-(-width // (2 * WIDTH)) * WIDTH)
            tables = _tabulate(tree, parent, before, (points + 1) / 2, weights / 2)
            asks = (tree.left, tree.right, tree.column, tree.threshold, tree.gap, tree.by_level, tree.bits)
            walk(rows, *asks, before, *tables, tree.value, found)
    return found, base


def make_tree(**given: Any) -> Tree:
    """Make a tree of arrays of any kind; without `bits` no split asks for a category."""
    size = len(given["left"])
    given = {"by_level": np.zeros(size), "bits": np.zeros((1, 8)), **given}
    kinds = {"threshold": float, "value": float, "cover": float, "gap": bool, "by_level": bool, "bits": np.uint32}
    return Tree(**{k: np.ascontiguousarray(v, dtype=kinds.get(k, np.int64)) for k, v in given.items()})


@cache
def _compile() -> tuple[Any, Any, Any]:
    """Compile the loops, which takes seconds once on a machine."""
    import numba

    return tuple(numba.njit(cache=True)(loop) for loop in (_trace_paths, _multiply, _walk))  # type: ignore[return-value]


def _tabulate(tree: Tree, parent: Array, before: Array, t: Array, weights: Array) -> tuple[Array, Array]:
    """Return by how much each edge multiplies a path's polynomial, and its derivative by the column of the edge.

    Both (nodes, 3, points): the row goes along the edge and all earlier ones of its column; it leaves here; before.
    """
    share = np.ones(len(parent))
    share[1:] = tree.cover[1:] / tree.cover[parent[1:]]
    own, old = _compile()[1](share, before)
    new, was = own[:, None, None], old[:, None, None]
    went, had = np.array([1.0, 0.0, 0.0])[:, None], np.array([1.0, 1.0, 0.0])[:, None]
    now, then = new * (1 - t) + went * t, was * (1 - t) + had * t
    tables = now / then, weights * ((went - new) / now - (had - was) / then)
    return tuple(np.stack(np.split(each, len(t) // WIDTH, axis=2)) for each in tables)  # type: ignore[return-value]


def _trace_paths(left: Array, right: Array, column: Array) -> tuple[Array, Array, int]:
    """Return of each node its parent, the last one above whose edge asks for the same column, and how many columns."""
    size = len(left)
    parent, before, many = np.full(size, -1), np.full(size, -1), np.zeros(size, dtype=np.int64)
    for node in range(size):
        if left[node] >= 0:
            above, found = node, -1
            while above > 0 and found < 0:
                if column[parent[above]] == column[node]:
                    found = above
                above = parent[above]
            for child in (left[node], right[node]):
                parent[child], before[child] = node, found
                many[child] = many[node] + (1 if found < 0 else 0)
    return parent, before, max(many.max(), 1)


def _multiply(share: Array, before: Array) -> tuple[Array, Array]:
    """Return the product of shares along edges of the same column, with and without the last."""
    own, old = share.copy(), np.ones(len(share))
    for node in range(len(share)):
        if before[node] >= 0:
            old[node] = own[before[node]]
            own[node] *= old[node]
    return own, old


def _walk(  # noqa: C901 - compiled: every call in it costs
    rows: Array, left: Array, right: Array, column: Array, threshold: Array, gap: Array, by_level: Array, bits: Array,
    before: Array, factor: Array, slope: Array, value: Array, found: Array,
) -> None:  # fmt: skip
    """Add what a tree gives each column of each row to `found`; tables are (rounds, nodes, 3, 4 points)."""
    size, outputs = len(left), value.shape[1]
    product, total = np.ones((size, WIDTH)), np.zeros((size, WIDTH))
    splits = np.flatnonzero(left >= 0)
    state = np.zeros(size, dtype=np.int64)
    for row in range(len(rows)):
        for node in splits:
            asked = rows[row, column[node]]
            if np.isnan(asked):
                to_left = gap[node]
            elif by_level[node]:
                code = int(asked)
                to_left = ((bits[node, code // 32] >> np.uint32(code % 32)) & np.uint32(1)) == 1
            else:
                to_left = asked <= threshold[node]
            lost = before[left[node]] >= 0 and state[before[left[node]]] > 0
            state[left[node]] = 2 if lost else 0 if to_left else 1
            state[right[node]] = 2 if lost else 1 if to_left else 0
        for part in range(len(factor)):
            for node in splits:
                a, b, c, d = product[node, 0], product[node, 1], product[node, 2], product[node, 3]
                for child in (left[node], right[node]):
                    goes = state[child]
                    product[child, 0] = a * factor[part, child, goes, 0]
                    product[child, 1] = b * factor[part, child, goes, 1]
                    product[child, 2] = c * factor[part, child, goes, 2]
                    product[child, 3] = d * factor[part, child, goes, 3]
            for output in range(outputs):
                for node in splits[::-1]:
                    a, b, c, d, moved = 0.0, 0.0, 0.0, 0.0, 0.0
                    for child in (left[node], right[node]):
                        if left[child] < 0:
                            v = value[child, output]
                            e, f = product[child, 0] * v, product[child, 1] * v
                            g, h = product[child, 2] * v, product[child, 3] * v
                        else:
                            e, f, g, h = total[child, 0], total[child, 1], total[child, 2], total[child, 3]
                        goes = state[child]
                        moved += e * slope[part, child, goes, 0] + f * slope[part, child, goes, 1]
                        moved += g * slope[part, child, goes, 2] + h * slope[part, child, goes, 3]
                        a, b, c, d = a + e, b + f, c + g, d + h
                    total[node, 0], total[node, 1], total[node, 2], total[node, 3] = a, b, c, d
                    found[row, column[node], output] += moved
