"""What two runs differ in: scores, paired where the rows are the same, parameters, versions, what they handed over."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbkit.errors import NbkitError
from nbkit.lifecycle import EVALUATE, FRAME, INGEST, TRAIN
from nbkit.pipeline.runs import find_run
from nbkit.record import RunRecord, read_record, to_plain
from nbkit.scraps import digest_value, read_scraps, read_value
from nbkit.values import TAG
from nbkit.wording import format_count

Row = dict[str, Any]
UNREADABLE = (NbkitError, OSError, KeyError, ValueError, TypeError, AttributeError)  # what reading scraps may raise


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
        ``what`` (parameter, version, code, status, headline, value, artifact), ``where``, ``before``, ``after``;
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


def compare_models(before: Path, after: Path) -> tuple[list[Row], str]:
    """Compare the models of two runs on their test rows, by a paired bootstrap where these are the same.

    Parameters
    ----------
    before, after
        Folders of runs.

    Returns
    -------
    list of dict
        metric, before, after (each value, low, high), difference (after − before), low, high (of the difference; 95 %
        for each metric by itself) and verdict on the second: "better", "worse", "inconclusive", or "the same" where
        each row has the same prediction (decision, for a metric of decisions); empty if not compared.
    str
        What was compared, or why nothing was, as a sentence.
    """
    folders = before, after
    try:
        first, second = (read_value(folder, EVALUATE, "scores").to_dict("index") for folder in folders)
        asked = [_describe_question(read_value(folder, FRAME, "problem")) for folder in folders]
        tests, *same = (
            [digest_value(read_scraps(folder / f"{stage}.ipynb").get(name)) for folder in folders]
            for stage, name in ((INGEST, "test"), (TRAIN, "model"), (EVALUATE, "scores"))
        )
        rows = [{"metric": name, "before": first[name], "after": second[name]} for name in first if name in second]
        if asked[0] != asked[1]:
            return [], f"The runs predict different things ({'; '.join(asked)}), so their scores are not compared."
        if tests[0] != tests[1]:
            return rows, "The runs were judged on different rows: a difference may come from these or from the model."
        if all(first == second for first, second in same):
            return [], "The model, the test rows and the scores are the same."
        found = _pair(folders, list(first))
    except UNREADABLE as error:
        told = str(error).replace(str(before), before.name).replace(str(after), after.name)  # a page may be sent
        return [], f"The scores cannot be compared: {told}."
    tested = format_count(found["n"].max(), "test row")
    said = f"Both models were scored on the same {tested}; the differences are paired."
    told = found[["difference", "low", "high", "verdict"]].to_dict("index")
    return [row | told.get(row["metric"], {}) for row in rows], said


def _describe_question(problem: Any) -> str:
    return f"{problem.target}, {problem.task}{f', {problem.positive}' if problem.task == 'binary' else ''}"


def _pair(folders: tuple[Path, Path], names: list[str]) -> Any:
    """Compare the second run's model with that of the first, each deciding at its own threshold."""
    import numpy as np

    from nbkit.model import compare, known_metrics, predict
    from nbkit.model.metrics import METRICS

    problem, costs = (read_value(folders[1], FRAME, name) for name in ("problem", "costs"))
    test, same = read_value(folders[0], INGEST, "test"), costs == read_value(folders[0], FRAME, "costs")
    before, after = (
        predict(read_value(folder, TRAIN, "model"), test, problem, threshold=read_value(folder, EVALUATE, "threshold"))
        for folder in folders
    )
    known = [name for name in names if name in known_metrics(problem.task)]
    found = compare(after, before, known, costs=costs if same and "cost_per_row" in names else None)
    equal = {part: np.array_equal(getattr(before, part), getattr(after, part)) for part in ("score", "label")}
    kinds = ["score" if name in known and METRICS[name].needs == "score" else "label" for name in found.index]
    return found.assign(verdict=found["verdict"].mask([equal[kind] for kind in kinds], "the same"))


def group_artifacts(rows: list[Row]) -> dict[str, list[str]]:
    """Group the artifacts among differences: stage to their names."""
    stages: dict[str, list[str]] = {}
    for stage, _, name in (row["where"].partition(".") for row in rows if row["what"] == "artifact"):
        stages.setdefault(stage, []).append(name)
    return stages


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
                yield _describe(f"{Path(name).stem}.{scrap}", old, new)


def _describe(where: str, old: Any, new: Any) -> Row:
    kinds = [one["value"]["kind"] if isinstance(one, dict) and one.get(TAG) == "artifact" else "" for one in (old, new)]
    if any(kinds):
        return {"what": "artifact", "where": where, "before": _name(old, kinds[0]), "after": _name(new, kinds[1])}
    what = "headline" if where.endswith(".headline") else "value"
    return {"what": what, "where": where, "before": old, "after": new}


def _name(data: Any, kind: str) -> Any:
    if not kind:
        return "–" if data is None else data
    rows = f", {format_count(data['value']['rows'], 'row')}" if "rows" in data["value"] else ""
    return f"{kind} {data['value']['sha256'][:8]}{rows}"
