import ast
import contextlib
import json
import random

import pytest
from desk_helpers import Notebook, run_batch

from nbkit.freshness import Desk
from nbkit.scraps import read_value

HEAD = "import nbkit\nrun = nbkit.Run(run_dir, globals())"
FIRST = ['run_dir: str = "."  # folder\nx: int = 1  # number', HEAD, "y = x + 10", "y = y * 3", "run.save(y=y)"]
SECOND = [
    'run_dir: str = "."  # folder\nk: int = 2  # factor',
    HEAD,
    'y = run.load("01_a", "y")',
    "z = y * k + 100",
    "z = z + 7",
    "run.save(z=z)",
]
THIRD = ['run_dir: str = "."  # folder', HEAD, 'z = run.load("02_b", "z")', "print(z)", "run.save(w=z)"]


@pytest.fixture
def desk(project):
    folder = project / "notebooks"
    for path in folder.glob("*.ipynb"):
        path.unlink()
    return [
        Notebook(folder, name, sources, project)
        for name, sources in (("01_a", FIRST), ("02_b", SECOND), ("03_c", THIRD))
    ]


def why(notebook):
    return Desk(notebook.path.parent, notebook.root).why_stale(notebook.stage)


def run_and_save(*notebooks):
    for each in notebooks:
        each.restart()
        each.run_all()
        assert each.error is None, each.error
        each.save()


def test_what_was_run_in_order_is_fresh(desk):
    _first, _second, third = desk
    run_and_save(*desk)
    assert [why(each) for each in desk] == ["", "", ""]
    assert "STALE" not in third.run(2)
    third.run_all()
    third.run_all()  # again, in the same kernel
    third.save()
    assert why(third) == ""


def test_a_changed_input_makes_stale_what_comes_after(desk):
    first, second, third = desk
    run_and_save(*desk)
    first.cells[2]["source"] = "y = x + 20"
    run_and_save(first)
    assert why(second) == "01_a hands over another y now"
    assert why(third) == "02_b is stale: 01_a hands over another y now"
    assert "STALE: 01_a hands over another y now; `nbkit refresh 03_c`" in third.run(2)
    run_and_save(second)
    assert why(second) == ""
    assert why(third) == "02_b hands over another z now"


def test_the_same_value_saved_anew_makes_nothing_stale(desk):
    first, _second, _third = desk
    run_and_save(*desk)
    first.cells[2]["source"] = "y = 10 + x"
    run_and_save(first)
    assert [why(each) for each in desk] == ["", "", ""]


def test_code_that_was_changed_and_not_run(desk):
    first, _second, third = desk
    run_and_save(*desk)
    first.cells[2]["source"] = "y = x + 20"
    first.save()
    assert why(first) == "code cell 3 was changed and has not run since"
    assert why(third) == "01_a is stale: code cell 3 was changed and has not run since"
    first.cells[2]["source"] = "y = x + 10  # a comment"
    first.save()
    assert why(third) == ""


def test_cells_that_ran_out_of_order_or_are_gone(desk):
    first = desk[0]
    run_and_save(first)
    first.run(2)
    first.run(4)
    first.save()
    assert why(first) == "code cell 4 has not run since code cell 3 did, which makes y"
    run_and_save(first)
    first.cells.insert(3, Notebook.make_cell("scratch", "y = 99"))
    first.run_all()
    first.save()
    assert why(first) == ""
    del first.cells[3]
    first.run(3)
    first.run(4)
    first.save()
    assert why(first) == "code cell 4 got y from a cell that does not stand above it"


def test_what_ran_and_was_not_saved(desk):
    first, _second, _third = desk
    run_and_save(*desk)
    first.cells[2]["source"] = "y = x + 20"
    first.run_all()
    assert why(first) == "it handed over another y at the desk, and was not saved since (Ctrl-S)"
    first.save()
    assert why(first) == ""


def test_a_module_of_the_project_that_was_changed(desk):
    first = desk[0]
    module = first.root / "own_module_of_freshness.py"
    module.write_text("plus = 10\n")
    first.cells[2]["source"] = "import own_module_of_freshness\ny = x + own_module_of_freshness.plus"
    run_and_save(first)
    assert why(first) == ""
    module.write_text("plus = 20\n")
    assert why(first) == "own_module_of_freshness.py was changed"


def test_a_batch_run_gives_what_is_newer(desk):
    first, second, third = desk
    run_and_save(*desk)
    run_batch(first.root, "r1", desk, {"01_a": {"x": 5}})
    assert Desk(first.path.parent, first.root).find("02_b").parent.name == "r1"
    assert [why(each) for each in desk] == ["", "", ""]
    assert "STALE" not in third.run(2)
    second.cells[3]["source"] = "z = y * k + 200"
    second.save()
    run_and_save(first)  # adopts x = 5 from the run
    assert read_value(first.path.parent, "01_a", "y") == 45
    assert why(second) == "code cell 4 was changed and has not run since"
    second.save()


def test_other_parameters_of_the_latest_run(desk):
    first, second, _third = desk
    run_batch(first.root, "r1", desk, {"01_a": {"x": 5}})
    run_and_save(*desk)
    run_batch(first.root, "r2", desk[:1], {"01_a": {"x": 6}})
    assert Desk(first.path.parent, first.root).find("01_a").parent.name == "r2"
    assert why(second) == "01_a hands over another y now"
    first.cells[2]["source"] = "y = x + 11"
    first.save()
    assert why(first) == "it has not run since it was changed" or "code" in why(first)


# --- no stale read, whatever an author does


def read_constant(notebook, name):
    line = next(each for each in ast.parse(notebook["cells"][0]["source"]).body if each.target.id == name)
    return line.value.value


def compute(desk, record):
    """What the files on disk would hand over if all of them ran now, from top to bottom."""
    files = [json.loads(each.path.read_text()) for each in desk]
    values = {}
    for each, content in zip(desk, files, strict=True):
        names = {}
        for name in {"01_a": ["x"], "02_b": ["k"], "03_c": []}[each.stage]:
            own = read_constant(content, name)
            given = record.get("parameters", {}).get(each.stage, {}).get(name, own)
            names[name] = given if own == record.get("defaults", {}).get(each.stage, {}).get(name) else own
        names |= {"y": values.get("y"), "z": values.get("z")}
        for cell in content["cells"][1:]:
            if "run" not in cell["source"] and "print" not in cell["source"]:
                try:
                    exec(cell["source"], {}, names)
                except (NameError, TypeError):
                    return values
        values |= {key: names[key] for key in ("y", "z") if names[key] is not None}
    return values


def change(notebook, chance):
    """Edit a cell, put one in or take one out."""
    inner = [
        place
        for place, cell in enumerate(notebook.cells)
        if cell["source"][:1] in "yz" and "load" not in cell["source"]
    ]
    kind, place = chance.choice(["number", "number", "number", "parameter", "put", "take"]), chance.choice(inner or [2])
    if kind == "parameter" and "int" in notebook.cells[0]["source"]:
        head, _, tail = notebook.cells[0]["source"].rpartition("= ")
        notebook.cells[0]["source"] = f"{head}= {chance.randint(1, 3)}  #{tail.partition('#')[2]}"
    elif kind == "put" and notebook.stage != "03_c":
        name = "y" if notebook.stage == "01_a" else "z"
        cell = Notebook.make_cell(
            f"new-{chance.random()}",
            f"{name} = {name} + {chance.randint(0, 2)}"
            if chance.random() < 0.5
            else f"{name} = {chance.randint(1, 50)}",
        )
        notebook.cells.insert(place + 1, cell)
    elif kind == "take" and len(inner) > 2:
        del notebook.cells[place]
    elif notebook.stage != "03_c":
        head = notebook.cells[place]["source"].rpartition(" ")[0]
        notebook.cells[place]["source"] = f"{head} {chance.randint(0, 3)}"


def hurry(notebook, chance):
    """Change a notebook and run no more than seems needed: the changed cell, perhaps those after it, the last one."""
    change(notebook, chance)
    last = len(notebook.cells) - 1
    first = chance.randint(2, last - 1)
    for place in [first, *range(first + 1, chance.randint(first, last)), last]:
        notebook.run(place)
    notebook.save()


def scratch(notebook, chance):
    """Try something in a cell, and take it out again."""
    name, last = {"01_a": "y", "02_b": "z", "03_c": "z"}[notebook.stage], len(notebook.cells) - 1
    notebook.cells.insert(last, Notebook.make_cell(f"try-{chance.random()}", f"{name} = {chance.randint(1, 50)}"))
    notebook.run(last)
    del notebook.cells[last]
    notebook.run(last)
    notebook.save()


def live(desk, chance, state):
    """Do one thing that an author does; return what was loaded and said, if something was."""
    notebook, deed = chance.choice(desk), chance.random()
    said = ""
    if deed < 0.2:
        hurry(notebook, chance)
    elif deed < 0.25:
        scratch(notebook, chance)
    elif deed < 0.35:
        change(notebook, chance)
    elif deed < 0.5:
        said = notebook.run(chance.randrange(len(notebook.cells)))
    elif deed < 0.65:
        said = notebook.run_all()
    elif deed < 0.8:
        notebook.restart()
        said = notebook.run_all()
    elif deed < 0.94:
        notebook.save()
    else:
        state["n"] = state.get("n", 0) + 1
        given = {"01_a": {"x": chance.randint(1, 3)}} if chance.random() < 0.5 else {}
        with contextlib.suppress(AssertionError):  # a stage that fails ends the run
            run_batch(notebook.root, f"r{state['n']:03}", desk[: chance.randint(1, 3)], given)
    return said


SOURCES = {"y": "01_a", "z": "02_b"}


def find_parameters(folder, root):
    latest = Desk(folder, root)
    found = {stage: latest.find_record(stage) for stage in SOURCES.values()}
    return {
        kind: {stage: getattr(record, kind).get(stage, {}) for stage, record in found.items()}
        for kind in ("parameters", "defaults")
    }


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))])
def test_no_stale_read_in_many_edits_and_runs(project, seed):
    """50 sequences for each seed, 500 in all: a value is what the files would give now, or is called stale."""
    told = []
    for sequence in range(50):
        chance, root = random.Random(1000 * seed + sequence), project / str(sequence)
        folder = root / "notebooks"
        (root / "params").mkdir(parents=True)
        desk = [Notebook(folder, *each, root) for each in (("01_a", FIRST), ("02_b", SECOND), ("03_c", THIRD))]
        state = {}
        run_and_save(*desk)
        for _ in range(12):
            said = live(desk, chance, state)
            for name, line in ((line.partition(" ")[0], line) for line in said.splitlines()):
                if name in SOURCES:
                    stage = SOURCES[name]
                    value = read_value(Desk(folder, root).find(stage).parent, stage, name)
                    told.append("STALE" in line)
                    now = compute(desk, find_parameters(folder, root)).get(name)
                    assert "STALE" in line or value == now, (seed, sequence, line)
    assert 0 < sum(told) < len(told)
