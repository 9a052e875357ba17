"""Leaks of many kinds are planted: how many are found, and how often an honest table is blamed."""

from typing import Any

import numpy as np
import pandas as pd

from nbkit.leakage import find_leakage, list_suspects
from nbkit.problem import Problem

ROWS = 800


def draw_table(seed):
    random = np.random.default_rng(seed)
    table = pd.DataFrame({f"f{i}": random.normal(size=ROWS) for i in range(4)})
    return table.assign(c1=random.choice(list("abcd"), ROWS), c2=random.choice(list("xyz"), ROWS)), random


def plant_sum(t, r):
    t = t.assign(a=r.gamma(2, 50, ROWS), b=r.gamma(3, 20, ROWS))
    return t.assign(y=t.a + t.b + 0.0), "regression", {"a", "b"}


def plant_weighted_sum(t, r):
    t = t.assign(a=r.normal(size=ROWS), b=r.normal(size=ROWS))
    return t.assign(y=0.3 * t.a - 0.8 * t.b + 4), "regression", {"a", "b"}


def plant_ratio(t, r):
    t = t.assign(a=r.lognormal(3, 1, ROWS), b=r.lognormal(1, 1, ROWS))
    return t.assign(y=t.a / t.b), "regression", {"a", "b"}


def plant_product_of_three(t, r):
    t = t.assign(a=r.integers(1, 20, ROWS), b=r.lognormal(1, 1, ROWS), c=r.uniform(0.5, 1, ROWS))
    return t.assign(y=t.a * t.b * t.c), "regression", {"a", "b", "c"}


def plant_dates(t, r):
    t = t.assign(a=pd.Timestamp("2020-01-01") + pd.to_timedelta(r.integers(0, 900, ROWS), "D"))
    days = r.poisson(6, ROWS)
    return t.assign(b=t.a + pd.to_timedelta(days, "D"), y=days.astype(float)), "regression", {"a", "b"}


def plant_later_than(t, r):
    t = t.assign(a=r.normal(size=ROWS))
    t = t.assign(b=t.a + r.normal(size=ROWS))
    return t.assign(y=(t.b > t.a + 0.3).astype(int)), "binary", {"a", "b"}


def plant_rare_gap(t, r):
    y = (r.random(ROWS) < 0.05).astype(int)
    t = t.assign(a=r.normal(size=ROWS))
    return t.assign(b=t.a + r.normal(0, 0.05, ROWS) + 2 * y, y=y), "binary", {"a", "b"}


def plant_xor(t, r):
    y, mask = r.integers(0, 2, ROWS), r.integers(0, 2, ROWS)
    return t.assign(a=mask, b=y ^ mask, y=y), "binary", {"a", "b"}


def plant_levels(t, r):
    a, b = r.integers(0, 3, ROWS), r.integers(0, 3, ROWS)
    table = t.assign(a=np.array(["u", "v", "w"])[a], b=np.array(["k", "l", "m"])[b])
    return table.assign(y=np.array(["red", "green", "blue"])[(a + b) % 3]), "multiclass", {"a", "b"}


def plant_mask(t, r):
    y, noise = r.normal(size=ROWS), r.normal(0, 5, ROWS)
    return t.assign(a=noise, b=y + noise, y=y), "regression", {"a", "b"}


def plant_flags(t, r):
    y, kind = r.integers(0, 2, ROWS), r.integers(0, 3, ROWS)
    flags = {f"flag{i}": ((kind == i) & (y == 1)).astype(int) for i in range(3)}
    return t.assign(**flags, y=y), "binary", {"flag0", "flag1", "flag2"}


def plant_sum_of_four(t, r):
    parts = {f"p{i}": r.gamma(2, 10, ROWS) for i in range(4)}
    return t.assign(**parts, y=sum(parts.values())), "regression", set(parts)


def plant_next(t, r):
    t = t.assign(y=r.normal(size=ROWS))
    return t.assign(a=t.y.shift(-1)), "regression", {"a"}


def plant_lag(t, r):
    t = t.assign(y=r.normal(size=ROWS))
    return t.assign(a=t.y.shift(7)), "regression", {"a"}


def plant_lagged_class(t, r):
    t = t.assign(y=(r.random(ROWS) < 0.3).astype(int))
    return t.assign(a=t.y.shift(3)), "binary", {"a"}


def plant_encoding(t, r):
    group = r.choice(30, ROWS)
    t = t.assign(g=[f"g{i}" for i in group], y=(r.random(ROWS) < 0.1 + 0.02 * (group % 20)).astype(int))
    return t.assign(a=t.groupby("g").y.transform("mean")), "binary", {"a"}


def plant_encoding_without_the_row(t, r):
    t, _, _ = plant_encoding(t, r)
    total, count = t.groupby("g").y.transform("sum"), t.groupby("g").y.transform("size")
    return t.assign(a=(total - t.y) / (count - 1)), "binary", {"a"}


def plant_code(t, r):
    y = r.integers(0, 3, ROWS)
    return t.assign(a=y * 1000 + r.integers(0, 900, ROWS), y=y), "multiclass", {"a"}


def plant_id_by_outcome(t, r):
    y = np.sort(r.integers(0, 2, ROWS))
    return t.assign(a=np.arange(ROWS) + 5000, y=y).sample(frac=1, random_state=1), "binary", {"a"}


def _draw_yes(r, share=0.4):
    return (r.random(ROWS) < share).astype(int)


def plant_mark_on_a_third_of_one_class(t, r):
    y = _draw_yes(r)
    return (
        t.assign(a=np.where((y == 1) & (r.random(ROWS) < 0.33), "hold", r.choice(["n", "m"], ROWS)), y=y),
        "binary",
        {"a"},
    )


def plant_absence_in_a_third_of_one_class(t, r):
    y = _draw_yes(r)
    return t.assign(a=np.where((y == 1) & (r.random(ROWS) < 0.33), np.nan, r.normal(size=ROWS)), y=y), "binary", {"a"}


def plant_number_that_means_nothing(t, r):
    y = _draw_yes(r)
    return t.assign(a=np.where((y == 1) & (r.random(ROWS) < 0.4), 999, r.integers(0, 300, ROWS)), y=y), "binary", {"a"}


def plant_amount_for_one_class_only(t, r):
    y = _draw_yes(r)
    return t.assign(a=np.where((y == 1) & (r.random(ROWS) < 0.5), r.gamma(2, 9, ROWS), 0.0), y=y), "binary", {"a"}


def plant_hour_of_a_nightly_job(t, r):
    y = _draw_yes(r)
    hour = np.where((y == 1) & (r.random(ROWS) < 0.5), 3, r.integers(7, 21, ROWS))
    day = pd.Timestamp("2024-05-01") + pd.to_timedelta(r.integers(0, 300, ROWS), "D")
    return t.assign(a=day + pd.to_timedelta(hour * 60 + r.integers(0, 60, ROWS), "min"), y=y), "binary", {"a"}


def plant_word_in_a_text(t, r):
    y = _draw_yes(r)
    words = np.array(["paid", "asked", "wrote", "rang", "came", "moved"])
    said = [
        " ".join([*r.choice(words, 3), f"no{r.integers(999)}", *(["lawyer"] if yes and r.random() < 0.5 else [])])
        for yes in y
    ]
    return t.assign(a=said, y=y), "binary", {"a"}


def plant_mark_on_a_rare_class(t, r):
    y = _draw_yes(r, 0.04)
    return t.assign(a=np.where((y == 1) & (r.random(ROWS) < 0.7), "special", None), y=y), "binary", {"a"}


def plant_part_of_the_target(t, r):
    y = r.lognormal(4, 0.5, ROWS)
    return t.assign(a=np.where(r.random(ROWS) < 0.5, 1.19 * y, 0.0), y=y), "regression", {"a"}


def plant_range_within_levels(t, r):
    y = r.normal(size=ROWS) + t.c1.map(dict(zip("abcd", range(4), strict=True)))
    half = y.groupby(t.c1).transform(lambda each: pd.qcut(each, 5, labels=False))
    return t.assign(a=half, y=y), "regression", {"a", "c1"}


def plant_drawn_mean_of_groups_that_are_gone(t, r):
    y = pd.Series(_draw_yes(r))
    family = pd.Series(r.permutation(ROWS) // 5)
    return t.assign(a=((y.groupby(family).transform("sum") + 4 * y.mean()) / 9).round(4), y=y), "binary", {"a"}


def plant_rounded_mean_of_groups_that_are_gone(t, r):
    y = pd.Series(r.gamma(3, 40, ROWS))
    return t.assign(a=y.groupby(r.permutation(ROWS) // 4).transform("mean").round(1), y=y), "regression", {"a"}


def plant_log_odds_of_levels(t, r):
    t, _, _ = plant_encoding(t, r)
    total, count = t.groupby("g").y.transform("sum"), t.groupby("g").y.transform("size")
    return t.assign(a=np.log((total + 0.5) / (count - total + 0.5))), "binary", {"a"}


def plant_sum_of_levels(t, r):
    t, _, _ = plant_encoding(t, r)
    return t.assign(a=t.groupby("g").y.transform("sum")), "binary", {"a"}


def plant_mean_of_levels_with_noise(t, r):
    t, _, _ = plant_encoding(t, r)
    return t.assign(a=t.groupby("g").y.transform("mean") + r.normal(0, 0.005, ROWS)), "binary", {"a"}


def plant_ratio_with_gaps(t, r):
    t = t.assign(a=r.lognormal(3, 1, ROWS), b=r.lognormal(1, 1, ROWS))
    t = t.assign(y=(t.a / t.b > 7).astype(int))
    return t.assign(**{name: t[name].mask(r.random(ROWS) < 0.2) for name in "ab"}), "binary", {"a", "b"}


PLANTS = [value for name, value in list(globals().items()) if name.startswith("plant_")]


def draw_honest(task: str, seed: int) -> pd.DataFrame:
    """Draw a table with signal, an interaction and noise, and no leak."""
    table, random = draw_table(seed)
    signal = 2 * table["f0"] + table["f1"] * table["f2"] + (table["c1"] == "a") + random.normal(size=ROWS)
    target = {
        "regression": signal,
        "binary": (signal > 1).astype(int),
        "multiclass": pd.cut(signal, [-99, -1, 1, 99], labels=list("lmh")).astype(str),
    }
    return table.assign(y=target[task])


def measure(options: Any = None, seeds: int = 20) -> list[dict[str, Any]]:
    """Measure how many planted leaks are found with all their columns, and how often honest tables are blamed."""
    rows = []
    for plant in PLANTS:
        found = []
        for seed in range(100, 100 + seeds):
            table, task, culprits = plant(*draw_table(seed))
            found.append(set(list_suspects(find_leakage(table, Problem("y", task)))) == culprits)
        share = float(np.mean(found))
        words = plant.__name__.removeprefix("plant_").replace("_", " ")
        rows.append(
            {"what": f"leak found and named: {words}", "measured": share, "limit": 0.95, "holds": share >= 0.95}
        )
    for task in ("binary", "multiclass", "regression"):
        blamed = [
            bool(list_suspects(find_leakage(draw_honest(task, seed), Problem("y", task)))) for seed in range(100, 200)
        ]
        share = float(np.mean(blamed))
        rows.append({"what": f"honest tables blamed, {task}", "measured": share, "limit": 0.02, "holds": share <= 0.02})
    return rows
