"""What two runs differ in: parameters, versions, status, headlines, and what each stage handed over."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbkit.pipeline.runs import find_run
from nbkit.record import RunRecord, read_record, to_plain
from nbkit.scraps import read_scrap, read_scraps
from nbkit.values import TAG
from nbkit.wording import format_count

Row = dict[str, Any]


def compare_runs(root: Path, before: str, after: str) -> list[Row]:
    """List the differences between two runs.

    Parameters
    ----------
    root
        The project.
    before, after
        Names of runs, as `find_run` takes them.

    Returns
    -------
    list of dict
        ``what`` (parameter, version, code, status, headline, value, score, artifact), ``where``, ``before``, ``after``;
        empty if both handed over the same with the same parameters.

    Raises
    ------
    UnknownRun
        If there is no such run.
    """
    folders = find_run(root, before), find_run(root, after)
    first, second = (read_record(folder) for folder in folders)
    return [
        *_differ("parameter", _flatten(first.parameters), _flatten(second.parameters)),
        *_differ("version", first.surroundings.versions, second.surroundings.versions),
        *_differ("code", _git(first), _git(second)),
        *_differ("status", _statuses(first), _statuses(second)),
        *_compare_scraps(*folders),
    ]


def _differ(what: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Row]:
    for name in [*before, *(name for name in after if name not in before)]:
        if before.get(name) != after.get(name):
            yield {"what": what, "where": name, "before": before.get(name, "–"), "after": after.get(name, "–")}


def _flatten(sections: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {f"{section}.{key}": value for section, keys in sections.items() for key, value in keys.items()}


def _statuses(record: RunRecord) -> dict[str, str]:
    return {each.stage: each.status for each in record.stages}


def _git(record: RunRecord) -> dict[str, Any]:
    known = to_plain(record.surroundings.git)
    return {name: value for name, value in known.items() if value not in ("", None)}


def _compare_scraps(before: Path, after: Path) -> Iterator[Row]:
    names = sorted({path.name for folder in (before, after) for path in folder.glob("[0-9]*.ipynb")})
    for name in names:
        there = ["run" if (folder / name).is_file() else "not there" for folder in (before, after)]
        if "not there" in there:
            yield {"what": "status", "where": f"{name} itself", "before": there[0], "after": there[1]}
            continue
        first, second = read_scraps(before / name), read_scraps(after / name)
        for scrap in [*first, *(each for each in second if each not in first)]:
            old, new = first.get(scrap), second.get(scrap)
            if old != new:
                yield from _describe(f"{Path(name).stem}.{scrap}", old, new, before, after)


def _describe(where: str, old: Any, new: Any, before: Path, after: Path) -> Iterator[Row]:
    kinds = [
        data["value"]["kind"] if isinstance(data, dict) and data.get(TAG) == "artifact" else "" for data in (old, new)
    ]
    if where.endswith("scores") and kinds == ["table", "table"]:
        yield from _compare_scores(where, read_scrap(old, before), read_scrap(new, after))
    elif any(kinds):
        yield {"what": "artifact", "where": where, "before": _name(old, kinds[0]), "after": _name(new, kinds[1])}
    else:
        what = "headline" if where.endswith(".headline") else "value"
        yield {"what": what, "where": where, "before": old, "after": new}


def _name(data: Any, kind: str) -> Any:
    if not kind:
        return "–" if data is None else data
    rows = f", {format_count(data['value']['rows'], 'row')}" if "rows" in data["value"] else ""
    return f"{kind} {data['value']['sha256'][:8]}{rows}"


def _compare_scores(where: str, old: Any, new: Any) -> Iterator[Row]:
    """Compare two tables of scores metric by metric, with their intervals."""
    keys = [column for column in ("candidate", "metric") if column in old.columns]
    shown = []
    for table in (old, new):
        rows = (table.set_index(keys) if keys else table).to_dict("index")
        shown.append({key: f"{row['value']:.4g} ({row['low']:.4g} to {row['high']:.4g})" for key, row in rows.items()})
    for row in _differ("score", *shown):
        label = " ".join(row["where"]) if isinstance(row["where"], tuple) else row["where"]
        yield row | {"where": f"{where} {label}"}
