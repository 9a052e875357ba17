"""What a project adds of its own: each entry of the README's "How to add", done in an empty folder."""

import json
import os
import pickle
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.metrics import fbeta_score, log_loss, mean_absolute_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import nbkit
from nbkit import extend
from nbkit.data import take_snapshot
from nbkit.data.readers import SOURCES
from nbkit.errors import BadModel, BadParameter, BadSource
from nbkit.evaluation import read_criteria
from nbkit.explanation import explain
from nbkit.extend import import_modules
from nbkit.features import to_numbers
from nbkit.model import compare, score
from nbkit.model.custom import metric
from nbkit.model.metrics import METRICS
from nbkit.model.predictions import Predictions
from nbkit.monitor.distances import TESTS
from nbkit.problem import Problem
from nbkit.record import RunRecord, write_record
from nbkit.registry import check_use
from nbkit.registry.gates import GATES
from nbkit.run import Run
from nbkit.scraps import read_value
from nbkit.stages import build_graph, read_stages
from nbkit.stages.preflight import import_used, list_used
from tests.conftest import make_notebook

ROOT = Path(__file__).parents[1]
HOW_TO = (ROOT / "README.md").read_text().partition("## How to add\n")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```python\n(.*?)```", HOW_TO, flags=re.DOTALL)
NUMBERS = Problem("y", "regression")


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """Leave the tables, the modules and the path as they were."""
    kept = [(table, dict(table)) for table in (METRICS, GATES, TESTS, SOURCES)]
    inner = [(getattr(extend, name), dict(getattr(extend, name))) for name in ("_owners", "_files", "imported")]
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in extend._files:
        sys.modules.pop(name, None)
    for table, before in [*kept, *inner]:
        table.clear()
        table.update(before)


def find_block(*words):
    """Return the code of the README that holds these words."""
    found = [block for block in BLOCKS if all(word in block for word in words)]
    assert len(found) == 1, words
    return found[0]


def define(folder, name, text):
    """Write a module, as an editor would a while ago."""
    path = folder / f"{name}.py"
    path.write_text(text)
    return path


def predict_numbers(n=60, seed=0):
    random = np.random.default_rng(seed)
    truth = random.normal(size=n)
    return Predictions.align(truth, truth + random.normal(size=n), NUMBERS)


# --- metrics


def test_a_metric_has_the_value_and_about_the_interval_of_the_same_one_in_nbkit():
    metric(better="lower", tasks=["regression"], needs="value")(mean_absolute_error)
    table = score(predict_numbers(), ["mae", "mean_absolute_error"])
    assert table.loc["mean_absolute_error", "value"] == pytest.approx(table.loc["mae", "value"])
    assert table.loc["mean_absolute_error", "high"] == pytest.approx(table.loc["mae", "high"], rel=0.05)
    assert (table["note"] == "").all()
    same = compare(predict_numbers(), predict_numbers(seed=1), "mean_absolute_error")
    assert same.loc["mean_absolute_error", "better"] == "lower"
    assert read_criteria({"mean_absolute_error": "<= 0.5"}, "regression").loc[0, "operator"] == "<="


def test_each_row_of_weights_is_asked_with_rows_as_often_as_they_were_drawn():
    @metric(better="lower", tasks="regression", needs="value")
    def deaf(y_true, y_pred, sample_weight=None):
        return abs(y_true - y_pred).mean()

    statistic = METRICS["deaf"].function(predict_numbers(4))
    weights = np.array([[1, 1, 1, 1], [0, 3, 1, 0.0]])
    off = np.abs(predict_numbers(4).score - predict_numbers(4).truth)
    assert statistic(weights) == pytest.approx(weights @ off / 4)
    assert METRICS["deaf"].words == "deaf"


def test_a_decision_and_a_probability_come_as_scikit_learn_has_them():
    @metric(better="higher", tasks=["binary"], needs="label")
    def f_two(y_true, y_pred):
        """Recall counts twice."""
        return fbeta_score(y_true, y_pred, beta=2)

    @metric(better="lower", tasks=["multiclass"], needs="score")
    def surprise(y_true, y_pred):
        return log_loss(y_true, y_pred, labels=["a", "b", "c"])

    @metric(better="higher", tasks=["multiclass"], needs="label")
    def share_of_a(y_true, y_pred):
        return np.mean(y_pred == "a")

    late = Predictions.align([0, 1, 1, 0], [0.1, 0.6, 0.4, 0.8], Problem("late"))
    assert score(late, "f_two", draws=0)["value"].item() == fbeta_score([0, 1, 1, 0], [0, 1, 0, 1], beta=2)
    shares = pd.DataFrame([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.4, 0.3, 0.3]], columns=["a", "b", "c"])
    kinds = Predictions.align(["a", "b", "c"], shares, Problem("kind", "multiclass"))
    table = score(kinds, ["surprise", "share_of_a", "log_loss"], draws=0)["value"]
    assert table["surprise"] == pytest.approx(table["log_loss"])
    assert table["share_of_a"] == pytest.approx(2 / 3)


def test_a_metric_that_raises_or_gives_nan_has_a_note_and_no_number():
    @metric(better="lower", tasks=["regression"], needs="value")
    def broken(y_true, y_pred):
        raise ValueError("no such thing")

    @metric(better="lower", tasks=["regression"], needs="value")
    def empty(y_true, y_pred):
        return float("nan")

    table = score(predict_numbers(), ["broken", "empty", "mae"])
    assert table["value"].isna().tolist() == [True, True, False]
    assert table["low"].isna().tolist() == [True, True, False]
    assert table["note"].tolist() == [
        "broken raised ValueError: no such thing",
        "empty gave nan, which is not a number",
        "",
    ]
    assert compare(predict_numbers(), predict_numbers(), "broken").loc["broken", "verdict"] == "inconclusive"
    assert "no such thing" in compare(predict_numbers(), predict_numbers(), "broken").loc["broken", "note"]
    with pytest.raises(BadModel, match=r"no candidate has a value of broken, which decides: broken raised ValueError"):
        nbkit.model.compare_with_best({"one": predict_numbers(), "two": predict_numbers()}, "broken")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"better": "more"}, "better is 'more'; there are higher, lower"),
        ({"needs": "values"}, "needs is 'values'; did you mean 'value'"),
        ({"tasks": ["binry"]}, "tasks is 'binry'; did you mean 'binary'"),
        ({"needs": "label"}, 'a regression needs "value"'),
        ({"tasks": []}, 'a regression needs "value"'),
    ],
)
def test_a_metric_that_cannot_be_is_refused(given, words):
    with pytest.raises(BadParameter, match=words):
        metric(**{"better": "lower", "tasks": ["regression"], "needs": "value", **given})


def test_a_search_that_scores_in_another_process_finds_the_metric_there(tmp_path):
    define(tmp_path, "own_metrics", find_block("def top_tenth"))
    import_modules(["own_metrics"], tmp_path)
    (tmp_path / "scorer").write_bytes(pickle.dumps(nbkit.model.Scorer(Problem("late", metric="top_tenth"))))
    code = (
        "import pickle; from nbkit.model.metrics import METRICS; before = 'top_tenth' in METRICS; "
        "pickle.load(open('scorer', 'rb')); print(before, 'top_tenth' in METRICS)"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "True"]


# --- names


def test_names_of_nbkit_are_refused_and_own_ones_replaced():
    def own(y_true, y_pred):
        return 1.0

    for name, words in (("mae", "nbkit has one of that name"), ("cost_per_row", "criteria know 'cost_per_row'")):
        own.__name__ = name
        with pytest.raises(BadParameter, match=words):
            metric(better="lower", tasks=["regression"], needs="value")(own)
    with pytest.raises(BadParameter, match="defines a gate 'beats_rule', and nbkit has"):
        nbkit.gate()(define_judge("beats_rule"))
    with pytest.raises(BadParameter, match="defines a drift test 'psi', and nbkit has"):
        nbkit.drift_test("psi", watch=1, drift=2)(own)
    with pytest.raises(BadParameter, match="defines a reader 'csv', and nbkit has"):
        nbkit.reader("csv")(own)
    for _ in range(2):
        nbkit.gate(blocking=False)(define_judge("mine"))
    other = define_judge("mine")
    other.__module__ = "elsewhere"
    with pytest.raises(BadParameter, match=r"elsewhere defines a gate 'mine', and .*test_extend has one"):
        nbkit.gate()(other)
    other.__module__ = "__main__"  # tried out in a notebook
    nbkit.gate()(other)
    assert GATES["mine"].blocking
    assert "mine" in nbkit.registry.known_gates().query("gate == 'mine'")["words"].item()


def define_judge(name):
    def judge(scores):
        return True, ""

    judge.__name__ = name
    return judge


# --- sources


def test_a_reader_gets_the_whole_path_and_the_options(tmp_path):
    (tmp_path / "d.txt").write_text("a banner\nsigned,y\n2024-01-01,1\n")
    exec(find_block("@nbkit.reader"), {"nbkit": nbkit, "__name__": "my_checks"})
    found = take_snapshot({"data": {"kind": "export", "location": "d.txt", "skip": 1}}, root=tmp_path)
    assert found.table["y"].tolist() == [1]
    assert found.sources.loc[0, ["kind", "location", "bytes"]].tolist() == ["export", "d.txt", 31]

    @nbkit.reader("odd")
    def read(location):
        return location

    with pytest.raises(BadSource, match=r"'data': its reader gave no table but str"):
        take_snapshot({"data": {"kind": "odd", "location": "sheet 7"}}, root=tmp_path)
    with pytest.raises(BadSource, match=r"cannot be read as export: .*unexpected keyword argument 'skipp'"):
        take_snapshot({"data": {"kind": "export", "location": "d.txt", "skipp": 1}}, root=tmp_path)


# --- modules


GATE = "import nbkit\n\n@nbkit.gate()\ndef {}(columns):\n    return True, ''\n"


def test_a_module_that_changed_is_imported_again_and_its_old_entries_go(tmp_path):
    define(tmp_path, "own_gates", GATE.format("first"))
    before = import_modules(["own_gates"], tmp_path)
    assert import_modules(["own_gates"], tmp_path) == before
    assert "first" in GATES
    define(tmp_path, "own_gates", "# a comment\n" + GATE.format("first"))
    assert import_modules(["own_gates"], tmp_path) == before
    define(tmp_path, "own_gates", GATE.format("second_one"))
    assert import_modules(["own_gates"], tmp_path) != before
    assert "first" not in GATES
    assert "second_one" in GATES


def test_the_digest_of_a_module_sees_what_it_imports_of_the_project(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "parts").mkdir()
    define(tmp_path / "parts", "__init__", "")
    define(tmp_path / "parts", "helper", "SIZE = 1")
    define(tmp_path / "parts", "gates", "import os\nfrom . import helper\nfrom .helper import SIZE\n")
    define(tmp_path, "other", "SIZE = 1")
    before = import_modules(["parts.gates"], tmp_path)
    edited = (tmp_path / "parts/helper.py").stat()
    define(tmp_path, "other", "SIZE = 2")
    assert import_modules(["parts.gates"], tmp_path) == before
    path = define(tmp_path / "parts", "helper", "SIZE = 2")
    os.utime(path, ns=(edited.st_atime_ns, edited.st_mtime_ns))  # an edit within the same second, of the same size
    assert import_modules(["parts.gates"], tmp_path) != before
    assert sys.modules["parts.gates"].SIZE == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, r"there is no broken_one\.py in .*did you mean 'broken_two'"),
        (
            "import nbkit\nnbkit.nothing\n",
            r"broken_one cannot be imported: AttributeError: .*\(broken_one\.py, line 2\)",
        ),
        ("def (", r"broken_one cannot be imported: SyntaxError"),
        ("raise SystemExit(3)", r"broken_one cannot be imported: SystemExit: 3"),
        (GATE.format("beats_rule"), r"broken_one cannot be imported: BadParameter: broken_one defines a gate"),
    ],
)
def test_a_module_that_is_missing_or_broken_is_refused_with_its_place(tmp_path, text, words):
    define(tmp_path, "broken_two", "")
    if text is not None:
        define(tmp_path, "broken_one", text)
    places = {"09_register.use": "params/toy.yaml:3"}
    with pytest.raises(BadParameter, match=rf"params/toy\.yaml:3: 09_register\.use: {words}"):
        import_used({"09_register": {"use": ["broken_one"]}}, ["09_register"], tmp_path, places)
    import_used({"09_register": {"use": ["broken_one"]}}, [], tmp_path, places)  # only what will run


def test_a_module_called_like_another_is_refused_and_that_one_stays(tmp_path):
    define(tmp_path, "json", "x = 1")
    with pytest.raises(BadParameter, match=r"json is the name of another module .*rename json\.py"):
        import_modules(["json"], tmp_path)
    assert sys.modules["json"] is json


def test_a_notebook_imports_what_its_run_uses_and_names_what_all_stages_share(project):
    define(project, "own_gates", GATE.format("shared_one"))
    define(project, "more_gates", GATE.format("private_one"))
    folder = project / "runs" / "one"
    folder.mkdir(parents=True)
    use = {"09_register": ["own_gates", "more_gates"], "10_deploy": ["own_gates"]}
    write_record(folder, RunRecord(run="one", root=str(project), use=use))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBKIT_STAGE", "09_register")
        run = Run(folder, {})
    assert {"shared_one", "private_one"} <= set(GATES)
    assert list(run.use) == ["own_gates", "more_gates"]
    assert list(run.lineage()["use"]) == ["own_gates"]


def test_a_version_is_refused_where_its_modules_are_missing_or_have_changed(tmp_path):
    class Version:
        reference, lineage = "m@1", {"use": {"own_gates": "0" * 64}}

    with pytest.raises(BadModel, match=r"m@1 was made with own_gates .* not in use here: .*--use own_gates"):
        check_use(Version, strict=False)
    define(tmp_path, "own_gates", GATE.format("first"))
    found = import_modules(["own_gates"], tmp_path)
    with pytest.raises(BadModel, match="own_gates is not what it was when m@1 was registered: bring it back"):
        check_use(Version)
    assert len(check_use(Version, strict=False)) == 1
    Version.lineage = {"use": found}
    assert check_use(Version) == []
    Version.lineage = {}  # registered by an older nbkit
    assert check_use(Version) == []


def test_the_modules_that_params_name_are_found(project):
    (project / "params" / "a.yaml").write_text("shared: {use: [one]}\n09_register: {use: [two, one]}\n")
    (project / "params" / "b.yaml").write_text("shared: [no params file\n")
    (project / "params" / "c.yaml").write_text("shared: {use: }\n")
    assert list_used(project) == ["one", "two"]


# --- stages


def test_what_a_stage_has_to_hand_over_is_listed_by_who_needs_it(project):
    make_notebook(project / "notebooks" / "01_a.ipynb", "run.save(x=1, y=2, z=3, unused=4)")
    make_notebook(project / "notebooks" / "02_b.ipynb", "x, y, z = run.load('01_a', 'x', 'y', 'z')\nrun.save(w=1)")
    make_notebook(project / "notebooks" / "03_c.ipynb", "z, w = run.load('01_a', 'z'), run.load('02_b', 'w')")
    assert build_graph(read_stages(project / "notebooks")).handovers() == [
        {"stage": "01_a", "hands over": "x, y", "to": "02"},
        {"stage": "01_a", "hands over": "z", "to": "02, 03"},
        {"stage": "02_b", "hands over": "w", "to": "03"},
    ]


# --- LightGBM


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_lightgbm_is_explained_exactly(task):
    random = np.random.default_rng(0)
    X = pd.DataFrame(random.normal(size=(300, 3)), columns=["a", "b", "c"])
    X.loc[random.random(300) < 0.1, "a"] = np.nan
    size = X["a"].fillna(0) + 0.5 * X["b"] * (X["c"] > 0)
    y = {"binary": size > 0, "multiclass": pd.cut(size, [-9, -0.5, 0.5, 9], labels=False), "regression": size}[task]
    options = {"n_estimators": 20, "n_jobs": 1, "verbose": -1}
    last = (LGBMRegressor if task == "regression" else LGBMClassifier)(**options)
    model = make_pipeline(FunctionTransformer(to_numbers, feature_names_out="one-to-one"), last).fit(X, y)
    found = explain(model, X, Problem("y", task))
    assert found.check.loc[0, "method"] == "trees"
    assert found.unit == ("units of the target" if task == "regression" else "log-odds")
    assert found.check.loc[0, "relative"] < 1e-12
    margin = last.predict(X.to_numpy(), raw_score=True)
    for place, name in enumerate(found.base.index):
        values = found.values[found.values["class"] == name].drop(columns="class") if name else found.values
        wanted = margin if margin.ndim == 1 else margin[:, place]
        assert values.sum(axis=1).to_numpy() + found.base[name] == pytest.approx(wanted)


# --- all of it, in an empty folder


def write_customers(path, n=500):
    random = np.random.default_rng(0)
    days = np.sort(random.integers(0, 500, n))
    table = pd.DataFrame(
        {
            "signed": (pd.Timestamp("2022-01-03") + pd.to_timedelta(days, "D")).strftime("%Y-%m-%d"),
            "plan": random.choice(["basic", "plus", "pro"], n),
            "fee": random.gamma(4, 12, n).round(2),
            "calls": random.poisson(2, n),
        }
    )
    risk = 0.8 * table["calls"] - (table["plan"] == "pro") - 0.02 * table["fee"] + random.normal(size=n) * 0.8
    table["churned"] = np.where(risk > 0.9, "yes", "no")
    table.to_csv(path, index=False)


def edit(path, *changes):
    """Edit cells of a notebook as in JupyterLab: a text before, the text after."""
    notebook = json.loads(path.read_text())
    for before, after in changes:
        cells = [cell for cell in notebook["cells"] if before in "".join(cell["source"])]
        assert len(cells) == 1, before
        cells[0]["source"] = "".join(cells[0]["source"]).replace(before, after).splitlines(keepends=True)
    path.write_text(json.dumps(notebook))


def nb(folder, *words, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "nbkit", *words], cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


OWN = """
shared: {use: [my_checks]}
01_frame: {criteria: {top_tenth: ">= 0.05"}}
02_ingest: {sources: {data: {kind: export, location: customers.txt, skip: 1}}}
06_train: {candidates: [lightgbm], trials: 2, curve: [0.5, 1.0]}
09_register: {enforce: false}
10_deploy: {requests: 20, enforce: false}
11_monitor: {tests: [psi, missing, spread]}
"""
PARAMS = ("params/churn.yaml", "params/own.yaml")


@pytest.fixture(scope="module")
def life(tmp_path_factory):
    """A project with everything of the README's "How to add" but the search, from its data to a window."""
    folder = tmp_path_factory.mktemp("own")
    write_customers(folder / "customers.csv")
    nb(folder, "new", "churn", "--data", "customers.csv", "--target", "churned")
    (folder / "customers.txt").write_text("exported by hand\n" + (folder / "customers.csv").read_text())
    (folder / "params" / "own.yaml").write_text(OWN)
    checks = ("def top_tenth", "def few_columns", "def measure_spread", "def read_export")
    define(folder, "my_checks", "\n\n".join(find_block(word) for word in checks))
    define(folder, "features", find_block("def fee_per_call"))
    (folder / "params" / "trusted.txt").write_text("features.fee_per_call\nfeatures.name_it\n")
    recipe = "    verbose_feature_names_out=False,\n)\n"
    edit(
        folder / "notebooks" / "05_features.ipynb",
        (recipe.rstrip(), recipe + find_block("import features").rstrip()),
    )
    first = '        "boosting": [gaps, HistGradientBoostingClassifier'
    edit(
        folder / "notebooks" / "06_train.ipynb",
        ("from sklearn.linear_model", find_block("from lightgbm") + "from sklearn.linear_model"),
        (first, find_block('"lightgbm": [gaps') + first),
    )
    make_notebook(
        folder / "notebooks" / "06b_note.ipynb",
        find_block("What was trained ends in"),
        parameters=find_block("# folder of this run").strip(),
    )
    nb(folder, "check", *PARAMS)
    nb(folder, "run", *PARAMS, "--name", "one")
    nb(folder, "monitor", *PARAMS, code=0)
    return folder


@pytest.mark.slow
def test_a_life_with_ones_own_metric_gate_drift_test_reader_candidate_feature_and_stage(life):
    run = life / "runs" / "one"
    verdicts = read_value(run, "07_evaluate", "verdicts").set_index("name")
    assert verdicts.loc["top_tenth", "verdict"] == "pass"
    scores = read_value(run, "06_train", "scores")
    assert np.isfinite(scores.query("metric == 'top_tenth' and candidate == 'lightgbm'")["low"]).all()
    assert read_value(run, "02_ingest", "sources").loc[0, "kind"] == "export"
    assert "fee_per_call" in set(read_value(run, "05_features", "catalogue")["feature"])
    assert read_value(run, "06b_note", "headline") == "What was trained ends in LGBMClassifier."
    check = read_value(run, "08_explain", "check").iloc[0]
    assert check["method"] == "trees"
    assert check["relative"] < 1e-9
    gates = read_value(run, "09_register", "gates").set_index("gate")
    assert gates.loc["few_columns", ["passed", "blocking"]].tolist() == [True, False]
    assert read_value(run, "10_deploy", "gates").set_index("gate").loc["service_agrees", "passed"]
    version = nbkit.Registry(life / "registry").get("churn@1")
    assert version.lineage["use"] == import_modules(["my_checks"], life)
    window = next((life / "runs").glob("churn-monitor-*"))
    drift = read_value(window, "11_monitor", "drift")
    assert set(drift["test"]) == {"psi", "missing", "spread"}
    assert set(drift.query("test == 'spread'")["kind"]) == {"numeric"}
    assert "top_tenth" in read_value(window, "11_monitor", "performance").index
    pages = {stage: (run / "report" / f"{stage}.html").read_text() for stage in ("07_evaluate", "09_register")}
    assert "top_tenth" in pages["07_evaluate"]
    assert "few columns" in pages["09_register"]
    assert "spread" in (window / "report" / "11_monitor.html").read_text()


@pytest.mark.slow
def test_a_search_of_ones_own(life, monkeypatch):
    path = life / "notebooks" / "06_train.ipynb"
    before = path.read_text()
    source = next(
        "".join(cell["source"]) for cell in json.loads(before)["cells"] if "fit_each" in "".join(cell["source"])
    )
    edit(path, (source, find_block("ParameterSampler")))
    said = nb(life, "run", *PARAMS, "--name", "searched", "--until", "06_train")
    path.write_text(before)
    assert "unchanged since one" in said
    monkeypatch.chdir(life)  # where what the model is made of is trusted
    monkeypatch.syspath_prepend(life)
    model = read_value(life / "runs" / "searched", "06_train", "model")
    assert model[-1].num_leaves in (3, 7, 15)


@pytest.mark.slow
def test_a_changed_module_runs_again_what_used_it_and_is_not_served_unseen(life):
    path = life / "my_checks.py"
    before = path.read_text()
    path.write_text(f"# a comment\n{before}")
    assert "  run  " not in nb(life, "run", *PARAMS, "--dry-run")
    path.write_text(before.replace("<= 20", "<= 19"))
    assert nb(life, "run", *PARAMS, "--dry-run").count("my_checks.py has changed") == 11
    said = nb(life, "serve", "churn@1", "--port", "0", code=2)
    assert "my_checks is not what it was when churn@1 was registered" in said
    path.rename(life / "away.txt")
    assert "own.yaml:2: 11_monitor.use: there is no my_checks.py" in nb(life, "monitor", *PARAMS, code=2)
    assert "there is no my_checks.py" in nb(life, "serve", "churn@1", "--port", "0", code=2)
    (life / "away.txt").rename(path)
    path.write_text(before)
    (life / "params" / "own.yaml").rename(life / "own.yaml")
    said = nb(life, "serve", "churn@1", "--port", "0", code=2)
    (life / "own.yaml").rename(life / "params" / "own.yaml")
    assert "churn@1 was made with my_checks of its project, which is not in use here" in said


@pytest.mark.slow
def test_the_service_answers_with_what_its_project_uses(life):
    command = [sys.executable, "-m", "nbkit", "serve", "churn@1", "--port", "0", "--use", "my_checks"]
    with subprocess.Popen(command, cwd=life, stdout=subprocess.PIPE, text=True, env={**os.environ}) as service:
        url = re.search(r"http://\S+", service.stdout.readline()).group()
        row = {"signed": "2023-05-01T00:00:00", "plan": "pro", "fee": 10.0, "calls": 9}
        asked = urllib.request.Request(f"{url}/predict", json.dumps({"rows": [row]}).encode())
        asked.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(asked, timeout=30) as answer:
            said = json.load(answer)
        service.terminate()
    assert "yes" in json.dumps(said)
