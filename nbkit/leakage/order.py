"""Do the rows of a table depend on their place in it? If so, a random split judges a model by its neighbours."""

from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from nbkit.columns import bound_numbers, column_kind, take_labelled, take_sample
from nbkit.leakage.keys import MONTHS, list_time_keys
from nbkit.leakage.learn import encode_table, outcome_columns, predict_held_out, small_boosting
from nbkit.leakage.twins import AGREE, SHARE, find_units, measure_twins
from nbkit.problem import Problem

SHUFFLES = 999
LEVEL = 0.01  # how often an exchangeable table is called dependent, by the target's three tests together
MATERIAL = 0.1  # the least correlation ratio, or correlation of neighbours, that is called a dependence
RELATIVE = 0.2  # the least spread of a class's rate along the file, as a share of the rate
FEATURE = 0.2  # the least correlation ratio at which a feature is named
BLOCKS = 20
LEVELS = 50  # of a column that a table may be sorted by
KEYS = 6  # columns along which an order is looked for
GAP_ROWS, GAP = 4_000, 0.05
SORTED = "sorted by the target"
TWINS = "twins"
COLUMNS = ["column", "test", "strength", "p_value", "depends", "evidence"]


def measure_order(table: pd.DataFrame, problem: Problem, *, by: str = "random", positions: Any = None) -> pd.DataFrame:
    """Test whether the target, and what can be learned of it, depend on the place of a row in the table.

    Parameters
    ----------
    table
        The rows, in the order of their source.
    problem
        What is predicted.
    by
        What the rows are split by. Nothing is tested of a split by ``time`` or ``position``, which respects the order;
        of one by ``group`` its groups are tested, one mean each.
    positions
        The place of each row where some rows of the source are left out; counted if None.

    Returns
    -------
    DataFrame
        One row a test: column, test, strength, p_value, depends, evidence (a sentence). Of the target: *trend along the
        rows* (correlation ratio over up to 20 stretches of rows), *drift* (correlation with the place), *neighbours*
        (correlation of a row with the next), each against 999 shuffles and corrected for being three; and *order of
        learning* (by how much of the target's variance a small model does worse on stretches of rows that it has not
        seen any part of than on rows drawn at random). Features that move along the rows follow; they do not decide.

    Notes
    -----
    An exchangeable table is called dependent in at most 2 % of cases. Small effects in large tables are not called so:
    the correlation has to reach 0.1, or the rate of a class has to spread by a fifth of itself.

    References
    ----------
    Good, P. (2005). Permutation, parametric and bootstrap tests of hypotheses, 3rd ed., ch. 3. Roberts, D. R. et al.
    (2017). Cross-validation strategies for data with temporal, spatial, hierarchical, or phylogenetic structure.
    Ecography 40, 913-929.
    """
    if by in ("time", "position"):
        return pd.DataFrame(columns=COLUMNS).astype({"depends": bool})
    target, task, group, seed = problem.target, problem.task, problem.group, problem.seed
    rows = take_labelled(
        table.assign(**{_free(table): np.arange(len(table)) if positions is None else positions}), target, task
    )
    place_name = rows.columns[-1]
    rows = take_sample(bound_numbers(rows).sort_values(place_name, kind="stable"), seed)
    place = rows.pop(place_name).to_numpy(dtype="float64")
    if len(rows) < 20:
        return pd.DataFrame(columns=COLUMNS).astype({"depends": bool})
    outcome = outcome_columns(rows[target], task)
    if by == "group":
        units = rows[group].astype("str").to_numpy()
        outcome = pd.DataFrame(outcome).groupby(units, sort=False).mean().to_numpy()
        place = pd.Series(place).groupby(units, sort=False).mean().to_numpy()
        outcome, place = outcome[np.argsort(place, kind="stable")], np.sort(place)
    grouped = by == "group"
    sorters = [] if grouped else list_sorters(rows.drop(columns=target))
    found = _test_target(_remove_means(outcome, rows[sorters]), place, rows[target], task, target, seed)
    if not grouped and not any(row["depends"] for row in found):
        found = _test_keys(rows, outcome, task, target, seed) + found
    found += _test_twins(rows, target, task, group, seed)
    if not any(row["depends"] and row["test"] != TWINS for row in found) and not grouped and not sorters:
        with threadpool_limits(1):  # small models
            found += _test_learning(rows, target, task, seed)
    found += _test_features(rows.drop(columns=target))
    return pd.DataFrame(found, columns=COLUMNS).astype({"depends": bool})


def judge_order(tests: pd.DataFrame, by: str, *, ordered: bool = True) -> dict[str, Any]:
    """Say whether a split respects the order of the rows.

    Parameters
    ----------
    tests
        From `measure_order`, on the rows of train.
    by
        What the split goes by: ``time``, ``position``, ``random``, ``stratified`` or ``group``.
    ordered
        Whether the rows stand in an order of their own; a query that joins or sorts them takes it away.

    Returns
    -------
    dict
        respected (True, False, or None where it cannot be told) and sentence.

    Examples
    --------
    >>> judge_order(pd.DataFrame(columns=COLUMNS), "time")["respected"]
    True
    """
    twins = tests[tests["depends"] & (tests["test"] == TWINS)]
    if len(twins) and by != "time":
        words = (
            f"{twins.iloc[0]['evidence']}: a {by} split puts one of them into train and another into test. Name what "
            "rows belong to as `group` and split by it, or let the query drop repeats."
        )
        return {"respected": False, "sentence": words}
    tests = tests[tests["test"] != TWINS]
    if by in ("time", "position"):
        return {"respected": True, "sentence": f"The split follows the {by} of the rows."}
    if not ordered:
        words = (
            "The query leaves the rows in no order of their own, so whether they depend on it cannot be tested. "
            "End it with ORDER BY what tells the order in which the rows came."
        )
        return {"respected": None, "sentence": words}
    if tests.empty:
        return {"respected": None, "sentence": "There are too few rows to test whether they depend on their place."}
    broken = tests[tests["depends"]]
    if (broken["test"] == SORTED).any():
        words = f"{broken.iloc[0]['evidence']}. A {by} split supposes that there was none."
        return {"respected": None, "sentence": words[0].upper() + words[1:]}
    if broken.empty:
        least = float(tests.loc[tests["test"] != "feature", "p_value"].min())
        words = f"The target does not depend on the place of a row in the file (smallest p-value {least:.2g})."
        return {"respected": True, "sentence": words}
    return {
        "respected": False,
        "sentence": f"{broken.iloc[0]['evidence']}: rows are not exchangeable, and a {by} split lets the model learn "
        "from the neighbours of the rows that judge it. Split by position or time.",
    }


def is_sorted_by(values: "pd.Series[Any]") -> bool:
    """Tell whether a table is sorted by a column: each class in one stretch, or numbers that only rise or only fall.

    Examples
    --------
    >>> is_sorted_by(pd.Series(["b", "b", "a"])), is_sorted_by(pd.Series([1.5, 2.5, 0.5]))
    (True, False)
    """
    if column_kind(values) == "number" and (values.nunique() > 10 or values.is_unique):
        return bool(values.is_monotonic_increasing or values.is_monotonic_decreasing)
    codes = pd.factorize(values)[0]
    return bool(np.count_nonzero(np.diff(codes)) == codes.max(initial=0))


def list_sorters(features: pd.DataFrame) -> list[str]:
    """List the columns of few named levels that a table is sorted by: each level in one stretch, then within these.

    That the target differs between such levels is no dependence on the place: any split has rows of each. Levels with
    digits or names of months do not count, as they may follow one another in time.

    Examples
    --------
    >>> list_sorters(pd.DataFrame({"region": ["n", "n", "s", "s"], "kind": ["a", "b", "a", "b"], "x": [3, 1, 2, 4]}))
    ['region', 'kind']
    """
    texts = [name for name in features.columns if column_kind(features[name]) == "text"]
    fit = [name for name in texts if 1 < features[name].nunique() <= LEVELS and not _may_be_time(features[name])]
    found: list[str] = []
    codes = np.zeros(len(features), dtype=int)
    while True:
        for name in fit:
            own = pd.factorize(features[name].astype("str"), use_na_sentinel=False)[0]
            both = pd.factorize(codes * LEVELS * 2 + own)[0]
            if name not in found and np.count_nonzero(np.diff(both)) == both.max(initial=0) > codes.max(initial=0):
                found.append(str(name))
                codes = both
                break
        else:
            return found


def _may_be_time(column: "pd.Series[Any]") -> bool:
    texts = column.dropna().astype("str")
    return bool(texts.str.contains(r"\d").any() or texts.str[:3].str.lower().isin(MONTHS).all())


def _remove_means(outcome: np.ndarray, sorters: pd.DataFrame) -> np.ndarray:
    """Take the mean of each stretch of sorted rows out of an outcome, and put that of all in."""
    if not sorters.shape[1]:
        return outcome
    codes = sorters.astype("str").groupby(list(sorters.columns), sort=False, dropna=False).ngroup().to_numpy()
    means = pd.DataFrame(outcome).groupby(codes).transform("mean").to_numpy()
    return np.asarray(outcome - means + outcome.mean(axis=0))


def _free(table: pd.DataFrame) -> str:
    """Return a name that no column has."""
    name = "place"
    while name in table.columns:
        name += "_"
    return name


def _test_target(
    outcome: np.ndarray, place: np.ndarray, values: "pd.Series[Any]", task: str, target: str, seed: int
) -> list[dict[str, Any]]:
    n = len(outcome)
    random = np.random.default_rng(seed)
    y = (outcome - outcome.mean(axis=0)) / np.maximum(outcome.std(axis=0), 1e-12)
    codes = np.minimum(np.arange(n) * (blocks := int(np.clip(n // 25, 2, BLOCKS))) // n, blocks - 1)
    x = (place - place.mean()) / max(place.std(), 1e-12)
    seen = _measures(y, codes, blocks, x)
    chance = np.array([_measures(y[random.permutation(n)], codes, blocks, x) for _ in range(SHUFFLES)])
    p = np.minimum(1.0, 3 * (1 + (chance >= seen - 1e-12).sum(axis=0)) / (1 + SHUFFLES))
    rates = np.array([outcome[codes == block].mean(axis=0) for block in range(blocks)])
    noise = np.maximum(rates.var(axis=0) - outcome.var(axis=0) * blocks / n, 0) ** 0.5
    whole = outcome.mean(axis=0)
    spread = 0.0 if task == "regression" else float((noise / np.maximum(whole, 1e-12)).max())
    strengths = np.sqrt(np.maximum(seen, 0) if len(seen) else seen)
    strengths[0] = np.sqrt(max(0.0, 1 - (1 - seen[0]) * (n - 1) / max(n - blocks, 1)))
    material = [strengths[0] >= MATERIAL or spread >= RELATIVE, strengths[1] >= MATERIAL, strengths[2] >= MATERIAL]
    evidence = [_say_trend(values, outcome, codes, task, target), "", ""]
    evidence[1] = f"{target} drifts along the file (correlation with the place of a row {strengths[1]:.2f})"
    evidence[2] = f"neighbouring rows have alike {target} (correlation {strengths[2]:.2f})"
    names = ("trend along the rows", "drift", "neighbours")
    if len(values) == len(outcome) and is_sorted_by(values):
        evidence[0] = f"the file is sorted by {target} itself, so the order in which the rows came cannot be seen"
        names = (SORTED, *names[1:])
    return [
        {"column": target, "test": name, "strength": float(strength), "p_value": float(chance_of_it),
         "depends": bool(chance_of_it <= LEVEL and enough), "evidence": words}
        for name, strength, chance_of_it, enough, words in zip(names, strengths, p, material, evidence, strict=True)
    ]  # fmt: skip


def _measures(y: np.ndarray, codes: np.ndarray, blocks: int, x: np.ndarray) -> np.ndarray:
    """Measure how standardized columns depend on their order: over blocks, with the place, from one row to the next."""
    sums = np.add.reduceat(y, np.flatnonzero(np.r_[True, np.diff(codes) > 0]), axis=0)
    sizes = np.bincount(codes, minlength=blocks)[:, None]
    over_blocks = float((sums**2 / sizes).sum()) / y.size
    drift = float(((x @ y / len(y)) ** 2).max())
    neighbours = float(max(0.0, (y[1:] * y[:-1]).mean())) ** 2
    return np.array([over_blocks, drift, neighbours])


def _test_keys(rows: pd.DataFrame, outcome: np.ndarray, task: str, target: str, seed: int) -> list[dict[str, Any]]:
    """Test the target along columns that tell when a row came, as a file may have been shuffled; the first that tells.

    Serial numbers, periods and the like: see `nbkit.leakage.keys`.
    """
    plain = np.arange(len(rows), dtype="float64")
    keys = dict(list(list_time_keys(rows.drop(columns=target)).items())[:KEYS])
    for name, key in keys.items():
        order = key.to_numpy().argsort(kind="stable")
        values = rows[target].iloc[order].reset_index(drop=True)
        if key.is_monotonic_increasing or is_sorted_by(values):
            continue
        found = [one for one in _test_target(outcome[order], plain, values, task, target, seed) if one["depends"]]
        if found and found[0]["p_value"] * len(keys) <= LEVEL:
            words = f"in the order of {name}, {found[0]['evidence'].replace('the file', 'the rows')}"
            return [{**found[0], "evidence": f"{words}; let the query end with ORDER BY {name}"}]
    return []


def _test_twins(rows: pd.DataFrame, target: str, task: str, group: str, seed: int) -> list[dict[str, Any]]:
    outcome = outcome_columns(rows[target], task)
    share, agreement, words = measure_twins(rows, target, outcome, group=group, seed=seed)
    found = {"column": target, "test": TWINS, "strength": share, "p_value": np.nan, "depends": agreement >= AGREE}
    if share < SHARE or not found["depends"]:
        unit, more = ("", 0.0) if group else find_units(rows, target, outcome)
        if unit:
            words = f"rows of the same {unit} agree in {target} ({more:.0%} more than others)"
            return [{**found, "column": unit, "strength": more, "depends": True, "evidence": words}]
    return [{**found, "evidence": words}] if share >= SHARE else []


def _say_trend(values: "pd.Series[Any]", outcome: np.ndarray, codes: np.ndarray, task: str, target: str) -> str:
    if task == "regression" and len(values) == len(outcome):
        outcome = values.to_numpy(dtype="float64")[:, None]
    edge = max(1, len(outcome) // 10)
    first, last = outcome[:edge].mean(axis=0), outcome[-edge:].mean(axis=0)
    stretches = np.array([outcome[codes == code].mean(axis=0) for code in np.unique(codes)])
    column = int(np.ptp(stretches, axis=0).argmax())
    low, high = stretches[:, column].min(), stretches[:, column].max()
    gone = abs(last[column] - first[column]) >= (high - low) / 2
    ends = (first[column], last[column]) if gone else (low, high)
    where = (
        "between the first and the last tenth of the file" if gone else f"over {len(stretches)} stretches of the file"
    )
    if task == "regression":
        return f"the mean of {target} goes from {ends[0]:.3g} to {ends[1]:.3g} {where}"
    level = pd.factorize(values, sort=False)[1][column]
    return f"the share of {target} = {level} goes from {ends[0]:.1%} to {ends[1]:.1%} {where}"


def _test_learning(rows: pd.DataFrame, target: str, task: str, seed: int) -> list[dict[str, Any]]:
    """Compare what a small model learns for rows drawn at random, and for stretches of rows of which it saw no part."""
    if len(rows) < 200:
        return []
    step = max(1, len(rows) // GAP_ROWS)
    some = rows.iloc[::step].reset_index(drop=True)
    outcome = outcome_columns(some[target], task)
    inputs = encode_table(some.drop(columns=target))
    if not inputs.shape[1] or outcome.shape[1] > 20:
        return []
    n = len(some)
    stretches = np.arange(n) * 5 // n
    shuffled = np.random.default_rng(seed).permutation(stretches)
    errors = [
        ((outcome - predict_held_out(small_boosting(task, seed, n), inputs, outcome, folds, task)) ** 2).sum(axis=1)
        for folds in (stretches, shuffled)
    ]
    scale = ((outcome - outcome.mean(axis=0)) ** 2).sum(axis=1).mean()
    worse = (errors[0] - errors[1]) / scale
    means = np.array([part.mean() for part in np.array_split(worse, BLOCKS)])
    gap, error = float(worse.mean()), float(means.std(ddof=1) / np.sqrt(BLOCKS))
    p = _tail(gap / error) if error > 0 else float(gap <= 0)
    words = (
        f"a model explains {gap:.0%} less of {target} in stretches of the file that it has not seen than in rows drawn "
        "at random"
    )
    depends = gap >= GAP and p <= LEVEL / 2
    return [
        {"column": target, "test": "order of learning", "strength": gap, "p_value": p, "depends": depends,
         "evidence": words}
    ]  # fmt: skip


def _tail(t: float) -> float:
    from scipy import stats

    return float(stats.t.sf(t, BLOCKS - 1))


def _test_features(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Name the features that move along the rows; they tell what a reader should look at, and decide nothing."""
    from scipy import stats

    n = len(rows)
    blocks = int(np.clip(n // 25, 2, BLOCKS))
    codes = np.arange(n) * blocks // n
    found: list[dict[str, Any]] = []
    for name in rows.columns:
        column = rows[name]
        number = column_kind(column) != "text"
        y = (
            column.rank().fillna(0).to_numpy(dtype="float64")[:, None]
            if number
            else pd.get_dummies(column.astype("str").where(column.notna(), "")).to_numpy(dtype="float64")
        )
        if not number and y.shape[1] > 50:
            continue
        centred = y - y.mean(axis=0)
        total = float((centred**2).sum())
        if not total:
            continue
        sums = np.array([centred[codes == block].sum(axis=0) for block in range(blocks)])
        explained = float((sums**2 / np.bincount(codes, minlength=blocks)[:, None]).sum()) / total
        width = max(1, y.shape[1] - 1)
        strength = float(np.sqrt(max(0.0, 1 - (1 - explained) * (n - 1) / (n - blocks))))
        p = float(min(1.0, stats.chi2.sf((n - 1) * width * explained, width * (blocks - 1)) * rows.shape[1]))
        if strength >= FEATURE and p <= LEVEL:
            words = f"{name} moves along the file (correlation ratio {strength:.2f})"
            found.append(
                {
                    "column": name,
                    "test": "feature",
                    "strength": strength,
                    "p_value": p,
                    "depends": False,
                    "evidence": words,
                }
            )
    return sorted(found, key=lambda row: -row["strength"])[:10]
