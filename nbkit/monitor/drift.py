"""Has a column moved, by how much, and by more than chance? A new test is one decorated function.

All sizes are read on one scale, that of the PSI: for small changes PSI = 8 H² = 8 JSD (nats) = shift² (in standard
deviations), so 0.05 (watch) and 0.10 (drift) mean the same whatever the test.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats

from nbkit.errors import BadParameter
from nbkit.extend import claim, first_line
from nbkit.monitor.pair import Pair, pair_column
from nbkit.monitor.profile import KINDS, Floats, code_blocks
from nbkit.wording import say_count, suggest

EFFECT = 0.05  # PSI up to which a change is immaterial
ALPHA = 0.05  # false discovery rate over columns and tests
MOSTLY = 0.5  # of the values that are expected to be new: an identifier
FEWEST = 5  # effective rows below which nothing is judged
GONE = "the column is gone"
MISSING_MOVE = 0.3 / 0.13  # a value that went missing counts as moved by so many sd: 13 % of them are drift, as by KS
NO_VALUES = "no values on either side, so nothing to compare"
ALWAYS_NEW = "most values are met once only, so new ones say nothing"
COLUMNS = [
    "column", "kind", "test", "value", "debiased", "p_value", "q_value", "level", "n_reference", "n_window", "detail"
]  # fmt: skip


@dataclass(frozen=True)
class Measurement:
    """What a test found: the size of the change, the size beyond noise, a p value, and words."""

    value: float
    debiased: float
    p_value: float
    detail: str = ""


@dataclass(frozen=True)
class DriftTest:
    """A drift test: its name, kinds of columns, sizes from which it is *watch* and *drift*, and the function."""

    name: str
    kinds: tuple[str, ...]
    watch: float
    drift: float
    measure: Callable[[Pair], Measurement]


TESTS: dict[str, DriftTest] = {}


def drift_test(
    name: str, *, watch: float, drift: float, kinds: Sequence[str] = KINDS
) -> Callable[[Callable[[Pair], Measurement]], Callable[[Pair], Measurement]]:
    """Make a drift test of a function from a `Pair` to a `Measurement`.

    Parameters
    ----------
    name
        As users ask for it.
    watch, drift
        Sizes (debiased) from which the level is *watch* and *drift*, if the change is also beyond chance.
    kinds
        Kinds of columns it can judge: ``numeric``, ``categorical`` or both.

    Raises
    ------
    BadParameter
        If a kind is unknown or none is given, so that the test would never run, or the sizes do not rise, or nbkit or
        another module has a test of that name.
    """
    wanted = [kinds] if isinstance(kinds, str) else list(kinds)
    for kind in wanted:
        if kind not in KINDS:
            raise BadParameter(f"drift test {name!r} cannot judge columns of kind {kind!r}{suggest(kind, KINDS)}")
    if not wanted:
        raise BadParameter(f"drift test {name!r} judges no kind of column, so it would never run; kinds: {KINDS}")
    if not 0 < watch <= drift < np.inf:
        raise BadParameter(f"drift test {name!r}: sizes must rise, 0 < watch <= drift, not {watch} and {drift}")

    def add(measure: Callable[[Pair], Measurement]) -> Callable[[Pair], Measurement]:
        claim("drift test", name, measure, TESTS)
        TESTS[name] = DriftTest(name, tuple(wanted), watch, drift, measure)
        return measure

    return add


def known_tests() -> pd.DataFrame:
    """Return the tests: test, kinds, watch, drift, words."""
    rows = [
        (test.name, ", ".join(test.kinds), test.watch, test.drift, first_line(test.measure, test.name))
        for test in TESTS.values()
    ]
    return pd.DataFrame(rows, columns=["test", "kinds", "watch", "drift", "words"])


def measure_drift(
    profile: pd.DataFrame, window: pd.DataFrame, tests: Sequence[str] = ("psi",), groups: Any = None
) -> pd.DataFrame:
    """Compare a window with the reference, column by column.

    Parameters
    ----------
    profile
        From `make_profile`.
    window
        The rows now; columns the profile does not hold are ignored.
    tests
        Names of tests, see `known_tests`.
    groups
        The block of each row of the window, as in `make_profile`.

    Returns
    -------
    DataFrame
        column, kind, test, value, debiased (size beyond what chance alone gives), p_value, q_value (Benjamini and
        Hochberg over all columns and tests together), level, n_reference, n_window, detail. The level is *drift* or
        *watch* only if the debiased size passes the test's threshold **and** q < 0.05, so neither many rows nor few
        raise an alarm; *not judged* where nothing was found but too few rows could have shown it; *drift* where the
        column, or all its values, are gone.

    Raises
    ------
    BadParameter
        An unknown test, or a test that returned no number.

    References
    ----------
    Benjamini, Y. and Hochberg, Y. (1995). Controlling the false discovery rate. J. R. Stat. Soc. B 57, 289-300.
    """
    for name in tests:
        if name not in TESTS:
            raise BadParameter(f"unknown drift test {name!r}{suggest(name, TESTS)}")
    rows, blocks = [], code_blocks(groups, len(window))
    for column, part in profile.groupby("column", sort=False):
        facts = {"column": column, "kind": part["kind"].iloc[0]}
        facts |= {"n_reference": int(part["n"].iloc[0]), "n_window": len(window)}
        wanted = [test for test in map(TESTS.__getitem__, dict.fromkeys(tests)) if facts["kind"] in test.kinds]
        if column not in window.columns:
            rows += [{**facts, "test": test.name, "level": "drift", "detail": GONE} for test in wanted]
            continue
        pair = pair_column(part, window[column], blocks)
        rows += [{**facts, "test": test.name, **_judge(test, pair)} for test in wanted]
    table = pd.DataFrame(rows, columns=[*COLUMNS, "unsure"])
    return _set_levels(table.astype({"value": float, "debiased": float, "p_value": float}))


def _judge(test: DriftTest, pair: Pair) -> dict[str, object]:
    if len_window(pair) == 0:
        return {"level": "not judged", "detail": "the window has no rows"}
    then, now = pair.reference[:-1].sum(), pair.window[:-1].sum()
    if test.name != "missing" and then == now == 0:
        return {"level": "not judged", "detail": NO_VALUES}
    if test.name != "missing" and min(then, now) == 0:
        return _judge_empty(pair)
    unsure = _too_few(test, pair)
    if pair.n * pair.m / (pair.n + pair.m) < FEWEST:
        return {"level": "not judged", "detail": unsure}
    found = test.measure(pair)
    if not np.isfinite([found.debiased if found.debiased != np.inf else 0.0, found.p_value]).all():
        raise BadParameter(f"drift test {test.name!r} gave no number for column {pair.column!r}: {found}")
    facts = {"value": found.value, "debiased": found.debiased, "p_value": found.p_value}
    return {**facts, "detail": found.detail, "unsure": unsure}


def _judge_empty(pair: Pair) -> dict[str, object]:
    """Judge a column that has values on one side only: the chance that as many rows of the other side have none."""
    full, rows, words = pair.reference, pair.m_missing, "all values are missing now"
    if pair.window[:-1].sum():
        full, rows, words = pair.window, pair.n_missing, "the reference holds missing values only"
    usual = (full[-1] + 1) / (full.sum() + 2)
    unsure = f"too few rows ({len_window(pair):,.0f}) to see that {words}"
    return {
        "value": float(1 - full[-1] / full.sum()),
        "debiased": 1.0,
        "p_value": float(usual**rows),
        "detail": words,
        "unsure": unsure,
    }


def len_window(pair: Pair) -> float:
    """Return the rows of the window."""
    return float(pair.window.sum())


def _too_few(test: DriftTest, pair: Pair) -> str:
    """Say that a change of the size of a drift could not have been told from chance, if so."""
    n, m, rows = pair.n, pair.m, len_window(pair)
    if test.name == "missing":
        enough = 2.33 * _missing_error(pair) < DRIFT_MISSING - 0.005
        return "" if enough else f"too few rows ({rows:,.0f}) to see a change of {DRIFT_MISSING:.0%} in missing values"
    if test.name == "unseen":
        usual = pair.expected[0] / pair.tracked / rows
        if usual > MOSTLY:
            return ALWAYS_NEW
        enough = _unseen_p(pair, (usual + DRIFT_UNSEEN) * rows * pair.tracked) < ALPHA
        return "" if enough else f"too few rows ({rows:,.0f}) to see {DRIFT_UNSEEN:.0%} of new values"
    least = 20 * np.sqrt(2 * len(pair.labels))  # effective rows below which chance alone spreads a PSI by 0.05
    if n * m / (n + m) >= least:
        return ""
    if n <= least:
        return f"too few rows ({rows:,.0f}) to see a drift; a larger reference is needed"
    needed = say_count(np.ceil(least * n / (n - least) * rows / m), "row")
    return f"too few rows ({rows:,.0f}{'' if m == rows else ', alike within blocks'}) to see a drift; {needed} needed"


def _set_levels(table: pd.DataFrame) -> pd.DataFrame:
    table["q_value"] = np.nan
    table = table.astype({"level": object, "q_value": float, "detail": "str", "unsure": object})
    judged = table.dropna(subset="p_value")
    if len(judged):
        q = stats.false_discovery_control(judged["p_value"].to_numpy(float))
        size, names = judged["debiased"].to_numpy(float), judged["test"]
        watch, drift = ([getattr(TESTS[name], limit) for name in names] for limit in ("watch", "drift"))
        level = np.where(q < ALPHA, np.where(size >= drift, "drift", np.where(size >= watch, "watch", "ok")), "ok")
        unsure = judged["unsure"].to_numpy(object)
        blind = (level == "ok") & (unsure != "")
        table.loc[judged.index, "q_value"] = q
        table.loc[judged.index, "level"] = np.where(blind, "not judged", level)
        table.loc[judged.index[blind], "detail"] = unsure[blind]
    return table.drop(columns="unsure").astype({"level": "str"})


def _shares(pair: Pair) -> tuple[Floats, Floats, float, int]:
    """Return both shares with half a row added to each bin, the effective rows, and the bins."""
    used = (pair.reference + pair.window) > 0
    p, q = pair.reference[used] + 0.5, pair.window[used] + 0.5
    return p / p.sum(), q / q.sum(), pair.n * pair.m / (pair.n + pair.m), int(used.sum())


def _binned(pair: Pair, psi: float, size: Callable[[float], float]) -> tuple[float, float]:
    """Return the debiased size and the minimum-effect p of a distance that is worth `psi` on the PSI's scale.

    Without any drift, N·PSI follows a chi square law with B - 1 degrees of freedom; with a drift of δ a noncentral one
    with N·δ. So p is the chance of a PSI this large when the true one is 0.05. Where rows of a block are alike, N
    counts fewer rows, and the law has fewer degrees of freedom (the second-order correction of Rao and Scott).
    """
    *_, effective, bins = _shares(pair)
    free, uneven = max(bins - 1, 1), pair.uneven
    p_value = float(stats.ncx2.sf(effective * psi / uneven, free / uneven, effective * EFFECT / uneven))
    return size(max(0.0, psi - free / effective)), p_value


def _moved(pair: Pair) -> str:
    p, q = pair.reference / pair.reference.sum(), pair.window / pair.window.sum()
    place = int(np.abs(q - p).argmax())
    return f"{pair.labels[place]}: {p[place]:.1%} → {q[place]:.1%}"


@drift_test("psi", watch=0.05, drift=0.10)
def measure_psi(pair: Pair) -> Measurement:
    """Population stability index on the reference's deciles or categories, missing values as a bin of their own.

    References
    ----------
    Siddiqi, N. (2006). Credit Risk Scorecards. Wiley. Its law: Yurdakul, B. (2018). Statistical properties of
    population stability index. Western Michigan University. With a minimum effect: Potgieter, C. et al. (2023). The
    population resemblance statistic. arXiv:2307.11878.
    """
    p, q, *_ = _shares(pair)
    psi = float(((q - p) * np.log(q / p)).sum())
    debiased, p_value = _binned(pair, psi, lambda size: size)
    return Measurement(psi, debiased, p_value, _moved(pair))


@drift_test("js", watch=0.095, drift=0.134)
def measure_js(pair: Pair) -> Measurement:
    """Jensen-Shannon distance, base 2, on the bins of the PSI: 0 equal, 1 disjoint.

    References
    ----------
    Lin, J. (1991). Divergence measures based on the Shannon entropy. IEEE Trans. Inf. Theory 37, 145-151.
    """
    p, q, *_ = _shares(pair)
    middle = (p + q) / 2
    nats = float((p * np.log(p / middle) + q * np.log(q / middle)).sum() / 2)
    debiased, p_value = _binned(pair, 8 * nats, lambda psi: float(np.sqrt(psi / 8 / np.log(2))))
    return Measurement(float(np.sqrt(max(nats, 0.0) / np.log(2))), debiased, p_value, _moved(pair))


@drift_test("total_variation", watch=0.09, drift=0.13)
def measure_total_variation(pair: Pair) -> Measurement:
    """Half the sum of absolute differences of the shares: the rows that would have to move.

    Debiased by its mean without drift, Σ √(2 m̄(1-m̄)/(π N)) / 2; p is that of the chi square test. Without the half row
    that the PSI adds.
    """
    n, m = pair.reference.sum(), pair.window.sum()
    p, q = pair.reference / n, pair.window / m
    value = float(np.abs(q - p).sum() / 2)
    middle = (pair.reference + pair.window) / (n + m)
    noise = float(np.sqrt(2 * middle * (1 - middle) / np.pi * (1 / pair.n + 1 / pair.m)).sum() / 2)
    return Measurement(value, max(0.0, value - noise), measure_chi2(pair).p_value, _moved(pair))


@drift_test("chi2", watch=0.05, drift=0.10)
def measure_chi2(pair: Pair) -> Measurement:
    """Pearson's chi square test that both samples have one law; its size is chi square per effective row.

    The reference counts as a sample, not as the truth: against fixed shares, samples without drift fail far too often.

    References
    ----------
    Pearson, K. (1911). On the probability that two independent distributions of frequency are really samples from the
    same population. Biometrika 8, 250-254.
    """
    used = (pair.reference + pair.window) > 0
    counts = np.vstack([pair.reference[used], pair.window[used]])
    if counts.shape[1] < 2:
        return Measurement(0.0, 0.0, 1.0, "one value only")
    found = stats.chi2_contingency(counts, correction=False)
    n, m = counts.sum(axis=1)
    size, effective = float(found.statistic) * (n + m) / (n * m), pair.n * pair.m / (pair.n + pair.m)
    p_value = float(stats.chi2.sf(size * effective / pair.uneven, found.dof / pair.uneven))
    return Measurement(size, max(0.0, size - found.dof / effective), p_value, _moved(pair))


@drift_test("ks", watch=0.09, drift=0.13, kinds=("numeric",))
def measure_ks(pair: Pair) -> Measurement:
    """Kolmogorov-Smirnov: the largest gap between the distribution functions; a missing value lies below every number.

    The reference is known by some 1,000 cells of neighbouring values, so the gap is exact for references up to 600 rows
    and else within 1 / 600. Debiased by the mean of the law without drift, 0.8687 / √N.

    References
    ----------
    Smirnov, N. (1948). Table for estimating the goodness of fit of empirical distributions. Ann. Math. Stat. 19.
    """
    ends, counts = pair.cells["upper"].to_numpy(float), pair.cells["count"].to_numpy(float)
    n, m = pair.reference.sum(), pair.window.sum()
    empty = np.array([n - counts.sum(), m - len(pair.values)])  # missing, and infinite
    points = np.concatenate([[-np.inf], ends, pair.values])
    points.sort()
    below = (empty[0] + np.append(0, counts.cumsum())[np.searchsorted(ends, points, side="right")]) / n
    now = (empty[1] + np.searchsorted(pair.values, points, side="right")) / m
    gaps = np.abs(now - below)
    value, place = float(gaps.max()), int(gaps.argmax())
    root = np.sqrt(pair.strict)
    what = f"at most {points[place]:.4g}{' or missing' if empty.any() else ''}" if place else "missing"
    words = f"{what}: {below[place]:.1%} → {now[place]:.1%}"
    return Measurement(value, max(0.0, value - 0.8687 / root), float(stats.kstwobign.sf(value * root)), words)


@drift_test("wasserstein", watch=0.2, drift=0.3, kinds=("numeric",))
def measure_wasserstein(pair: Pair) -> Measurement:
    """How far the values moved on average, in standard deviations of the reference; in raw units in the detail.

    The reference's moments are those of its rows; its values are known by the means of some 1,000 cells, small ones in
    the tails, which bounds the error of the distance (in the detail). A value that went missing counts as moved by 2.3
    standard deviations. p is that of Kolmogorov and Smirnov.

    References
    ----------
    Ramdas, A. et al. (2017). On Wasserstein two-sample testing and related families. Entropy 19(2), 47.
    """
    means, counts = pair.cells["lower"].to_numpy(float), pair.cells["count"].to_numpy(float)
    lost = abs(1 - len(pair.values) / pair.window.sum() - (1 - counts.sum() / pair.reference.sum()))
    p_value = measure_ks(pair).p_value
    if not len(means) or not len(pair.values):
        return Measurement(lost * MISSING_MOVE, lost * MISSING_MOVE, p_value, NO_VALUES)
    unit = max(float(np.abs(means).max()), float(np.abs(pair.values[[0, -1]]).max()), np.finfo(float).tiny)
    distance = float(stats.wasserstein_distance(means / unit, pair.values / unit, counts))
    spread = pair.facts["sd"] / unit
    size = distance / spread if spread > 0 else (0.0 if distance == 0 else float("inf"))
    change = float((pair.values / unit).mean() - pair.facts["mean"] / unit) * unit
    bound = f" ± {pair.facts['resolution']:.1g}" if pair.facts["resolution"] > 0 else ""
    words = f"moved by {distance * unit:.4g}{bound}, mean {change:+.4g}"
    words += f", {lost:.1%} more or fewer are missing" if lost > 0 else ""
    size = max(size, lost * MISSING_MOVE)
    return Measurement(size, size, p_value, words)


DRIFT_MISSING, DRIFT_UNSEEN = 0.05, 0.02


@drift_test("missing", watch=0.01, drift=DRIFT_MISSING)
def measure_missing(pair: Pair) -> Measurement:
    """Change of the share of missing values; p is the chance of it if the true change is half a percentage point."""
    p, q = pair.reference[-1] / pair.reference.sum(), pair.window[-1] / pair.window.sum()
    change, error = abs(q - p), _missing_error(pair)
    p_value = float(stats.norm.sf((change - 0.005) / error) + stats.norm.sf((change + 0.005) / error))
    return Measurement(float(q - p), float(change), p_value, f"missing: {p:.1%} → {q:.1%}")


def _missing_error(pair: Pair) -> float:
    """Return the standard error of a change of the share of missing values."""
    sizes = ((pair.reference, pair.n_missing), (pair.window, pair.m_missing))
    shares = [((counts[-1] / counts.sum() * size + 1) / (size + 2), size) for counts, size in sizes]
    return float(np.sqrt(sum(share * (1 - share) / size for share, size in shares)))


@drift_test("unseen", watch=0.005, drift=DRIFT_UNSEEN, kinds=("categorical",))
def measure_unseen(pair: Pair) -> Measurement:
    """Share of rows whose category the reference does not hold.

    p against what is to be expected if both samples together were cut at random (which counts the noise of the
    reference, of the window, and of blocks of rows that are alike), or half a percent where that is more.

    References
    ----------
    Good, I. J. (1953). The population frequencies of species. Biometrika 40, 237-264. Its noise: Esty, W. W. (1983). A
    normal limit law for a nonparametric estimator of the coverage of a random sample. Ann. Statist. 11, 905-912.
    """
    m, count = pair.window.sum(), int(pair.unseen.sum())
    share, usual = count / m / pair.tracked, pair.expected[0] / m / pair.tracked
    top = ", ".join(f"{name} ({rows})" for name, rows in pair.unseen.head(5).items())
    words = f"never seen: {top}; {usual:.1%} expected" if top else "nothing unseen"
    return Measurement(min(share, 1.0), max(0.0, share - usual), _unseen_p(pair, count), words)


def _unseen_p(pair: Pair, count: float) -> float:
    """Return the chance of so many unseen rows: a Poisson law with the three moments to be expected."""
    mean, variance, third = pair.expected
    more = max(0.005 * pair.window.sum() * pair.tracked - mean, 0.0)
    mean, variance, third = mean + more, variance + more, third + more
    if count <= mean or variance <= 0:
        return 1.0
    step = max(third / variance, 1.0)
    rate = variance / step**2
    return float(special.gammainc((count - mean) / step + rate, rate))
