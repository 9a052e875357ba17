"""nbkit diff: cells of a revision and of the working copy are paired, and what became of each is said."""

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import make_notebook
from page_checks import check_page

from nbkit.cli import main
from nbkit.report import diff_notebooks
from nbkit.report.diff import compare_cells

HEAD, *BODY = "import nbkit", "rows = 1\nprint(rows)", "a much longer cell\nwith = 2\nlines = 3", "last = 4"


def nbkit(*words):
    return CliRunner().invoke(main, words)


def git(*words):
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True)


def cells(*texts, kind="code", ids=()):
    ids = ids or [f"new{place}" for place in range(len(texts))]
    return [{"type": kind, "id": name, "text": text, "source": text} for name, text in zip(ids, texts, strict=True)]


def tell(old, new):
    return [(each["what"], each["place"]) for each in compare_cells(cells(*old), cells(*new))]


@pytest.fixture
def repository(project, monkeypatch):
    """A project with two stages in git."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.parent))
    for name in ("01_a", "02_b"):
        make_notebook(project / "notebooks" / f"{name}.ipynb", HEAD, *BODY)
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    return project


def edit(name, change):
    path = Path("notebooks") / f"{name}.ipynb"
    notebook = json.loads(path.read_text())
    change(notebook["cells"])
    path.write_text(json.dumps(notebook))


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ([HEAD, *BODY], []),
        ([HEAD, "one more", *BODY], [("added", 1)]),
        ([HEAD, *BODY[1:]], [("removed", 1)]),
        ([HEAD, BODY[0].replace("1", "5"), *BODY[1:]], [("changed", 1)]),
        ([HEAD, *BODY[1:], BODY[0]], [("moved", 3)]),
        ([HEAD, *BODY[1:], BODY[0].replace("1", "5")], [("moved and changed", 3)]),
        ([], [("removed", place) for place in range(4)]),
        ([HEAD, "quite another thing altogether", *BODY[1:]], [("added", 1), ("removed", 1)]),
    ],
)
def test_what_became_of_a_cell(new, told):
    assert sorted(tell([HEAD, *BODY], new)) == told


def test_an_id_proves_nothing_as_nbstripout_numbers_cells_anew():
    old = cells(HEAD, *BODY, ids=["0", "1", "2", "3"])
    new = cells("one more at the top", HEAD, *BODY, ids=["0", "1", "2", "3", "4"])
    assert [(each["what"], each["place"]) for each in compare_cells(old, new)] == [("added", 0)]


def test_the_same_id_tells_that_a_cell_was_rewritten():
    one, two = cells("x = load(1)", ids=["q"]), cells("x = find(data, 2, 3)", ids=["q"])
    assert [each["what"] for each in compare_cells(one, two)] == ["changed"]
    assert {each["what"] for each in compare_cells(one, cells(two[0]["text"]))} == {"added", "removed"}


def test_a_cell_that_changes_its_kind_is_another(repository):
    assert {each["what"] for each in compare_cells(cells("a b c"), cells("a b c", kind="markdown"))} == {
        "added",
        "removed",
    }


def test_outputs_do_not_count_and_tags_do(repository):
    def run(cells):
        cells[-1].update(execution_count=7, outputs=[{"output_type": "stream", "name": "stdout", "text": ["x"]}])

    edit("01_a", run)
    assert nbkit("diff").stdout == "0 notebooks changed since HEAD\n"
    edit("01_a", lambda cells: cells[-1]["metadata"].update(tags=["findings"]))
    assert "+[tags: findings]" in nbkit("diff").stdout


def test_parameters_are_told_in_words(repository):
    def write(lines):
        edit("01_a", lambda cells: cells[1].update(source=['run_dir: str = "."  # folder of this run\n', *lines]))

    write(["trials: int = 8  # how many\n", "old: str = 'x'  # gone soon\n", "same: int = 1  # a size\n"])
    git("commit", "-qam", "two")
    write(["trials: int = 20  # how many\n", "new: bool = True  # since today\n", "same: int = 1  # a size [0, 9]\n"])
    (found,) = diff_notebooks(repository)
    assert sorted(found["notes"]) == [
        "parameter new is new: True",
        "parameter old is gone",
        "parameter same: its type, meaning or range is another",
        "parameter trials: 20 instead of 8",
    ]


def test_the_terminal_shows_each_cell_once_with_its_difference(repository):
    edit("02_b", lambda cells: cells.append(cells.pop(3)))
    edit("02_b", lambda cells: cells[-2].update(source=["last = 5"]))
    done = nbkit("diff")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "notebooks/02_b.ipynb",
        "  Cell 5 (code) changed",
        "    @@ -1 +1 @@",
        "    -last = 4",
        "    +last = 5",
        "  Cell 6 (code) moved (it was cell 4)",
        "1 notebook changed since HEAD",
    ]
    assert nbkit("diff", "--exit-code").exit_code == 1
    assert nbkit("diff", "--exit-code", "01").exit_code == 0


def test_a_notebook_that_is_new_or_gone(repository):
    Path("notebooks/01_a.ipynb").rename("notebooks/03_c.ipynb")
    said = nbkit("diff").stdout
    assert "notebooks/01_a.ipynb: removed\n  6 cells" in said
    assert "notebooks/03_c.ipynb: added\n  6 cells" in said


@pytest.mark.parametrize("words", [["HEAD~1"], ["HEAD~1", "02"], ["HEAD~1", "b"], ["HEAD~1", "notebooks/02_b.ipynb"]])
def test_another_revision_and_a_notebook_by_any_name(repository, words):
    edit("02_b", lambda cells: cells.pop())
    git("commit", "-qam", "two")
    assert "0 notebooks changed" in nbkit("diff").stdout
    assert "Cell 6 (code) removed\n" in nbkit("diff", *words).stdout


def test_a_path_counts_from_where_one_stands(repository, monkeypatch):
    edit("02_b", lambda cells: cells.pop())
    monkeypatch.chdir("notebooks")
    assert "1 notebook changed" in nbkit("diff", "02_b.ipynb").stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nosuch"], "no revision and no notebook is called 'nosuch'"),
        (["HEAD", "09_x"], "no notebook is called '09_x', neither in HEAD nor in the working copy"),
    ],
)
def test_what_cannot_be_compared_is_said(repository, words, sentence):
    done = nbkit("diff", *words)
    assert (done.exit_code, sentence in done.output) == (2, True), done.output


def test_without_git_a_repository_or_a_commit(project, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.parent))
    assert "in no git repository: git init" in nbkit("diff").output
    git("init", "-q")
    assert "nothing is committed here yet" in nbkit("diff").output
    monkeypatch.setenv("PATH", "")
    done = nbkit("diff")
    assert (done.exit_code, "git is not installed" in done.output) == (2, True)


def test_a_file_that_is_no_notebook(repository):
    Path("notebooks/01_a.ipynb").write_text("[]")
    assert "notebooks/01_a.ipynb is not a notebook" in nbkit("diff").output


def test_the_page_looks_as_the_others_and_nothing_in_it_acts(repository):
    edit("01_a", lambda cells: cells[-1].update(source=["last = '<script>alert(1)</script>'"]))
    done = nbkit("diff", "-o", "page.html")
    assert (done.exit_code, done.stdout) == (0, "page.html\n")
    page = check_page(Path("page.html").read_text(encoding="utf-8"))
    assert "-last = 4 +last = '<script>alert(1)</script>'" in page.text
    assert "1 notebook changed" in page.text
    edit("01_a", lambda cells: cells[-1].update(source=[BODY[-1]]))
    nbkit("diff", "--html", "-o", "page.html")
    assert "The notebooks are as in HEAD." in check_page(Path("page.html").read_text(encoding="utf-8")).text
