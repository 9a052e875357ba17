"""Sentences that read the tables of ingestion, exploration and features; every number comes from the table."""

from typing import Any

import pandas as pd

from nbkit.data.leakage import list_suspects
from nbkit.data.splits import Splits
from nbkit.wording import say_count


def explain_splits(splits: Splits, spec: dict[str, Any], *, time: str = "") -> str:
    """Say in Markdown how rows were set apart, and how much the target moves between the parts."""
    by = spec.get("by", "random")
    how = {
        "time": f"by `{time}`: what comes later is never learned from",
        "random": "at random, by a hash of each row's key, so the same row falls into the same part in every run",
        "stratified": "at random within each class, so every part has the same mix",
        "group": "by group, so no group is in two parts",
        "position": "by their place in the file: the first teach, the last judge",
    }[by]
    sentences = [f"The rows are set apart {how}."]
    means = splits.summary.dropna(subset="target_mean")
    if len(means) == 2:
        train, valid = means["target_mean"]
        sentences.append(
            f"The target's mean is {train:.3g} in train and {valid:.3g} in valid; those of test and of the windows are not "
            "shown before 07 and 11."
        )
    if splits.windows:
        rows = sum(len(part) for part in splits.windows.values())
        sentences.append(
            f"Kept for the monitor: {say_count(len(splits.windows), 'window')} with {say_count(rows, 'row')}."
        )
    return " ".join(sentences)


def explain_target(summary: pd.DataFrame, target: str, task: str) -> str:
    """Say in Markdown what the target is like and how it moves over the periods of `summarize_target`."""
    rows = int(summary["n"].sum()) if task != "multiclass" else int(summary.groupby("period")["n"].first().sum())
    what = {"binary": f"The rate of yes in `{target}`", "regression": f"The mean of `{target}`"}.get(
        task, f"The share of each class of `{target}`"
    )
    overall = (summary["value"] * summary["n"]).sum() / summary["n"].sum()
    said = (
        f"{what} over {say_count(rows, 'row')} is {overall:.3g}"
        if task != "multiclass"
        else f"{what} over {say_count(rows, 'row')} is above"
    )
    if task == "multiclass" or len(summary) < 2:
        return said + "."
    values = summary["value"].to_numpy()
    low, high = summary.iloc[int(values.argmin())], summary.iloc[int(values.argmax())]
    return (
        f"{said}; by period it goes from {low['value']:.3g} ({low['period']}) to {high['value']:.3g} "
        f"({high['period']}), each give or take {(high['high'] - high['low']) / 2:.2g}."
    )


def explain_missing(missing: pd.DataFrame, columns: int) -> str:
    """Say in Markdown which columns lack values."""
    if not len(missing):
        return f"None of the {say_count(columns, 'column')} lacks a value."
    worst = missing.iloc[0]
    return (
        f"Values are missing in {len(missing)} of {say_count(columns, 'column')}, most of all in `{worst['column']}` "
        f"({worst['share']:.1%}). "
        "Missing is kept as such: it is information, and the features treat it as a level of its own."
    )


def explain_relations(relations: pd.DataFrame, leaks: pd.DataFrame, target: str) -> str:
    """Say in Markdown what tells the target on its own, and what does so suspiciously well."""
    above = relations[relations["strength"] > relations["noise"]]
    if not len(above):
        return f"No column alone tells `{target}` better than chance would."
    named = ", ".join(f"`{row.column}` ({row.strength:.2f})" for row in above.head(3).itertuples())
    among = f"{len(above)} of {say_count(len(relations), 'column')}"
    said = f"Better than chance, `{target}` is told by {among}; strongest alone: {named}."
    for row in leaks[leaks["suspect"]].to_dict("records"):
        said += f" **Too good to be true: {_quote(row['columns'])} {row['reason']} ({row['evidence']}).**"
    if strong := leaks.loc[~leaks["suspect"], "columns"].head(6).tolist():
        named = ", ".join(_quote(columns) for columns in strong)
        said += (
            f" Strong, and nothing shows that it cannot be so: {named}. Check in the contract when they become known."
        )
    return said


def _quote(columns: list[str]) -> str:
    return (
        ", ".join(f"`{column}`" for column in columns) if len(columns) <= 4 else f"all {len(columns)} columns together"
    )


def explain_features(catalogue: pd.DataFrame, columns: int) -> str:
    """Say in Markdown what the model sees of the table."""
    kinds = catalogue["type"].value_counts()
    mix = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return (
        f"The model sees **{say_count(len(catalogue), 'feature')}** ({mix}) made of "
        f"{catalogue['source'].nunique()} of the {say_count(columns, 'column')}."
    )


def summarize_exploration(
    train: pd.DataFrame, missing: pd.DataFrame, relations: pd.DataFrame, leaks: pd.DataFrame
) -> str:
    """Return the headline of an exploration."""
    told = relations[relations["strength"] > relations["noise"]]
    strongest = f", strongest {told['column'].iloc[0]}" if len(told) else ""
    count = len(list_suspects(leaks))
    suspects = f"; {say_count(count, 'column') if count else 'no column'} too good to be true"
    return (
        f"{say_count(train.shape[1], 'column')} in {say_count(len(train), 'row')}: values are missing in {len(missing)}, "
        f"the target is told better than chance by {len(told)}{strongest}{suspects}."
    )
