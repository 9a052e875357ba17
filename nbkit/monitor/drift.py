"""Has a column moved, by how much, and by more than chance? A new test is one decorated function.

All sizes are read on one scale, that of the PSI: for small changes PSI = 8 H² = 8 JSD (nats) = shift² (in standard
deviations), so 0.05 (watch) and 0.10 (drift) mean the same whatever the test.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from nbkit.errors import BadParameter
from nbkit.monitor.profile import KINDS, Floats, Pair, pair_column
from nbkit.wording import say_count, suggest

EFFECT = 0.05  # PSI up to which a change is immaterial
ALPHA = 0.05  # false discovery rate over the columns
MOSTLY = 0.5  # a column whose reference lies mostly in (other) is an identifier: its distribution says nothing
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
        Kinds of columns it can judge.
    """

    def add(measure: Callable[[Pair], Measurement]) -> Callable[[Pair], Measurement]:
        TESTS[name] = DriftTest(name, tuple(kinds), watch, drift, measure)
        return measure

    return add


def known_tests() -> pd.DataFrame:
    """Return the tests: test, kinds, watch, drift, words."""
    rows = [
        (test.name, ", ".join(test.kinds), test.watch, test.drift, (test.measure.__doc__ or "").splitlines()[0])
        for test in TESTS.values()
    ]
    return pd.DataFrame(rows, columns=["test", "kinds", "watch", "drift", "words"])


def measure_drift(profile: pd.DataFrame, window: pd.DataFrame, tests: Sequence[str] = ("psi",)) -> pd.DataFrame:
    """Compare a window with the reference, column by column.

    Parameters
    ----------
    profile
        From `make_profile`.
    window
        The rows now; columns the profile does not hold are ignored.
    tests
        Names of tests, see `known_tests`.

    Returns
    -------
    DataFrame
        column, kind, test, value, debiased (size beyond what chance alone gives), p_value, q_value (Benjamini and
        Hochberg over the columns), level, n_reference, n_window, detail. The level is *drift* or *watch* only if the
        debiased size passes the test's threshold **and** q < 0.05, so neither many rows nor few raise an alarm;
        *not judged* where the window holds too few rows to see a drift; *drift* where the column is gone.

    Raises
    ------
    BadParameter
        An unknown test.

    References
    ----------
    Benjamini, Y. and Hochberg, Y. (1995). Controlling the false discovery rate. J. R. Stat. Soc. B 57, 289-300.
    """
    for name in tests:
        if name not in TESTS:
            raise BadParameter(f"unknown drift test {name!r}{suggest(name, TESTS)}")
    rows = []
    for column, part in profile.groupby("column", sort=False):
        facts = {"column": column, "kind": part["kind"].iloc[0]}
        facts |= {"n_reference": int(part["n"].iloc[0]), "n_window": len(window)}
        wanted = [test for test in map(TESTS.__getitem__, tests) if facts["kind"] in test.kinds]
        if column not in window.columns:
            rows += [{**facts, "test": test.name, "level": "drift", "detail": "the column is gone"} for test in wanted]
            continue
        pair = pair_column(part, window[column])
        rows += [{**facts, "test": test.name, **_judge(test, pair)} for test in wanted]
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"value": float, "debiased": float, "p_value": float})
    return _set_levels(table)


def _judge(test: DriftTest, pair: Pair) -> dict[str, object]:
    too_few = _too_few(test, pair)
    if too_few:
        return {"level": "not judged", "detail": too_few}
    found = test.measure(pair)
    return {"value": found.value, "debiased": found.debiased, "p_value": found.p_value, "detail": found.detail}


def _too_few(test: DriftTest, pair: Pair) -> str:
    n, m, bins = pair.reference.sum(), pair.window.sum(), len(pair.labels)
    if m == 0:
        return "the window has no rows"
    if test.name in ("missing", "unseen"):
        return ""
    if pair.kind == "categorical" and pair.reference[-2] > MOSTLY * n:
        return "identifier-like: most rows have rare values, so only unseen values are judged"
    least = bins / 0.10  # effective rows below which a PSI of 0.10 is what chance alone gives
    if n * m / (n + m) < least:
        needed = say_count(np.ceil(least * n / (n - least)), "row") if n > least else "a larger reference"
        return f"too few rows ({m:.0f}) to see a drift; {needed} needed"
    return ""


def _set_levels(table: pd.DataFrame) -> pd.DataFrame:
    table["q_value"] = np.nan
    table = table.astype({"level": object, "q_value": float, "detail": "str"})
    for name, part in table.dropna(subset="p_value").groupby("test", sort=False):
        q = stats.false_discovery_control(part["p_value"].to_numpy(float))
        table.loc[part.index, "q_value"] = q
        size, test = part["debiased"].to_numpy(float), TESTS[str(name)]
        level = np.where(size >= test.drift, "drift", np.where(size >= test.watch, "watch", "ok"))
        table.loc[part.index, "level"] = np.where(q < ALPHA, level, "ok")
    return table.astype({"level": "str"})


def _shares(pair: Pair) -> tuple[Floats, Floats, float, int]:
    """Return both shares with half a row added to each bin, the effective rows, and the bins."""
    used = (pair.reference + pair.window) > 0
    p, q = pair.reference[used] + 0.5, pair.window[used] + 0.5
    n, m = pair.reference.sum(), pair.window.sum()
    return p / p.sum(), q / q.sum(), float(n * m / (n + m)), int(used.sum())


def _binned(pair: Pair, psi: float, size: Callable[[float], float]) -> tuple[float, float]:
    """Return the debiased size and the minimum-effect p of a distance that is worth `psi` on the PSI's scale.

    Without any drift, N·PSI follows a chi square law with B - 1 degrees of freedom; with a drift of δ a noncentral one
    with N·δ. So p is the chance of a PSI this large when the true one is 0.05.
    """
    *_, effective, bins = _shares(pair)
    free = max(bins - 1, 1)
    p_value = float(stats.ncx2.sf(effective * psi, free, effective * EFFECT))
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
    noise = float(np.sqrt(2 * middle * (1 - middle) / np.pi * (1 / n + 1 / m)).sum() / 2)
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
    effective = n * m / (n + m)
    size = float(found.statistic) / effective
    return Measurement(size, max(0.0, size - found.dof / effective), float(found.pvalue), _moved(pair))


@drift_test("ks", watch=0.09, drift=0.13, kinds=("numeric",))
def measure_ks(pair: Pair) -> Measurement:
    """Kolmogorov-Smirnov: the largest gap between the distribution functions; missing values are left out.

    The reference is known by up to 1,000 quantiles, so the gap is exact for references up to that size and else within
    0.001. Debiased by the mean of the law without drift, 0.8687 / √N.

    References
    ----------
    Smirnov, N. (1948). Table for estimating the goodness of fit of empirical distributions. Ann. Math. Stat. 19.
    """
    reference, window = pair.quantiles, pair.values
    if not len(reference) or not len(window):
        return Measurement(0.0, 0.0, 1.0, "no numbers to compare")
    points = np.union1d(reference, window)
    below = np.searchsorted(reference, points, side="right") / len(reference)
    now = np.searchsorted(window, points, side="right") / len(window)
    gaps = np.abs(now - below)
    value, place = float(gaps.max()), int(gaps.argmax())
    n, m = float(pair.reference[:-1].sum()), float(len(window))
    root = np.sqrt(n * m / (n + m))
    words = f"at most {points[place]:.4g}: {below[place]:.1%} → {now[place]:.1%}"
    return Measurement(value, max(0.0, value - 0.8687 / root), float(stats.kstwobign.sf(value * root)), words)


@drift_test("wasserstein", watch=0.2, drift=0.3, kinds=("numeric",))
def measure_wasserstein(pair: Pair) -> Measurement:
    """How far the values moved on average, in standard deviations of the reference; in raw units in the detail.

    p is that of Kolmogorov and Smirnov.

    References
    ----------
    Ramdas, A. et al. (2017). On Wasserstein two-sample testing and related families. Entropy 19(2), 47.
    """
    reference, window = pair.quantiles, pair.values
    if not len(reference) or not len(window):
        return Measurement(0.0, 0.0, 1.0, "no numbers to compare")
    distance, spread = float(stats.wasserstein_distance(reference, window)), float(reference.std())
    size = distance / spread if spread > 0 else (0.0 if distance == 0 else float("inf"))
    change = float(window.mean() - reference.mean())
    words = f"moved by {distance:.4g}, mean {change:+.4g}"
    return Measurement(size, size, measure_ks(pair).p_value, words)


@drift_test("missing", watch=0.01, drift=0.05)
def measure_missing(pair: Pair) -> Measurement:
    """Change of the share of missing values; p is the chance of it if the true change is half a percentage point."""
    n, m = pair.reference.sum(), pair.window.sum()
    p, q = pair.reference[-1] / n, pair.window[-1] / m
    smooth_p, smooth_q = (pair.reference[-1] + 1) / (n + 2), (pair.window[-1] + 1) / (m + 2)
    error = np.sqrt(smooth_p * (1 - smooth_p) / n + smooth_q * (1 - smooth_q) / m)
    change = abs(q - p)
    p_value = float(stats.norm.sf((change - 0.005) / error))
    return Measurement(float(q - p), float(change), p_value, f"missing: {p:.1%} → {q:.1%}")


@drift_test("unseen", watch=0.005, drift=0.02, kinds=("categorical",))
def measure_unseen(pair: Pair) -> Measurement:
    """Share of rows whose category the reference does not hold.

    p against the share that is to be expected without drift, the rate of categories met exactly once (Good and
    Turing), or half a percent where that is more.

    References
    ----------
    Good, I. J. (1953). The population frequencies of species. Biometrika 40, 237-264.
    """
    n, m, count = pair.reference.sum(), pair.window.sum(), int(pair.unseen.sum())
    share, usual = count / m, min(pair.once / n, 1.0)
    p_value = float(stats.binom.sf(count - 1, int(m), max(usual, 0.005)))
    top = ", ".join(f"{name} ({rows})" for name, rows in pair.unseen.head(5).items())
    return Measurement(share, max(0.0, share - usual), p_value, f"never seen: {top}" if top else "nothing unseen")
