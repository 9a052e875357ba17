import ast

import pytest

from nbkit.cells import parse_cell
from nbkit.errors import BadNotebook
from nbkit.stages.calls import find_calls
from nbkit.stages.check import check_notebooks
from nbkit.stages.graph import build_graph, check_graph
from nbkit.stages.notebooks import read_stages
from tests.conftest import make_notebook

DIAMOND = {
    "01_a": ["run.save('x', 1)\nrun.save('y', 'why')"],
    "02_b": ["run.save('left', run.load('01_a', 'x'))"],
    "03_c": ["run.save('right', run.load('01_a', 'y'))"],
    "04_d": ["run.load('02_b', 'left') + run.load('03_c', 'right')"],
}


def lay(project, notebooks):
    for name, source in notebooks.items():
        make_notebook(project / "notebooks" / f"{name}.ipynb", *source)
    return project / "notebooks"


def graph_of(project, **notebooks):
    return build_graph(read_stages(lay(project, {name.lstrip("n"): source for name, source in notebooks.items()})))


def told(graph):
    return [(each.level, str(each)) for each in graph.problems]


def calls(*cells):
    return list(find_calls([ast.parse(cell) for cell in cells]))


def test_edges_name_what_goes_along_them(project):
    graph = build_graph(read_stages(lay(project, DIAMOND)))
    assert graph.rows() == [
        {"source": "01_a", "target": "02_b", "names": ["x"]},
        {"source": "01_a", "target": "03_c", "names": ["y"]},
        {"source": "02_b", "target": "04_d", "names": ["left"]},
        {"source": "03_c", "target": "04_d", "names": ["right"]},
    ]
    assert graph.problems == ()
    assert graph.upstream("04_d") == ("02_b", "03_c")


@pytest.mark.parametrize(
    ("load", "words"),
    [
        ("run.load('01_a', 'z')", "02_b, code cell 2, loads 'z' from 01_a, which saves no such value; there are x, size"),
        ("run.load('01_a', 'sise')", "did you mean 'size'?"),
        ("run.load(stage='01_a', name='sise')", "did you mean 'size'?"),
        ("run.load('01_b', 'x')", "loads from 01_b, and there is no such notebook; did you mean"),
        ("run.load('02_b', 'x')", "loads 'x' from itself"),
        ("run.load('03_c', 'x')", "loads 'x' from 03_c, which comes after it"),
        ("run.save('x', 1)\nrun.load('04_d', 'x')", r"loads 'x' from 04_d \(which loads from this one: a circle\)"),
        ("for n in ('x', 'y'):\n    run.load('01_a', n)", "loads 'y' from 01_a"),
        ("STAGE = '01_a'\nrun.load(STAGE, 'y')", "loads 'y' from 01_a"),
        ("r = nbkit.Run(run_dir)\nr.load('01_a', 'y')", "loads 'y' from 01_a"),
        ("nbkit.Run(run_dir).load('01_a', 'y')", "loads 'y' from 01_a"),
    ],
)  # fmt: skip
def test_a_load_that_cannot_work_is_refused(project, load, words):
    notebooks = {"01_a": ["run.save('x', 1)\nrun.save('size', [])"], "02_b": [f"import nbkit\n{load}"], "03_c": ["run.save('x', 1)"]}  # fmt: skip
    stages = read_stages(lay(project, notebooks | {"04_d": ["run.load('02_b', 'x')\nrun.save('x', 1)"]}))
    with pytest.raises(BadNotebook, match=words):
        check_graph({name: stages[name] for name in stages if name != "04_d" or "04_d" in load})


@pytest.mark.parametrize(
    "load",
    [
        "run.load('01_a', 'window_1')",
        "run.load('01_a', 'words').upper()",
        "run.load('01_a', 'either').columns",
        "run.load('01_a', 'some')['a']",
        "run.load('01_a', 'glued').lower()",
        "run.load('01_a', 'many').columns",
        "def f(run):\n    return run.load('01_a', 'words')",
        "from subprocess import run\nrun(['ls'])\nrun.load('01_a', 'nothing')",
        "print(run)\nrun",
    ],
)
def test_what_may_be_right_is_let_through(project, load):
    saves = (
        "import scrapbook as sb\nrun.save('words', 'x')\nrun.save(f'window_{n}', 1)\nsb.glue('glued', 'text')\n"
        "run.save('either', 1 if x else table)\nrun.save('some', dict(a=1))\n"
        "if x:\n    run.save('many', 'text')\nelse:\n    run.save('many', table)"
    )
    graph = graph_of(project, n01_a=[saves], n02_b=[load])
    assert [each for each in graph.problems if not each.message.startswith("neither loads")] == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("run.load(which, 'x')", "loads from a stage whose name is made when it runs"),
        ("run.load('01_a', f'x_{n}')", "by a name that is made when it runs"),
        ("import scrapbook\nscrapbook.read_notebook('01_a.ipynb')", "whose name is made when it runs"),
        ("help_with(run)", "hands its run on"),
        ("load = run.load", "hands its run on"),
        ("other = run", "hands its run on"),
        ("with run as other:\n    pass", "hands its run on"),
        ("try:\n    run.load('01_a', 'gone')\nexcept KeyError:\n    run.load('01_a', 'x_1')", "loads 'gone' from 01_a"),
        ("run.load('01_a', 'x_1')\nrun.save('a', 1)\nrun.save('a', 2)", "saves 'a' again (first in code cell 2)"),
    ],
)
def test_what_cannot_be_checked_is_said(project, source, words):
    graph = graph_of(project, n01_a=["run.save(f'x_{n}', 1)"], n02_b=[source])
    assert graph.upstream("02_b") == ("01_a",)
    ((level, message),) = told(graph)
    assert level == "hint"
    assert words in message


def test_who_is_given_the_run_may_save_anything(project):
    graph = graph_of(project, n01_a=["helpers.save_all(run)"], n02_b=["run.load('01_a', 'x')"])
    assert [level for level, _ in told(graph)] == ["hint"]


@pytest.mark.parametrize("ours", [0, 1])
def test_a_load_across_cadences_is_said(project, ours):
    settings = [{}, {"cadence": "window"}]
    make_notebook(project / "notebooks" / "01_a.ipynb", "run.save('x', 1)", nbkit=settings[ours])
    make_notebook(project / "notebooks" / "02_b.ipynb", "run.load('01_a', 'x')", nbkit=settings[1 - ours])
    ((level, message),) = told(build_graph(read_stages(project / "notebooks")))
    assert level == "hint"
    assert "loads 'x' from 01_a, which runs on its own" in message


def test_names_that_double_do_not_take_for_ever():
    lines = [f"x{n} = x{n + 1} + x{n + 1}" for n in range(60)] + ["x60 = 'a'", "run.save('x', x0)"]
    assert calls("\n".join(lines))[0].name == "x"


def test_headlines_need_every_earlier_stage(project):
    graph = graph_of(project, n01_a=["1"], n02_b=["1"], n03_c=["run.headlines()"], n04_d=["1"])
    assert graph.upstream("03_c") == ("01_a", "02_b")
    assert told(graph) == [("hint", "04_d neither loads from another stage nor is loaded from: does it belong here?")]


def test_a_stage_with_its_own_cadence_is_no_orphan(project):
    lay(project, {"01_a": ["run.save('x', 1)"], "02_b": ["run.load('01_a', 'x')"]})
    make_notebook(project / "notebooks" / "03_c.ipynb", "1", nbkit={"cadence": "window"})
    assert build_graph(read_stages(project / "notebooks")).problems == ()


def test_a_page_of_the_desk_is_no_stage(project):
    folder = lay(project, {"01_a": ["run.save('x', 1)"], "02_b": ["run.load('01_a', 'x')"]})
    make_notebook(folder / "00_desk.ipynb", "run.load('nowhere', 'x')", nbkit={"cadence": "desk"})
    assert list(read_stages(folder)) == ["01_a", "02_b"]
    found = check_notebooks(folder)
    assert (list(found.stages), found.problems) == (["01_a", "02_b"], ())


def test_a_page_alone_is_no_project(project):
    make_notebook(project / "notebooks" / "00_desk.ipynb", nbkit={"cadence": "desk"})
    with pytest.raises(BadNotebook, match="no stage notebooks"):
        read_stages(project / "notebooks")


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"cadence": "windows"}, "did you mean 'window'"), ({"cadense": "window"}, "did you mean 'cadence'")],
)
def test_settings_that_are_misspelt_are_refused(project, settings, words):
    make_notebook(project / "notebooks" / "01_a.ipynb", nbkit=settings)
    with pytest.raises(BadNotebook, match=words):
        read_stages(project / "notebooks")


@pytest.mark.parametrize(
    "source",
    ["x = (1\n% 2)", "text = '''\n%d items\n!'''", "if x:\n    %time f()", "%%time\nx = 1", "names = !ls -l\nnames?", "%%html\n<b>"],
)  # fmt: skip
def test_a_cell_with_magics_parses(source):
    parse_cell(source)
    assert ast.dump(parse_cell("text = '''\n%d'''")) == ast.dump(ast.parse("text = '''\n%d'''"))


def test_all_problems_are_told_at_once(project):
    folder = lay(
        project, {**DIAMOND, "02_b": ["run.load('01_a', 'q')"], "03_c": ["def ("], "05_e": ["class Model:\n    pass"]}
    )
    make_notebook(folder / "06-b_extra.ipynb", "run = nbkit.Run(run_dir)")
    make_notebook(folder / "scratch.ipynb", "1 + 1")
    (folder / "broken.ipynb").write_text("{")
    found = check_notebooks(folder)
    assert [(each.level, each.place, each.cell) for each in found.problems] == [
        ("error", "02_b", 2),
        ("error", "03_c", 0),
        ("error", "04_d", 2),
        ("hint", "05_e", 0),
        ("hint", "06-b_extra.ipynb", 0),
    ]  # 04_d loads from 03_c too: what that one saves is not known before it can be read
    assert (found.errors, list(found.stages)) == (3, ["01_a", "02_b", "04_d", "05_e"])
    assert "not checked before" in check_notebooks(folder, [], ["shared.x=1"], project).problems[-1].message


def test_params_are_held_against_the_notebooks(project):
    folder = lay(project, DIAMOND)
    params = project / "params" / "toy.yaml"
    params.write_text("01_a: {speed: 3}")
    assert "no key of 01_a is called 'speed'" in str(check_notebooks(folder, [params], [], project).problems[0])
    params.write_text("shared: {retries: 1}")
    assert check_notebooks(folder, [params], [], project) == check_notebooks(folder)


def test_a_stage_of_ones_own_is_told_what_no_report_will_speak_of(tmp_path):
    make_notebook(tmp_path / "03_validate.ipynb", "run.save('verdict', 1)")
    make_notebook(tmp_path / "10_deploy.ipynb", "run.save(**{name: 1 for name in ['headline']})")
    hints = [str(each) for each in build_graph(read_stages(tmp_path)).problems if "no report" in each.message]
    assert hints == [
        "03_validate hands over no contract, violations: no report speaks of it",
        "10_deploy hands over no required: no report speaks of it",
    ]
