"""The error tree: it finds what is planted, keeps quiet where nothing is, and crossed slices do not overlap."""

import numpy as np
import pandas as pd
import pytest
from array_helpers import align, score_slices
from model_helpers import binary_recipe, load_table, make_binary, make_candidate
from sklearn.linear_model import Ridge

from benchmarks.truth.slices import draw_report
from nbkit.contract import ColumnRule, Contract
from nbkit.evaluation import grow_error_tree, worst_slices
from nbkit.evaluation.errors import split_rows
from nbkit.model import predict
from nbkit.problem import Problem


def draw(kind, n, rng, blocks=0):
    """Rows whose decisions are wrong in 20 %, and in 50 % where x is above 1 and the letter is b."""
    frame = pd.DataFrame({"x": rng.normal(size=n), "letter": rng.choice(list("abc"), n), "z": rng.normal(size=n)})
    day = rng.integers(0, blocks, n) if blocks else None
    chance = np.full(n, 0.2) if day is None else rng.uniform(0.1, 0.3, blocks)[day]
    bad = (frame["x"] > 1) & (frame["letter"] == "b") if kind == "planted" else frame["x"] > np.inf
    wrong = rng.random(n) < np.where(bad, 0.6, chance)
    y = rng.integers(0, 2, n)
    return align(y, np.where(wrong, 1 - y, y) * 0.8 + 0.1, rows=frame.mask(rng.random(frame.shape) < 0.02), groups=day)


def test_a_planted_weakness_is_found_in_words_and_its_numbers_are_those_of_rows_not_grown_on():
    table = grow_error_tree(draw("planted", 8000, np.random.default_rng(0)), ["x", "letter", "z"])
    first = table.iloc[0]
    assert first["verdict"] == "worse"
    assert "letter is b" in first["rule"]
    assert "x is above" in first["rule"]
    assert first["error"] == pytest.approx(0.58, abs=0.08)
    assert first["low"] < first["lift"] < first["high"]
    assert table["n"].sum() == 4000
    assert table[["share_of_rows", "share_of_errors"]].sum().tolist() == pytest.approx([1, 1])
    assert (table["verdict"] == "worse").sum() == 1


def test_rules_are_in_the_words_of_the_contract():
    frame = make_binary(1500).assign(
        x=lambda t: t["hour"], at=lambda t: pd.Timestamp("2026-01-01") + pd.to_timedelta(t["hour"], "h")
    )
    model = make_candidate("linear", binary_recipe()).fit(frame.drop(columns="late"), frame["late"])
    told = predict(model, frame, Problem("late", positive=1))
    named = Contract(
        (
            ColumnRule("x", description="delay so far; as reported", unit="minutes"),
            ColumnRule("at", description="departure, by the schedule", unit="local time"),
        )
    )
    for column, words in (
        ("x", r"delay so far is (at most|above) [\d.]+ minutes"),
        ("at", r"hour of departure, by the schedule, is (at most|above) [\d.]+"),
    ):
        rules = grow_error_tree(told, [column], min_rows=60, contract=named)["rule"]
        assert rules.str.fullmatch(rf"{words}( and {words})?").all(), rules.tolist()
        plain = grow_error_tree(told, [column], min_rows=60)
        assert plain["n"].tolist() == grow_error_tree(told, [column], min_rows=60, contract=named)["n"].tolist()


@pytest.mark.parametrize(("n", "blocks"), [(1200, 0), (3000, 30)])
def test_parts_that_are_no_worse_are_seldom_called_so(n, blocks):
    rng = np.random.default_rng(1)
    tables = [grow_error_tree(draw("even", n, rng, blocks), ["x", "letter", "z"]) for _ in range(120)]
    false = np.mean([(table["verdict"] == "worse").any() for table in tables])
    assert false <= 0.05 + 1.65 * np.sqrt(0.05 * 0.95 / 120)
    assert all((table["verdict"] != "too few").any() for table in tables)


def test_a_regression_is_off_by_numbers():
    table = load_table("diabetes")
    X, y = table.drop(columns="target"), table["target"]
    told = predict(Ridge().fit(X, y), table, Problem("target", "regression"))
    tree = grow_error_tree(told, list(X.columns), min_rows=30)
    assert (tree["n"] * tree["error"]).sum() / tree["n"].sum() == pytest.approx(np.abs(told.score - y).mean(), rel=0.1)
    assert tree.equals(grow_error_tree(told, list(X.columns), min_rows=30))


def test_names_times_and_gaps_make_rules_and_a_gap_is_named_only_where_there_are_some():
    frame = make_binary(1500)
    model = make_candidate("linear", binary_recipe()).fit(frame.drop(columns="late"), frame["late"])
    told = predict(model, frame, Problem("late", positive=1))
    rules = " ".join(grow_error_tree(told, ["hour", "temp", "carrier", "day"], min_rows=60)["rule"])
    assert "hour" in rules
    assert not any(f"hour is above {number} or missing" in rules for number in range(24))


def test_too_few_rows_and_nothing_wrong_are_no_trouble():
    few = draw("even", 150, np.random.default_rng(0))
    assert len(grow_error_tree(few, ["x"])) == 0
    assert len(grow_error_tree(draw("even", 900, np.random.default_rng(0)), [])) == 0
    y = np.arange(900) % 2
    right = align(y, y * 1.0, rows=pd.DataFrame({"x": np.arange(900.0), "constant": 1.0, "empty": np.nan}))
    assert set(grow_error_tree(right, ["x", "constant", "empty"])["verdict"]) == {"too few"}


def test_crossed_slices_that_are_worse_share_no_row():
    rng = np.random.default_rng(0)
    n = 6000
    frame = pd.DataFrame({"a": rng.choice(list("uvw"), n), "b": rng.choice(list("xyz"), n)})
    p = np.full(n, 0.3)
    bad = ((frame["a"] == "u") & (frame["b"] == "x")) | ((frame["a"] == "v") & (frame["b"] == "y"))
    y = rng.random(n) < np.where(bad, 0.7, 0.2)
    slices = score_slices(frame, y, p, ["a", "b"], metric="brier", positive=True, draws=0)
    crossed = align(y, p, rows=frame, metric="brier", positive=True)
    from nbkit.evaluation import score_slices as cross

    table = cross(crossed, ["a", "b"], draws=0, order=2)
    assert len(table) == len(slices) + 9
    worst = worst_slices(table)
    assert set(worst["slice"]) >= {"u and x", "v and y"}
    inside = [
        np.logical_and.reduce([frame[column] == level for column, level in zip(row["column"].split(" and "), row["slice"].split(" and "), strict=True)])
        for row in worst.to_dict("records")
    ]  # fmt: skip
    assert np.sum(inside, axis=0).max() == 1


def test_of_many_crossed_slices_none_is_blamed_by_chance():
    rng = np.random.default_rng(2)
    from nbkit.evaluation import score_slices as cross

    found = 0
    for _ in range(25):
        frame, y, p, *_ = draw_report("equal slices", 3000, rng)
        found += len(worst_slices(cross(align(y, p, rows=frame), list(frame.columns)[:3], draws=0, order=2))) > 0
    assert found <= 3


def test_a_cut_between_years_does_not_move_a_year_to_the_other_side_and_levels_have_names():
    year = np.tile([2012, 2013, 2014, 2015], 1000)
    odd, flag = np.where(np.arange(4000) % 3, "", "x"), np.arange(4000) % 5 == 0
    truth = np.arange(4000) // 4 % 2
    wrong = (year >= 2014) & (np.arange(4000) // 8 % 2 == 0)
    rows = pd.DataFrame({"year": year, "odd": odd, "flag": flag})
    table = grow_error_tree(align(truth, np.where(wrong, 1 - truth, truth) * 0.8 + 0.1, rows=rows), ["year"])
    assert table.at[0, "rule"].startswith("year is above 2013.5")
    told = " ".join(
        grow_error_tree(align(truth, np.where(odd == "", 1 - truth, truth) * 0.8 + 0.1, rows=rows), ["odd", "flag"])[
            "rule"
        ]
    )
    assert "odd is (empty)" in told or "odd is x" in told
    assert "above 0.5" not in told


def test_a_rule_says_missing_only_where_rows_without_a_value_came():
    """Read against the rows themselves: those without a value are in the leaf exactly if its rule says so."""
    said = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=3000)
        x[rng.random(3000) < 0.2] = np.nan
        wrong = rng.random(3000) < np.where(np.isnan(x), 0.1 * (seed % 5), np.abs(np.nan_to_num(x)) / 4)
        told = align(np.where(wrong, 1, 0), np.zeros(3000), rows=pd.DataFrame({"x": x}))
        grown = split_rows(told)
        for row in grow_error_tree(told, ["x"], min_rows=100).itertuples():
            inside = np.ones(3000, dtype=bool)
            for part in row.rule.split(" and "):
                cut = float(part.removesuffix(" or missing").split(" ")[-1])
                inside &= (x > cut if "above" in part else x <= cut) | (np.isnan(x) & part.endswith(" or missing"))
            assert inside[~grown].sum() == pytest.approx(row.n, abs=2)  # the cut is rounded
            said += " or missing" in row.rule
    assert said >= 12
