"""By how much has a column moved, and is that more than chance? A new test is one decorated function.

All sizes are read on one scale, that of the PSI: for small changes PSI = shift² (in standard deviations), so 0.05
(watch) and 0.10 (drift) mean the same whatever the test.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from nbkit.errors import BadParameter
from nbkit.extend import claim
from nbkit.monitor.pair import Pair
from nbkit.monitor.profile import KINDS
from nbkit.wording import format_count, suggest

EFFECT = 0.05  # PSI up to which a change is immaterial
ALPHA = 0.05  # false discovery rate over columns and tests
MOSTLY = 0.5  # of the values that are expected to be new: an identifier
DRIFT_MISSING, DRIFT_UNSEEN = 0.05, 0.02
MISSING_MOVE = 0.3 / 0.13  # a value that went missing counts as moved by so many sd: 13 % of them are drift, as by KS
NO_VALUES = "no values on either side, so nothing to compare"
ALWAYS_NEW = "most values are met once only, so new ones say nothing"


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


def find_lack(name: str, pair: Pair) -> str:
    """State that a change of the size of a drift could not have been told from chance, if so."""
    n, m, rows = pair.n, pair.m, float(pair.window.sum())
    few = f"too few rows ({rows:,.0f}) to see"
    if name == "missing":
        enough = 2.33 * _missing_error(pair) < DRIFT_MISSING - 0.005
        return "" if enough else f"{few} a change of {DRIFT_MISSING:.0%} in missing values"
    if name == "unseen":
        usual = pair.expected[0] / pair.tracked / rows
        if usual > MOSTLY:
            return ALWAYS_NEW
        enough = _unseen_p(pair, (usual + DRIFT_UNSEEN) * rows * pair.tracked) < ALPHA
        return "" if enough else f"{few} {DRIFT_UNSEEN:.0%} of new values"
    least = 20 * np.sqrt(2 * len(pair.labels))  # effective rows below which chance alone spreads a PSI by 0.05
    if n * m / (n + m) >= least:
        return ""
    if n <= least:
        return f"{few} a drift; a larger reference is needed"
    needed = format_count(np.ceil(least * n / (n - least) * rows / m), "row")
    return f"too few rows ({rows:,.0f}{'' if m == rows else ', alike within blocks'}) to see a drift; {needed} needed"


def _describe_moved(pair: Pair) -> str:
    p, q = pair.reference / pair.reference.sum(), pair.window / pair.window.sum()
    place = int(np.abs(q - p).argmax())
    return f"{pair.labels[place]}: {p[place]:.1%} → {q[place]:.1%}"


@drift_test("psi", watch=0.05, drift=0.10)
def measure_psi(pair: Pair) -> Measurement:
    """Population stability index on the reference's deciles or categories, missing values as a bin of their own.

    Without any drift, N·PSI follows a chi square law with B - 1 degrees of freedom; with a drift of δ a noncentral one
    with N·δ. So p is the chance of a PSI this large when the true one is 0.05. Where rows of a block are alike, N
    counts fewer rows, and the law has fewer degrees of freedom (the second-order correction of Rao and Scott).

    References
    ----------
    Siddiqi, N. (2006). Credit Risk Scorecards. Wiley. Its law: Yurdakul, B. (2018). Statistical properties of
    population stability index. Western Michigan University. With a minimum effect: Potgieter, C. et al. (2023). The
    population resemblance statistic. arXiv:2307.11878.
    """
    used = (pair.reference + pair.window) > 0
    p, q = (counts[used] + 0.5 for counts in (pair.reference, pair.window))  # half a row more in each bin
    p, q = p / p.sum(), q / q.sum()
    psi, effective = float(((q - p) * np.log(q / p)).sum()), pair.n * pair.m / (pair.n + pair.m)
    free, uneven = max(int(used.sum()) - 1, 1), pair.uneven
    p_value = float(stats.ncx2.sf(effective * psi / uneven, free / uneven, effective * EFFECT / uneven))
    return Measurement(psi, max(0.0, psi - free / effective), p_value, _describe_moved(pair))


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
