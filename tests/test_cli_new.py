import contextlib
import csv
import io
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from table_helpers import write_customers, write_houses, write_species

from nbkit.cli import main
from nbkit.data import check_contract, read_contract, split_table, take_snapshot
from nbkit.evaluation import read_criteria
from nbkit.evaluation.behaviour import read_behaviour
from nbkit.problem import Problem
from nbkit.project import find_notebooks
from nbkit.stages import read_stages, resolve_params

MADE = ["params/p.yaml", "params/p.contract.yaml", "notebooks", ".gitignore", ".gitattributes", "README.md"]
MADE += [
    "environment.yml",
    ".pre-commit-config.yaml",
    ".github/workflows/ci.yml",
    "tests/test_data.py",
    "tests/test_behaviour.py",
]


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def resolve(folder, name="p"):
    """Read a proposal as a run would: strictly, against the notebooks."""
    stages = read_stages(find_notebooks(folder))
    return resolve_params([folder / "params" / f"{name}.yaml"], (), stages).values


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("write", "target", "task", "by", "criterion"),
    [
        (write_customers, "churned", "binary", "time", {"roc_auc": "> rule"}),
        (write_houses, "Preis", "regression", "random", {"mae": "< rule"}),
        (write_species, "kind", "multiclass", "stratified", {"log_loss": "< rule"}),
    ],
)
def test_a_project_of_one_s_own(here, write, target, task, by, criterion):
    write(here / "d.csv")
    said = call("new", "p", "--data", "d.csv", "--target", target)
    assert said.exit_code == 0, said.output
    assert all((here / path).exists() for path in MADE)
    assert said.output.endswith("  nbkit run params/p.yaml\n")
    values = resolve(here)
    frame, ingest = values["01_frame"], values["02_ingest"]
    assert (frame["task"], ingest["split"]["by"], frame["criteria"]) == (task, by, criterion)
    assert ingest["sources"] == {"data": "d.csv"}
    assert len(read_criteria(frame["criteria"], task)) == 1
    table = take_snapshot(ingest["sources"], ingest["query"], root=here, keys=frame["keys"]).table
    roles = {role: frame[role] for role in ("target", "task", "positive", "time", "group", "keys", "seed")}
    assert len(split_table(table, ingest["split"], Problem(**roles)).windows) >= 2
    assert check_contract(table, read_contract(here / values["03_validate"]["contract"])).empty
    assert "/runs/" in (here / ".gitignore").read_text()
    assert len(list((here / "notebooks").glob("*.ipynb"))) == 12  # eleven stages, and the page of the desk


def test_decisions_are_said_and_written(here):
    write_customers(here / "d.csv")
    said = call("new", "p", "--data", "d.csv", "--target", "churned").output
    text = (here / "params/p.yaml").read_text()
    for words in (
        "dates read as %d.%m.%Y",
        "left out: 16 rows without churned",
        "'yes' counts as positive",
        "signed up is taken as the event's time",
        "Customer ID is left out: names each row",
        "country is left out: constant",
        "cancel reason is left out: too good to be true",
    ):
        assert f"- {words}" in said or words in said
        assert words in " ".join(line.removeprefix("# ").strip() for line in text.splitlines())
    assert 'positive: "yes"' in text
    values = resolve(here)
    assert values["01_frame"]["protected"] == ["gender"]
    assert values["05_features"]["categorical"] == ["plan", "gender", "city"]
    moments = {rule.name: rule.available_at for rule in read_contract(here / "params/p.contract.yaml").columns}
    assert (moments["cancel reason"], moments["churned"], moments["plan"]) == ("after", "target", "known")


def test_what_is_only_assumed_is_printed_and_written(here):
    write_customers(here / "d.csv")
    said = call("new", "p", "--data", "d.csv", "--target", "churned").output
    text = " ".join(line.removeprefix("# ").strip() for line in (here / "params/p.yaml").read_text().splitlines())
    for words in ("is taken as known when the prediction is due", "protected, by name: gender", "slice_by: newsletter"):
        assert words in said
        assert words in text
    assert "support_calls >= 3 AS often FROM data" in text
    assert "take every column as known" in (here / "params/p.contract.yaml").read_text()


def test_the_examples_in_comments_are_right(here):
    """Uncommented, hypotheses, criterion and tests of behaviour are what 01_frame and 07_evaluate want."""
    write_customers(here / "d.csv")
    call("new", "p", "--data", "d.csv", "--target", "churned")
    text = (here / "params/p.yaml").read_text()
    assert resolve(here)["01_frame"]["hypotheses"] == []
    text = (
        re.sub(r"\n  (hypotheses|behaviour): \[\]", "", text)
        .replace("  # hypotheses:", "  hypotheses:")
        .replace("  # behaviour:", "  behaviour:")
        .replace("  #   - {", "    - {")
    )
    (here / "params/p.yaml").write_text(text)
    hypotheses = resolve(here)["01_frame"]["hypotheses"]
    assert [sorted(each) for each in hypotheses] == [["because", "claim", "verdict"]] * 2
    assert [each["verdict"] for each in hypotheses] == ["rejected", "kept"]
    tests = read_behaviour(resolve(here)["07_evaluate"]["behaviour"])
    assert [type(test).__name__ for test in tests] == ["Direction", "Invariance", "Minimum"]
    example = re.search(r'# rate_ratio: "([^"]+)"', text)
    assert len(read_criteria({"rate_ratio": example[1]}, "binary")) == 1


def test_a_number_that_one_column_tells_well_keeps_it(here):
    write_houses(here / "d.csv")
    call("new", "p", "--data", "d.csv", "--target", "Preis")
    assert resolve(here)["05_features"]["numeric"] == ["Fläche", "Zimmer", "column_4", "Fläche_2"]


def test_nothing_is_overwritten(here):
    write_species(here / "d.csv")
    (here / ".gitignore").write_text("mine\n")
    (here / "notebooks").mkdir()
    own = here / "notebooks" / "01_frame.ipynb"
    own.write_bytes((find_notebooks(here) / "01_frame.ipynb").read_bytes() + b"\n")
    kept = own.read_bytes()
    assert call("new", "p", "--data", "d.csv", "--target", "kind").exit_code == 0
    assert (own.read_bytes(), (here / ".gitignore").read_text()) == (kept, "mine\n")
    assert len(list((here / "notebooks").iterdir())) == 1
    params = here / "params/p.yaml"
    params.write_text("# edited\n")
    again = call("new", "p", "--data", "d.csv", "--target", "kind")
    assert again.exit_code == 2
    assert "params/p.yaml and params/p.contract.yaml exist already" in again.stderr
    assert params.read_text() == "# edited\n"
    assert call("new", "p", "--data", "d.csv", "--target", "kind", "--force").exit_code == 0
    assert "multiclass" in params.read_text()


def test_a_table_inside_the_project_moves_with_it(here):
    (here / "home" / "data").mkdir(parents=True)
    write_species(here / "home" / "data" / "in.csv")
    write_species(here / "out.csv")
    said = call("new", "a", "--data", "home/data/in.csv", "--target", "kind", "--out", "home")
    assert "nbkit run home/params/a.yaml" in said.output
    assert call("new", "b", "--data", "out.csv", "--target", "kind", "--out", "home").exit_code == 0
    assert (
        call("new", "c", "--data", "sklearn.datasets:load_wine", "--target", "target", "--out", "home").exit_code == 0
    )
    found = [resolve(here / "home", name)["02_ingest"]["sources"]["data"] for name in "abc"]
    assert found == ["data/in.csv", str(here / "out.csv"), "sklearn.datasets:load_wine"]


def rows(n, *fields):
    return "".join(",".join(field(i) if callable(field) else field for field in fields) + "\n" for i in range(n))


BAD = {
    "empty": ("", "y", "d.csv is empty"),
    "a header only": ("a,y\n", "y", "d.csv has 2 columns and no rows"),
    "one row": ("a,y\n1,2\n", "y", "always 2: there is nothing to predict"),
    "one class": ("a,y\n" + rows(60, str, "yes"), "y", "always yes: there is nothing to predict"),
    "no label": ("a,y\n" + rows(60, str, ""), "y", "target 'y' has no value in any row"),
    "unknown target": ("a,price\n" + rows(60, str, str), "prize", "did you mean 'price'"),
    "few rows": ("a,y\n" + rows(12, str, lambda i: "ab"[i % 2]), "y", "12 rows with a y are too few"),
    "nothing but ids": ("id,y\n" + rows(60, str, lambda i: "ab"[i % 2]), "y", "no column to learn y from; id is left"),
    "only the target": ("y\n" + rows(60, lambda i: "ab"[i % 2]), "y", "no column to learn y from"),
    "ragged": (
        "a,b,y\n" + rows(60, str, "1", lambda i: "ab"[i % 2], "x"),
        "y",
        "Expected Number of Columns: 3 Found: 4",
    ),
    "bytes": (bytes(range(256)) * 20, "y", "cannot be read as csv"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_refused_in_one_line(here, case):
    content, target, words = BAD[case]
    (here / "d.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    said = call("new", "p", "--data", "d.csv", "--target", target)
    assert said.exit_code == 2
    assert words in said.stderr
    assert len(said.stderr.splitlines()) == 1
    assert [path.name for path in here.iterdir()] == ["d.csv"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("my churn!", "--data", "d.csv"), "such as my_churn"),
        (("../p", "--data", "d.csv"), "'../p' is not a project name"),
        (("p", "--data", "e.csv"), "did you mean 'd.csv'"),
        (("p", "--data", "d.xlsx"), "save it as CSV or Parquet"),
        (("p", "--data", "d.csv", "--time", "x"), "holds no dates"),
        (("p", "--data", "d.csv", "--time", "kind"), "both the target and the time"),
        (("p", "--data", "d.csv", "--out", "d.csv"), "d.csv is a file, not a folder"),
        (("p", "--data", "no.such:thing"), "cannot be read as python"),
    ],
)
def test_bad_words_are_refused_in_one_line(here, words, told):
    write_species(here / "d.csv")
    (here / "d.xlsx").write_bytes(b"PK")
    said = call("new", *words, "--target", "kind")
    assert (said.exit_code, len(said.stderr.splitlines())) == (2, 1)
    assert told in said.stderr
    assert not (here / "params").exists()


def test_a_folder_that_cannot_be_written(here, monkeypatch):
    write_species(here / "d.csv")
    (here / "params").write_text("a file where the folder should be")
    said = call("new", "p", "--data", "d.csv", "--target", "kind")
    assert said.exit_code == 2
    assert "cannot be written" in said.stderr


CELL = st.one_of(
    st.sampled_from(
        ["", "NA", "1", "2", "3", "0", "1.5", "1,5", "1,234", "yes", "no", "2024-01-02", "01.02.2024", "-"]
    ),
    st.text(max_size=4),
    st.floats().map(str),
)


@st.composite
def tables(draw):
    headers = draw(
        st.lists(st.one_of(st.sampled_from(["a", "A", "", " b ", "id", "y"]), st.text(max_size=3)), max_size=4)
    )
    pools = [draw(st.lists(CELL, min_size=1, max_size=6)) for _ in headers]
    answers = draw(st.lists(CELL, min_size=1, max_size=4))
    separator, n = draw(st.sampled_from(",;\t")), draw(st.integers(0, 90))
    random = draw(st.randoms(use_true_random=False))
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator)
    writer.writerow([*headers, "answer"])
    writer.writerows([*(random.choice(pool) for pool in pools), random.choice(answers)] for _ in range(n))
    return out.getvalue()


@settings(
    max_examples=30,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=tables())
def test_any_table_is_taken_or_refused_in_words(here, text):
    (here / "d.csv").write_text(text, encoding="utf-8", newline="")
    said = call("new", "p", "--data", "d.csv", "--target", "answer", "--force")
    assert said.exit_code in (0, 2), said.exception
    if said.exit_code:
        assert said.stderr.startswith("nbkit: ")
        return
    values = resolve(here)
    table = take_snapshot(values["02_ingest"]["sources"], values["02_ingest"]["query"], root=here).table
    violations = check_contract(table, read_contract(here / "params/p.contract.yaml"))
    assert not len(violations) or (violations["severity"] == "warning").all()


def test_contract(here):
    write_customers(here / "d.csv")
    call("new", "p", "--data", "d.csv", "--target", "churned")
    shown = call("contract", "infer", "--data", "d.csv", "--target", "churned")
    assert shown.output == (here / "params/p.contract.yaml").read_text()
    assert call("contract", "infer", "--params", "params/p.yaml", "--out", "c.yaml").exit_code == 0
    assert (here / "c.yaml").read_text() == shown.output
    assert "exists already" in call("contract", "infer", "--params", "params/p.yaml", "--out", "c.yaml").stderr
    assert call("contract", "check", "c.yaml", "--params", "params/p.yaml").exit_code == 0
    raw = call("contract", "check", "c.yaml", "--data", "d.csv")
    assert raw.exit_code == 3
    assert "churned: 16 of 1,500 are missing" in raw.output
    pd.DataFrame({"plan": ["free"], "churned": ["no"]}).to_csv(here / "bad.csv", index=False)
    other = call("contract", "check", "c.yaml", "--data", "bad.csv")
    assert other.exit_code == 3
    assert "column 'signed up' is not there" in other.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("infer", "--data", "d.csv"), "--target"),
        (("infer", "--target", "kind"), "--data"),
        (("infer", "--data", "d.csv", "--target", "kinds"), "did you mean 'kind'"),
        (("check", "no.contract.yaml", "--data", "d.csv"), "no contract no.contract.yaml"),
        (("infer", "--data", "d.csv", "--params", "p.yaml"), "or the project with --params"),
    ],
)
def test_contract_refusals(here, words, told):
    write_species(here / "d.csv")
    said = call("contract", *words)
    assert said.exit_code == 2
    assert told in said.stderr


def test_no_data_is_no_project(here):
    said = call("new", "p", "--data", " ", "--target", "kind")
    assert said.exit_code == 2
    assert "name the table with --data" in said.stderr
    assert "name the project" in call("new").stderr
    assert not (here / "params").exists()


def test_a_table_of_a_database_starts_a_project(here):
    table = pd.DataFrame({"x": np.random.default_rng(0).normal(size=200), "y": [0, 1] * 100})
    with contextlib.closing(sqlite3.connect(here / "d.db")) as connection:
        table.to_sql("visits", connection, index=False)
        table.to_sql("other", connection, index=False)
    refused = call("new", "p", "--data", "sqlite:///d.db", "--target", "y")
    assert refused.exit_code == 2
    assert "the database has 2 tables (other, visits): name one" in refused.output
    said = call("new", "p", "--data", "sqlite:///d.db", "--table", "visits", "--target", "y")
    assert said.exit_code == 0, said.output
    ingest = resolve(here)["02_ingest"]
    assert ingest["sources"] == {"data": {"location": "sqlite:///d.db", "table": "visits"}}
    assert len(take_snapshot(ingest["sources"], ingest["query"], root=here).table) == 200


def test_a_target_may_be_spelled_as_the_header_has_it_and_question_marks_are_missing(here):
    rows = "".join(f"{n},{['?', 'a', 'b'][n % 3]},{n % 2}\n" for n in range(200))
    (here / "d.csv").write_text("age,job,subscribed \n" + rows)
    said = call("new", "p", "--data", "d.csv", "--target", "subscribed ")
    assert said.exit_code == 0, said.output
    values = resolve(here)
    ingest = values["02_ingest"]
    assert values["01_frame"]["target"] == "subscribed"
    table = take_snapshot(ingest["sources"], ingest["query"], root=here).table
    assert table["job"].isna().sum() == 67
    assert "67 entries such as NA or ? read as missing" in said.output


def test_rows_in_an_order_are_split_by_position(here):
    random = np.random.default_rng(0)
    rows = 1500
    table = pd.DataFrame({"x": random.normal(size=rows), "z": random.choice(list("abc"), rows)})
    table["y"] = (random.random(rows) < np.linspace(0.03, 0.47, rows)).astype(int)
    table.to_csv(here / "d.csv", index=False)
    said = call("new", "p", "--data", "d.csv", "--target", "y").output
    assert "between the first and the last tenth of the file: rows are not exchangeable" in said
    ingest = resolve(here)["02_ingest"]
    assert ingest["split"]["by"] == "position"
    splits = split_table(table, ingest["split"], Problem("y"))
    pd.testing.assert_frame_equal(
        pd.concat([splits.train, splits.valid, splits.test]).reset_index(drop=True),
        table.head(len(splits.train) + len(splits.valid) + len(splits.test)),
    )


def test_a_leak_in_company_is_left_out_and_said(here):
    random = np.random.default_rng(0)
    table = pd.DataFrame({"a": random.gamma(2, 50, 600), "b": random.gamma(3, 20, 600), "x": random.normal(size=600)})
    table.assign(total=table.a + table.b).to_csv(here / "d.csv", index=False)
    said = call("new", "p", "--data", "d.csv", "--target", "total").output
    assert "a is left out: too good to be true: with b, determine the target together (a + b explains 100.0%" in said
    values = resolve(here)
    assert values["05_features"]["numeric"] == ["x"]
    contract = read_contract(here / values["03_validate"]["contract"])
    assert {rule.name for rule in contract.columns if rule.available_at == "after"} == {"a", "b"}
    assert contract.confirmed is None


def test_a_contract_is_confirmed_on_the_command_line(here):
    write_customers(here / "d.csv")
    call("new", "p", "--data", "d.csv", "--target", "churned")
    said = call("contract", "confirm", "params/p.contract.yaml", "--by", "Ann Lee")
    assert said.exit_code == 0, said.output
    assert "confirmed by Ann Lee" in said.output
    assert read_contract(here / "params/p.contract.yaml").confirmed.by == "Ann Lee"
    assert call("contract", "confirm", "params/none.yaml", "--by", "Ann").exit_code == 2


def test_a_query_of_a_database_starts_a_project(here):
    table = pd.DataFrame({"x": np.random.default_rng(0).normal(size=200), "y": [0, 1] * 100})
    with contextlib.closing(sqlite3.connect(here / "d.db")) as connection:
        table.to_sql("visits", connection, index=False)
    query = "SELECT x, y FROM visits LIMIT 100"
    said = call("new", "p", "--data", "sqlite:///d.db", "--query", query, "--target", "y")
    assert said.exit_code == 0, said.output
    assert resolve(here)["02_ingest"]["sources"] == {"data": {"location": "sqlite:///d.db", "query": query}}


def test_a_project_of_nothing_fits_the_notebooks_and_is_filled_in_by_hand(here):
    said = call("new", "p", "--blank")
    assert said.exit_code == 0, said.output
    assert "nbkit contract infer --params params/p.yaml --out params/p.contract.yaml" in said.output
    assert not (here / "params/p.contract.yaml").exists()
    write_species(here / "d.csv")
    text = (here / "params/p.yaml").read_text().replace("data.csv", "d.csv").replace("target: target", "target: kind")
    (here / "params/p.yaml").write_text(text.replace("task: binary", "task: multiclass"))
    said = call("contract", "infer", "--params", "params/p.yaml", "--out", "params/p.contract.yaml")
    assert said.exit_code == 0, said.output
    assert resolve(here)["05_features"]["numeric"] == "auto"


def test_what_a_second_project_finds_stays(here):
    write_species(here / "d.csv")
    call("new", "p", "--data", "d.csv", "--target", "kind")
    for path in MADE[5:]:
        (here / path).unlink()
    (here / "README.md").write_text("mine")
    said = call("new", "q", "--data", "d.csv", "--target", "kind")
    assert said.exit_code == 0, said.output
    assert (here / "README.md").read_text() == "mine"
    assert not (here / "tests/test_data.py").exists()


def test_git_drops_outputs_of_notebooks(here):
    subprocess.run(["git", "init", "-q", "."], check=True)
    write_species(here / "d.csv")
    assert "git drops them" in call("new", "p", "--data", "d.csv", "--target", "kind").output
    path = here / "notebooks/01_frame.ipynb"
    notebook = nbformat.read(path, 4)
    code = next(cell for cell in notebook.cells if cell.cell_type == "code")
    code.outputs = [nbformat.v4.new_output("stream", text="secret")]
    notebook.metadata["language_info"] = {"name": "python", "version": "3"}  # as JupyterLab writes it at each save
    nbformat.write(notebook, path)
    subprocess.run(["git", "add", "notebooks/01_frame.ipynb"], check=True)
    kept = subprocess.run(["git", "show", ":notebooks/01_frame.ipynb"], check=True, capture_output=True, text=True)
    assert "secret" in path.read_text()
    assert "secret" not in kept.stdout
    assert "language_info" not in kept.stdout


@pytest.mark.parametrize("own", [True, False])
def test_pages_that_are_written_to_be_sent_stay_out_of_git_and_data_do_not(here, own):
    write_species(here / "d.csv")
    if own:
        shutil.copy(Path(__file__).parents[1] / ".gitignore", here)
    assert call("new", "p", "--data", "d.csv", "--target", "kind").exit_code == 0
    subprocess.run(["git", "init", "-q"], check=True)
    written = ["compare.html", "diff.html", "first.html", "p-20261130T1756Z.html", "first.pdf", "p-20261130T1756Z.zip"]
    written += ["p-monitor-2013-06.zip"]
    kept = ["d.csv", "data.zip", "sales-2013.zip", "docs/page.html", "params/p.yaml", "notebooks/01_frame.ipynb"]
    done = subprocess.run(["git", "check-ignore", *written, *kept], capture_output=True, text=True, check=True)
    assert done.stdout.split() == written


def test_a_stage_of_one_s_own(here):
    write_species(here / "d.csv")
    assert "holds no project" in call("new", "--stage", "06b_ensemble").stderr
    call("new", "p", "--data", "d.csv", "--target", "kind")
    assert call("new", "--stage", "06b_ensemble").exit_code == 0
    assert resolve(here)["06b_ensemble"]["rows"] == 5
    checked = call("check", "params/p.yaml")
    assert (checked.exit_code, "0 errors, 0 hints" in checked.output) == (0, True), checked.output
    assert "exists already" in call("new", "--stage", "06b_ensemble").stderr
    assert "write it as 06b_ensemble" in call("new", "--stage", "ensemble").stderr


def test_a_name_that_differs_only_in_case_is_refused_as_many_disks_do_not_tell_them_apart(here):
    write_species(here / "d.csv")
    call("new", "p", "--data", "d.csv", "--target", "kind")
    done = call("new", "--stage", "06_Train")
    assert done.exit_code == 2
    assert "notebooks/06_train.ipynb exists already: choose another name; many disks" in done.stderr
    assert len([path for path in (here / "notebooks").iterdir() if "06_train" in path.name.lower()]) == 1
    assert "06_Train" not in (here / "params" / "p.yaml").read_text()
    again = call("new", "P", "--data", "d.csv", "--target", "kind")
    assert "params/p.yaml and params/p.contract.yaml exist already: choose another name; many disks" in again.stderr
    assert call("new", "--stage", "06b_train").exit_code == 0


def test_the_hooks_of_pre_commit_are_commands_that_pass_here_and_watch_what_can_break(here, monkeypatch):
    write_customers(here / "d.csv", 200)
    subprocess.run(["git", "init", "-q"], check=True)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert call("new", "p", "--data", "d.csv", "--target", "churned").exit_code == 0
    hooks = YAML(typ="safe").load((here / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert [hook["id"] for hook in hooks] == ["nbkit-check", "nbstripout"]
    for path in ("notebooks/06_train.ipynb", "params/p.yaml", "features.py"):
        assert re.search(hooks[0]["files"], path)
    for hook in hooks:
        done = subprocess.run(hook["entry"].split(), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    subprocess.run(["git", "config", "--remove-section", "filter.nbstripout"], check=True)
    assert subprocess.run(hooks[1]["entry"].split(), capture_output=True).returncode == 1
