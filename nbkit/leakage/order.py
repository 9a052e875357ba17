"""Do the rows of a table depend on their place in it? If so, a random split judges a model by its neighbours."""

from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from nbkit.columns import bound_numbers, column_kind, take_labelled, take_sample
from nbkit.leakage.keys import MONTHS
from nbkit.leakage.learn import outcome_columns
from nbkit.leakage.places import COLUMNS, SORTED, measure_features, measure_keys, measure_learning, measure_target
from nbkit.leakage.twins import TWINS, find_twins
from nbkit.problem import Problem

LEVELS = 50  # of a column that a table may be sorted by


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
    target, group, seed = problem.target, problem.group, problem.seed
    none = pd.DataFrame(columns=COLUMNS).astype({"depends": bool})
    if by in ("time", "position"):
        return none
    rows = table.set_axis(np.arange(len(table)) if positions is None else positions)
    rows = take_labelled(rows, target, problem.task).sort_index(kind="stable")
    rows = take_sample(bound_numbers(rows), seed)
    place, rows = rows.index.to_numpy(dtype="float64"), rows.reset_index(drop=True)
    if len(rows) < 20:
        return none
    outcome = outcome_columns(rows[target], problem.task)
    grouped = by == "group"
    if grouped:
        units = rows[group].astype("str").to_numpy()
        outcome = pd.DataFrame(outcome).groupby(units, sort=False).mean().to_numpy()
        place = pd.Series(place).groupby(units, sort=False).mean().to_numpy()
        outcome, place = outcome[np.argsort(place, kind="stable")], np.sort(place)
    sorters = [] if grouped else list_sorters(rows.drop(columns=target))
    found = measure_target(_remove_means(outcome, rows[sorters]), place, rows[target], problem)
    if not grouped and not any(row["depends"] for row in found):
        found = measure_keys(rows, outcome, problem) + found
    depends = any(row["depends"] for row in found)
    found += find_twins(rows, problem)
    if not grouped and not sorters and not depends:
        with threadpool_limits(1):  # small models
            found += measure_learning(rows, problem)
    found += measure_features(rows.drop(columns=target))
    return pd.DataFrame(found, columns=COLUMNS).astype({"depends": bool})


def judge_order(tests: pd.DataFrame, by: str, *, ordered: bool = True) -> dict[str, Any]:
    """State whether a split respects the order of the rows.

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
    respected, words = _judge(tests, by, ordered=ordered)
    return {"respected": respected, "sentence": words}


def _judge(tests: pd.DataFrame, by: str, *, ordered: bool) -> tuple[bool | None, str]:
    twins = tests[tests["depends"] & (tests["test"] == TWINS)]
    if len(twins) and by != "time":
        return False, (
            f"{twins.iloc[0]['evidence']}: a {by} split puts one of them into train and another into test. Name what "
            "rows belong to as `group` and split by it, or let the query drop repeats."
        )
    tests = tests[tests["test"] != TWINS]
    if by in ("time", "position"):
        return True, f"The split follows the {by} of the rows."
    if not ordered:
        return None, (
            "The query leaves the rows in no order of their own, so whether they depend on it cannot be tested. "
            "End it with ORDER BY what tells the order in which the rows came."
        )
    if tests.empty:
        return None, "There are too few rows to test whether they depend on their place."
    broken = tests[tests["depends"]]
    if broken.empty:
        least = float(tests.loc[tests["test"] != "feature", "p_value"].min())
        return True, f"The target does not depend on the place of a row in the file (smallest p-value {least:.2g})."
    words = broken.iloc[0]["evidence"]
    if (broken["test"] == SORTED).any():
        return None, f"{words[0].upper()}{words[1:]}. A {by} split supposes that there was none."
    return False, (
        f"{words}: rows are not exchangeable, and a {by} split lets the model learn from the neighbours of the rows "
        "that judge it. Split by position or time."
    )


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
