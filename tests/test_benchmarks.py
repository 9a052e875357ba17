"""The benchmarks' own workings; what they measure is measured by running them."""

import json

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import ORDER, find_benchmarks, main, show_row
from benchmarks.changed import edit_stage, list_executed
from benchmarks.harness import ROOT, Options, Row, compare, describe_machine, take_turns, watch_others
from benchmarks.overhead import sum_cells
from benchmarks.projects import SCRAPBOOK, is_flagship, lay_ploomber, lay_project, name_params
from nbkit.stages.graph import check_graph
from nbkit.stages.notebooks import read_stage, read_stages


def test_a_benchmark_is_a_file_with_measure_and_says_what_it_asks():
    found = find_benchmarks()
    assert list(found) == list(ORDER)
    assert [name for name, module in found.items() if not module.__doc__] == []


def test_cases_take_turns():
    seen = []
    rows = take_turns("toy", {"a": lambda: seen.append("a") or 2.0, "b": lambda: seen.append("b") or 1.0}, 3)
    assert "".join(seen) == "ababab"
    assert rows["a"].values == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("limits", "holds"),
    [({}, True), ({"at_most": 2.0}, True), ({"at_most": 1.9}, False), ({"at_least": 2.0}, True), ({"at_least": 3.0}, False)],
)  # fmt: skip
def test_a_ratio_is_of_medians_and_held_to_its_limit(limits, holds):
    row = compare(Row("toy", "ours", (1.0, 4.0, 9.0)), Row("toy", "theirs", (2.0,)), **limits)
    assert (row.ratio, row.peer, row.holds) == (2.0, "theirs", holds)
    assert ("not kept" in show_row(row.as_dict() | {"others": 0.5})["limit"]) is not holds


def test_without_a_peer_the_limit_is_that_of_the_median():
    assert not Row("toy", "ours", (1.0, 2.0, 3.0), at_most=1.5).holds


@pytest.mark.parametrize("markdown", [True, False])
def test_what_was_measured_can_be_shown_again(tmp_path, markdown):
    with watch_others() as seen:
        pass
    rows = [
        Row("toy", "ours", (1.0,), at_most=2.0).as_dict() | seen,
        Row("toy", "big", (9.0,), "MB", at_most=2.0).as_dict() | seen,
    ]
    file = tmp_path / "found.json"
    file.write_text(json.dumps({"machine": describe_machine(), "params": ["wine.yaml"], "rounds": 1, "rows": rows}))
    done = CliRunner().invoke(main, ["--read", str(file), *(["--markdown"] if markdown else [])])
    assert done.exit_code == 1
    assert "≤ 2 s" in done.output
    assert "≤ 2 MB (not kept)" in done.output
    assert done.output.startswith("| benchmark |" if markdown else "benchmark")


def test_an_unknown_benchmark_is_refused():
    done = CliRunner().invoke(main, ["pipelin"])
    assert done.exit_code == 2
    assert "there are pipeline" in done.output


@pytest.mark.parametrize("style", [None, SCRAPBOOK])
def test_the_six_notebooks_are_stages_that_fit_together(tmp_path, style):
    lay_project(tmp_path, **({"style": style} if style else {}))
    graph = check_graph(read_stages(tmp_path / "notebooks"))
    assert len(graph.stages) == 6
    if not style:
        assert graph.upstream("06_step") == ("05_step",)


def test_ploomber_gets_the_same(tmp_path):
    lay_ploomber(tmp_path / "p", 2)
    assert (tmp_path / "p" / "pipeline.yaml").read_text().count("source:") == 2


def test_limits_are_those_of_the_flagship(tmp_path):
    flights, small = (ROOT / "params" / f"{name}.yaml" for name in ("flights", "small"))
    assert is_flagship(Options(tmp_path, 1, (flights,)))
    assert not is_flagship(Options(tmp_path, 1, (flights, small)))
    assert name_params(Options(tmp_path, 1, (small,))) == ["params/small.yaml"]


def test_edits_change_code_or_only_a_comment(tmp_path):
    lay_project(tmp_path, 1)
    path = tmp_path / "notebooks" / "01_step.ipynb"
    before = read_stage(path).code
    edit_stage(path, "# a comment")
    assert read_stage(path).code == before
    edit_stage(path, "_ = 1")
    assert read_stage(path).code != before


def test_what_ran_and_how_long_its_cells_took_is_read_from_the_run(tmp_path):
    entries = [{"stage": "01_a", "status": "passed"}, {"stage": "02_b", "status": "passed", "borrowed": "first"}]
    (tmp_path / "run.json").write_text(json.dumps({"stages": entries}))
    assert list_executed(tmp_path) == {"01_a"}
    noted = {"start_time": "2026-01-01T00:00:00+00:00", "end_time": "2026-01-01T00:00:02.500000+00:00"}
    cells = [{"metadata": {"papermill": noted}}, {"metadata": {}}, {"metadata": {"papermill": {"start_time": None}}}]
    (tmp_path / "01_a.ipynb").write_text(json.dumps({"cells": cells}))
    assert sum_cells(tmp_path) == 2.5
