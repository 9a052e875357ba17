"""The anatomy of a stage notebook, notebook by notebook."""

import ast
import json
import re
import statistics
from pathlib import Path

import pytest

from nbkit.stages.graph import check_graph
from nbkit.stages.notebooks import read_stage, read_stages

FOLDER = Path(__file__).parents[1] / "notebooks"
STAGES = read_stages(FOLDER)
PAGES = {path.stem: read_stage(path) for path in sorted(FOLDER.glob("*.ipynb")) if path.stem not in STAGES}
NUMBER_TYPED_IN = re.compile(r"(?<![\w@`#.-])\d+(?:\.\d+)?\s?%|\b0\.\d+\b")


@pytest.fixture(params=STAGES, ids=str)
def stage(request):
    return STAGES[request.param]


@pytest.fixture
def cells(stage):
    return json.loads(stage.path.read_text())["cells"]


@pytest.fixture(params=STAGES | PAGES, ids=str)
def notebook(request):
    return (STAGES | PAGES)[request.param]


@pytest.fixture
def every_cell(notebook):
    return json.loads(notebook.path.read_text())["cells"]


def source(cell):
    return "".join(cell["source"])


def test_the_page_of_the_desk_is_no_stage_and_hands_nothing_over():
    assert {name: page.cadence for name, page in PAGES.items()} == {"00_desk": "desk"}
    assert PAGES["00_desk"].calls == ()


def test_there_are_eleven_and_they_fit_together():
    assert [name[:2] for name in STAGES] == [f"{n:02}" for n in range(1, 12)]
    check_graph(STAGES)


def test_it_begins_with_the_question_and_names_its_inputs_and_outputs(notebook, every_cell):
    heading = source(every_cell[0])
    assert heading.startswith(f"# {notebook.name[:2]} · ")
    assert notebook.question.endswith("?")
    assert [word for word in ("**Question**: ", "**Inputs**: ", "**Outputs**: ") if word not in heading] == []


def test_parameters_come_first_and_every_one_is_explained(notebook, every_cell):
    assert every_cell[1]["metadata"]["tags"] == ["parameters"]
    assert next(iter(notebook.parameters)) == "run_dir"
    assert [each.name for each in notebook.parameters.values() if not each.meaning] == []


def test_all_loads_stand_in_one_cell(cells):
    assert [
        place for place, cell in enumerate(cells) if cell["cell_type"] == "code" and "run.load(" in source(cell)
    ] in ([], [2], [3])
    assert "run = nbkit.Run(run_dir, globals())" in source(cells[2]) + source(cells[3])


def test_all_it_hands_over_stands_in_one_cell_and_ends_with_the_headline(stage, cells):
    places = [place for place, cell in enumerate(cells) if cell["cell_type"] == "code" and "run.save(" in source(cell)]
    assert len(places) == 1
    assert source(cells[places[0] - 1]) == "## Hand over"
    assert stage.saves[-1] == "headline"


def test_what_was_found_is_computed_and_the_last_cell_leads_on(cells):
    (place,) = [place for place, cell in enumerate(cells) if "findings" in cell["metadata"].get("tags", [])]
    assert source(cells[place - 1]) == "## What we now know"
    assert source(cells[place]).splitlines()[-1] == "Markdown.bullets(findings)"
    assert source(cells[place + 1]) == "## Hand over"
    assert source(cells[-1]).startswith(("←", "02 · "))


def test_code_cells_are_short_and_hold_no_definitions(every_cell):
    bodies = [source(cell) for cell in every_cell[3:] if cell["cell_type"] == "code"]
    assert statistics.median(len(body.splitlines()) for body in bodies) <= 5
    for body in bodies:
        kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef, ast.Lambda, ast.Try, ast.While)
        assert not [node for node in ast.walk(ast.parse(body)) if isinstance(node, kinds)], body
        assert len(body.splitlines()) <= 15, body
        assert not re.search(r"^\s*[%!]|input\(|/home/|/root/|C:\\", body, flags=re.MULTILINE), body


def test_no_two_tables_have_one_caption_and_those_of_the_weak_spots_have_their_own(stage, cells):
    bodies = [source(cell) for cell in cells if cell["cell_type"] == "code"]
    calls = [node for body in bodies for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Call)]
    given = [ast.unparse(call.args[1]) for call in calls if ast.unparse(call.func) == "caption"]
    assert len(given) == len(set(given))
    for name, heading, many in (("07_evaluate", "## Where it is weak", 3), ("11_monitor", "## Is it still right?", 2)):
        under, captions = "", 0
        for cell in cells if stage.name == name else ():
            under = source(cell).splitlines()[0] if source(cell).startswith("## ") else under
            captions += under == heading and "caption(" in source(cell)
        assert captions == many * (stage.name == name)


def test_no_number_is_typed_into_prose(every_cell):
    prose = [source(cell) for cell in every_cell[1:] if cell["cell_type"] == "markdown"]
    assert [found for text in prose for found in NUMBER_TYPED_IN.findall(text)] == []


def test_it_is_stripped_and_its_metadata_is_bare(every_cell, notebook):
    content = json.loads(notebook.path.read_text())
    assert set(content["metadata"]) <= {"kernelspec", "nbkit"}
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    assert len({cell["id"] for cell in every_cell}) == len(every_cell)


@pytest.mark.parametrize(
    ("objective", "verdicts", "said"),
    [
        ("Keep who would leave within a year", ["rejected", "open"], "year. Acceptance criteria: 0. Of 2 claims, "
         "1 dropped, 0 kept to be tested, 1 still open."),
        ("Is it kept?", ["kept"], "Is it kept? Acceptance criteria: 0. Of 1 claim, 0 dropped, 1 kept to be tested, 0 still open."),
        ("", [], "No objective is stated. Acceptance criteria: 0. Whether it needs a model at all was not asked: no hypothesis is stated."),
    ],
)  # fmt: skip
def test_the_headline_of_01_ends_its_sentences_and_counts_what_is_open(monkeypatch, objective, verdicts, said):
    saved = {}
    monkeypatch.setattr("nbkit.run.Run.__init__", lambda self, *given: None)
    monkeypatch.setattr("nbkit.run.Run.save", lambda self, **values: saved.update(values))
    told = {"objective": objective, "hypotheses": [{"claim": "x", "verdict": each} for each in verdicts]}
    space = {name: each.default for name, each in STAGES["01_frame"].parameters.items()} | told
    for cell in json.loads(STAGES["01_frame"].path.read_text())["cells"][2:]:
        if cell["cell_type"] == "code":
            exec(source(cell), space)
    assert saved["headline"].endswith(said)
