"""Shapley values of trees, path-dependent and exact, one player a column, in time linear in the number of nodes."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from nbkit.stats import Array

LANES = 32  # rows that walk a tree together, so that the processor multiplies several at once


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
    (count, columns), outputs = matrix.shape, trees[0].value.shape[1]
    rows = np.pad(np.asarray(matrix, dtype=np.float64), ((0, -count % LANES), (0, 0)))
    rows = np.ascontiguousarray(rows.reshape(-1, LANES, columns).transpose(0, 2, 1))
    lay_out, walk = _compile()
    found, base = np.zeros((len(rows), columns, outputs, LANES)), np.zeros(outputs)
    for tree in trees:
        leaf = tree.left < 0
        base += tree.value[leaf].T @ tree.cover[leaf] / tree.cover[0]
        if len(leaf) > 1:
            order, own, old, width = lay_out(tree.left, tree.right, tree.column, tree.cover)
            points, weights = np.polynomial.legendre.leggauss(-(-width // 2))
            tables = _tabulate(own, old, (points + 1) / 2, weights / 2)
            asks = (tree.left, tree.column, tree.threshold, tree.gap, tree.by_level, tree.bits)
            walk(rows, *asks, order, *tables, tree.value, found)
    return found.transpose(0, 3, 1, 2).reshape(-1, columns, outputs)[:count], base


def make_tree(**given: Any) -> Tree:
    """Make a tree of arrays of any kind; without `bits` no split asks for a category."""
    size = len(given["left"])
    given = {"by_level": np.zeros(size), "bits": np.zeros((1, 8)), **given}
    kinds = {"threshold": float, "value": float, "cover": float, "gap": bool, "by_level": bool, "bits": np.uint32}
    return Tree(**{k: np.ascontiguousarray(v, dtype=kinds.get(k, np.int64)) for k, v in given.items()})


@cache
def _compile() -> tuple[Any, Any]:
    """Compile the loops, which takes seconds once on a machine."""
    import numba

    return numba.njit(cache=True)(_lay_out), numba.njit(cache=True)(_walk)


def _tabulate(own: Array, old: Array, t: Array, weights: Array) -> tuple[Array, Array]:
    """Return by how much each edge multiplies a path's polynomial, and its derivative by the column of the edge.

    Both (nodes, 3, points): the row goes along the edge and all earlier ones of its column; it leaves here; before.
    """
    new, was = own[:, None, None], old[:, None, None]
    went, had = np.array([1.0, 0.0, 0.0])[:, None], np.array([1.0, 1.0, 0.0])[:, None]
    now, then = new * (1 - t) + went * t, was * (1 - t) + had * t
    return now / then, weights * ((went - new) / now - (had - was) / then)


def _lay_out(left: Array, right: Array, column: Array, cover: Array) -> tuple[Array, Array, Array, int]:
    """Order the nodes as they are walked, a parent directly before its left child.

    Returned are, of each place in that order, the node, the place above, the depth, and the depth of the last edge
    above that asks for the same column (0 if none does); the product of the shares of rows along the edges of that
    column, with and without the last; and how many columns a path asks for at most.
    """
    size, here, free = len(left), 0, 1
    order, many = np.zeros((size, 4), dtype=np.int64), np.zeros(size, dtype=np.int64)
    own, old = np.ones(size), np.ones(size)
    waiting, path = np.zeros((size + 1, 2), dtype=np.int64), np.zeros(size, dtype=np.int64)
    while free > 0:
        free -= 1
        node, above = waiting[free]
        if here > 0:
            depth, asking = order[above, 2] + 1, order[above, 0]
            before = depth - 1
            while before > 0 and column[order[order[path[before], 1], 0]] != column[asking]:
                before -= 1
            path[depth] = here
            old[here] = own[path[before]] if before > 0 else 1.0
            own[here] = old[here] * cover[node] / cover[asking]
            many[here] = many[above] + (1 if before == 0 else 0)
            order[here] = node, above, depth, before
        if left[node] >= 0:
            waiting[free] = right[node], here
            waiting[free + 1] = left[node], here
            free += 2
        here += 1
    return order, own, old, max(many.max(), 1)


def _walk(  # noqa: C901 - compiled: every call in it costs
    rows: Array, left: Array, column: Array, threshold: Array, gap: Array, by_level: Array, bits: Array, order: Array,
    factor: Array, slope: Array, value: Array, found: Array,
) -> None:  # fmt: skip
    """Add what a tree gives each column of each row to `found`; the last axis of both is that of rows together."""
    size, outputs, points, deepest = len(order), value.shape[1], factor.shape[2], order[:, 2].max() + 1
    product, total = np.ones((deepest, points, LANES)), np.zeros((deepest, points, LANES))  # of the path to a node
    state, moved = np.zeros((deepest, LANES), dtype=np.int64), np.zeros(LANES)
    entered, asked = np.zeros(deepest, dtype=np.int64), np.zeros(deepest, dtype=np.int64)
    for block in range(len(rows)):
        for output in range(outputs):
            reached = 0
            for here in range(1, size + 1):
                depth = order[here, 2] if here < size else 1
                for done in range(reached, depth - 1, -1):  # edges that are left, the deepest first
                    edge = entered[done]
                    moved[:] = 0.0
                    for p in range(points):
                        goes, leaves = slope[edge, 0, p], slope[edge, 1, p]
                        for r in range(LANES):
                            s, t = state[done, r], total[done, p, r]
                            moved[r] += t * (goes if s == 0 else leaves if s == 1 else 0.0)
                            total[done - 1, p, r] += t
                    found[block, asked[done], output] += moved
                if here == size:
                    break
                node, asking, before = order[here, 0], order[order[here, 1], 0], order[here, 3]
                asks, cut, lost = column[asking], threshold[asking], gap[asking]
                asked[depth], entered[depth], reached = asks, here, depth
                if left[asking] != node:  # 0 goes on, 1 leaves here, 2 or 3 left before: of the sibling it was, turned
                    for r in range(LANES):
                        state[depth, r] ^= 1
                else:
                    for r in range(LANES):
                        x = rows[block, asks, r]
                        state[depth, r] = 0 if (x <= cut) | (lost & np.isnan(x)) else 1
                    if by_level[asking]:
                        for r in range(LANES):
                            x = rows[block, asks, r]
                            code = 0 if np.isnan(x) else int(x)
                            inside = ((bits[asking, code // 32] >> np.uint32(code % 32)) & np.uint32(1)) == 1
                            state[depth, r] = 0 if (lost if np.isnan(x) else inside) else 1
                    if before > 0:
                        for r in range(LANES):
                            state[depth, r] += 2 if state[before, r] > 0 else 0
                leaf, v, moved[:] = left[node] < 0, value[node, output], 0.0
                for p in range(points):
                    goes, leaves, gone = factor[here, 0, p], factor[here, 1, p], factor[here, 2, p]
                    up, down = slope[here, 0, p], slope[here, 1, p]
                    for r in range(LANES):
                        s = state[depth, r]
                        now = product[depth - 1, p, r] * (goes if s == 0 else leaves if s == 1 else gone)
                        if leaf:  # it is left as soon as it is entered
                            moved[r] += now * v * (up if s == 0 else down if s == 1 else 0.0)
                            total[depth - 1, p, r] += now * v
                        else:
                            product[depth, p, r], total[depth, p, r] = now, 0.0
                if leaf:
                    found[block, asks, output] += moved
                    reached = depth - 1
