import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbkit.errors import BadNotebook, BadParameter, UnknownParameter
from nbkit.stages.notebooks import Parameter, read_stages
from nbkit.stages.params import check_value, read_params, resolve_params
from tests.conftest import make_notebook

FIRST = """
run_dir: str = "."  # folder of this run
target: str = "late"  # what to predict
share: float = 0.2  # share kept apart (0, 1)
rows: int = 0  # sample, 0 = all [0,]
mode: str = "fast"  # how {fast, slow}
names: list[str] = []  # some names
limit: float | None = None  # no limit if empty
"""
SECOND = 'run_dir: str = "."  # folder\ntarget: str = "late"  # what to predict\ntrials: int = 5  # tries [1, 100]'


@pytest.fixture
def stages(project):
    make_notebook(project / "notebooks" / "01_first.ipynb", parameters=FIRST.strip())
    make_notebook(project / "notebooks" / "02_second.ipynb", parameters=SECOND)
    return read_stages(project / "notebooks")


def resolve(stages, project, text="", settings=()):
    path = project / "params" / "churn.yaml"
    path.write_text(text)
    return resolve_params([path], settings, stages)


def test_defaults_shared_and_own_values(stages, project):
    found = resolve(stages, project, "shared: {target: churned}\n01_first: {share: 0.3, cell_timeout: 9}\n")
    assert found.project == "churn"
    assert found.values["01_first"] == {
        "target": "churned", "share": 0.3, "rows": 0, "mode": "fast", "names": [], "limit": None
    }  # fmt: skip
    assert found.values["02_second"] == {"target": "churned", "trials": 5}
    assert found.limits["01_first"]["cell_timeout"] == 9.0
    assert found.limits["02_second"]["retries"] == 0


def test_later_files_and_settings_override(stages, project):
    small = project / "params" / "small.yaml"
    small.write_text("02_second: {trials: 2}\n")
    churn = project / "params" / "churn.yaml"
    churn.write_text("02_second: {trials: 50}\n01_first: {rows: 7}\n")
    found = resolve_params([churn, small], ["01_first.mode=slow", "02_second.trials = 3"], stages)
    assert found.values["02_second"]["trials"] == 3
    assert found.values["01_first"]["rows"] == 7
    assert found.values["01_first"]["mode"] == "slow"


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        (
            "01_frist: {rows: 1}",
            UnknownParameter,
            r"churn\.yaml:1: no section is called '01_frist'; did you mean '01_first'",
        ),
        (
            "01_first:\n  row: 1",
            UnknownParameter,
            r"churn\.yaml:2: no key of 01_first is called 'row'; did you mean 'rows'",
        ),
        ("shared: {tarjet: a}", UnknownParameter, r"churn\.yaml:1: .*did you mean 'target'"),
        ("01_first: {run_dir: a}", UnknownParameter, "run_dir"),
        (
            "01_first:\n  rows: many",
            BadParameter,
            r"churn\.yaml:2: rows = 'many' is not of type int .*at least 0 \(sample",
        ),
        ("01_first: {rows: -1}", BadParameter, "rows = -1 is not allowed: it must be of type int, at least 0"),
        ("01_first: {rows: 1.5}", BadParameter, "rows = 1.5 is not of type int"),
        ("01_first: {rows: true}", BadParameter, "rows = True is not of type int"),
        ("01_first: {share: 0}", BadParameter, "more than 0 and less than 1"),
        ("01_first: {share: 1}", BadParameter, "more than 0 and less than 1"),
        ("01_first: {mode: medium}", BadParameter, "one of fast, slow"),
        ("01_first: {names: [a, 1]}", BadParameter, r"is not of type list\[str\]"),
        ("01_first: {names: a}", BadParameter, r"is not of type list\[str\]"),
        ("01_first: {retries: -1}", BadParameter, "at least 0"),
        ("01_first: {cell_timeout: .inf}", BadParameter, "cell_timeout = inf is not allowed"),
        ("01_first: 3", BadParameter, r"churn\.yaml:1: section 01_first holds `key: value` lines, not 3"),
        ("- a", BadParameter, "a params file holds"),
        ("01_first: {rows: 1, rows: 2}", BadParameter, "duplicate key"),
        ("01_first: {rows: [}", BadParameter, "this is not YAML"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(stages, project, text, error, words):
    with pytest.raises(error, match=words):
        resolve(stages, project, text)


def test_yaml_is_1_2_and_dates_stay_strings(stages, project):
    text = "01_first: {share: 1e-3, names: [NO, on, 2013-01-01], limit: 1e5}\n"
    found = resolve(stages, project, text).values["01_first"]
    assert found["share"] == 0.001
    assert found["names"] == ["NO", "on", "2013-01-01"]
    assert found["limit"] == 1e5


def test_an_empty_file_and_an_empty_section_are_fine(stages, project):
    assert resolve(stages, project, "").values["02_second"]["trials"] == 5
    assert resolve(stages, project, "02_second:\n").values["02_second"]["trials"] == 5


def test_a_missing_file_names_the_nearest(stages, project):
    (project / "params" / "churn.yaml").write_text("")
    with pytest.raises(BadParameter, match=r"did you mean .*churn\.yaml"):
        list(read_params(project / "params" / "chrn.yaml"))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("01_first.rows", "write it as STAGE.KEY=VALUE"),
        ("rows=3", "write it as STAGE.KEY=VALUE"),
        ("01_first.rows=x", r"--set 01_first\.rows=x: rows = 'x' is not of type int"),
    ],
)
def test_a_bad_setting_is_refused(stages, project, setting, words):
    with pytest.raises(BadParameter, match=words):
        resolve(stages, project, "", [setting])


def test_files_of_two_projects_are_refused(stages, project):
    make_notebook(project / "notebooks" / "01_first.ipynb", parameters=f'{FIRST.strip()}\nname: str = "model"  # name')
    known = read_stages(project / "notebooks")
    texts = {"a": "shared: {name: a}", "b": "shared:\n  name: b", "c": "shared: {name: a, target: x}"}
    for name, text in texts.items():
        (project / "params" / f"{name}.yaml").write_text(text)
    a, b, c = (project / "params" / f"{name}.yaml" for name in texts)
    with pytest.raises(
        BadParameter, match=r"b\.yaml:2: name is 'b' here and 'a' in .*a\.yaml:1: these are two projects"
    ):
        resolve_params([a, b], (), known)
    assert resolve_params([a, c], ["shared.name=d"], known).values["01_first"]["name"] == "d"


def test_a_section_is_named_as_on_the_command_line(stages, project):
    for section in ("02_second", "02", "second"):
        assert resolve(stages, project, settings=[f"{section}.trials=7"]).values["02_second"]["trials"] == 7


def test_a_part_of_a_value_cannot_be_set(stages, project):
    with pytest.raises(BadParameter, match=r"names is one value, so first cannot be set alone.*--set '01_first.names="):
        resolve(stages, project, settings=["01_first.names.first=a"])


def test_an_empty_setting_is_an_empty_string(stages, project):
    assert resolve(stages, project, "", ["01_first.target="]).values["01_first"]["target"] == ""


@given(st.integers() | st.floats(allow_nan=False))
def test_a_range_lets_through_exactly_what_lies_in_it(value):
    parameter = Parameter("x", "float", 0.5, low=0, high=1, closed=(False, True))
    if 0 < value <= 1:
        assert check_value(value, parameter, "here") == value
    else:
        with pytest.raises(BadParameter, match="here: x"):
            check_value(value, parameter, "here")


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("x = 3", "each line reads"),
        ("x: int = 3 + rows", "not a literal"),
        ("import os", "each line reads"),
    ],
)
def test_a_parameters_cell_holds_only_annotated_literals(project, cell, words):
    make_notebook(project / "notebooks" / "01_first.ipynb", parameters=cell)
    with pytest.raises(BadNotebook, match=words):
        read_stages(project / "notebooks")


def test_a_comment_below_a_long_value_is_its_meaning(project):
    cell = 'x: list[str] = [\n    "a",\n]  # some names {a, b}'
    make_notebook(project / "notebooks" / "01_first.ipynb", parameters=cell)
    found = read_stages(project / "notebooks")["01_first"].parameters["x"]
    assert (found.default, found.meaning, found.choices) == (["a"], "some names", ("a", "b"))


def test_a_criterion_that_is_a_bare_number_says_how_it_is_written():
    criteria = Parameter("criteria", "dict[str, str]", {})
    with pytest.raises(
        BadParameter, match=r'toy\.yaml:3: criteria: roc_auc: 0\.7 says no side: write roc_auc: ">= 0\.7"'
    ):
        check_value({"brier": "<= 0.2", "roc_auc": 0.7}, criteria, "toy.yaml:3")
    with pytest.raises(BadParameter, match=r"is not of type dict\[str, str\]"):
        check_value({"roc_auc": [0.7]}, criteria, "toy.yaml:3")
