import json

import numpy as np
import pandas as pd
import pytest

from nbkit.evaluation.criteria import read_criteria
from nbkit.lifecycle import SCRAPS
from nbkit.report import read_overview
from nbkit.scraps import read_scraps
from tests.conftest import glue, make_notebook

PASSED = {"status": "passed", "seconds": 2.0}
VERDICTS = pd.DataFrame(
    [("auc is more than that of the rule", "> rule", 0.7456, 0.72, 0.77, "pass", "all of it is"),
     ("cost is at most 2,000", "<= 2000", 1903.4, 1800.2, 1999.9, "pass", "all of it is")],
    columns=["words", "target", "value", "low", "high", "verdict", "why"],
)  # fmt: skip
GATES = pd.DataFrame(
    [("criteria_met", True, True, "all met"), ("beats_rule", True, True, "by far")],
    columns=["gate", "passed", "blocking", "detail"],
)
DEATHS = [
    "error",
    "exit",
    "dead_kernel",
    "out_of_memory",
    "cell_timeout",
    "stage_timeout",
    "kernel_start",
    "unfinished",
    "system",
]


LACKING = object()  # for a value that a stage does not hand over
NOTHING_FOUND = {  # what a stage hands over where there is nothing to tell
    "07_evaluate": {
        "alternatives": pd.DataFrame(columns=["verdict"]),
        "group_verdicts": pd.DataFrame(columns=["verdict", "sentence"]),
    }
}


def write_run(project, name="toy-1", status="passed", stages=None, **values):
    """Write a run by hand: `stages` are entries of its manifest, `values` what each stage hands over."""
    folder = project / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    entries = [{"stage": stage, **entry} for stage, entry in (stages or {}).items()]
    manifest = {"run": name, "project": "toy", "root": str(project), "status": status, "started": "2026-01-02T03:04:05.678+00:00",
                "files": ["params/toy.yaml"], "command": ["nbkit", "run", "params/toy.yaml"], "stages": entries,
                "surroundings": {"python": "3.11", "versions": {"nbkit": "0.1"}, "git": {}}}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(manifest))
    for stage in stages or {}:
        make_notebook(project / "notebooks" / f"{stage}.ipynb")
    for stage in values:
        given = {**NOTHING_FOUND.get(stage, {}), **values[stage]}
        glue(folder / f"{stage}.ipynb", **{name: value for name, value in given.items() if value is not LACKING})
    return folder


def judged(project, verdicts=VERDICTS, gates=GATES, status="passed", last=PASSED, **more):
    """Write a run that came to its verdict."""
    stages = {"01_frame": PASSED, "07_evaluate": PASSED, "09_register": last}
    frame = {"objective": "Fewer missed connections", "decision": "Rebook", "owner": "Ann"}
    values = {
        "01_frame": frame,
        "07_evaluate": {"verdicts": verdicts},
        "09_register": {"gates": gates, "version": "toy@3"},
        **more,
    }
    return read_overview(write_run(project, status=status, stages=stages, **values))


def closed(*names):
    return GATES.assign(passed=[name not in names for name in GATES["gate"]], detail="because")


def test_all_open_is_approved(project):
    o = judged(project, **{"10_deploy": {"headline": "It holds."}})
    assert (o.verdict, o.tone) == ("APPROVE", "good")
    assert o.reasons == ["Every criterion is met on the test rows (2).", "Every gate is open (2 of 2).", "It holds."]
    assert (o.objective, o.decision, o.owner) == ("Fewer missed connections", "Rebook", "Ann")
    assert (o.run, o.project, o.status, o.started, o.seconds) == ("toy-1", "toy", "passed", "2026-01-02 03:04", 6.0)
    assert o.criteria.columns.tolist() == ["criterion", "today", "target", "value", "interval", "verdict", "why"]
    assert o.criteria["value"].tolist() == ["0.746", "1,900"]
    assert o.criteria["interval"].tolist() == ["0.720 to 0.770", "1,800 to 2,000"]
    facts = dict(o.facts.itertuples(index=False))
    assert facts["Model version"] == "toy@3"
    assert facts["Command"] == "nbkit run params/toy.yaml"
    assert facts["Code"] == "not in git"


@pytest.mark.parametrize(
    ("git", "says"),
    [
        ({"commit": "a" * 40, "dirty": True}, "aaaaaaaaaaaa with changes"),
        ({"commit": "a" * 40, "dirty": False}, "aaaaaaaaaaaa"),
        ({"commit": "a" * 40}, "aaaaaaaaaaaa, git did not say in time whether with changes"),
    ],
)
def test_the_commit_is_told_also_where_git_is_slow(git, says, project):
    path = project / "runs" / "toy-1" / "run.json"
    judged(project)
    manifest = json.loads(path.read_text())
    manifest["surroundings"]["git"] = git
    path.write_text(json.dumps(manifest))
    assert dict(read_overview(path.parent).facts.itertuples(index=False))["Code"] == says


@pytest.mark.parametrize(
    ("verdict", "shut", "expected"),
    [
        ("fail", [], ("REJECT", "bad")),
        ("fail", ["criteria_met"], ("REJECT", "bad")),
        ("pass", ["beats_rule"], ("REJECT", "bad")),
        ("cannot tell", ["beats_rule"], ("REJECT", "bad")),
        ("cannot tell", ["criteria_met"], ("NOT DECIDED", "unsure")),
        ("cannot tell", [], ("NOT DECIDED", "unsure")),
    ],
)
def test_what_does_not_hold_is_said(project, verdict, shut, expected):
    verdicts = VERDICTS.assign(verdict=["pass", verdict], why="the reason")
    o = judged(project, verdicts, closed(*shut))
    assert (o.verdict, o.tone) == expected
    assert any("the reason" in reason for reason in o.reasons) == (verdict != "pass")
    assert any("Gate beats_rule: because" in reason for reason in o.reasons) == ("beats_rule" in shut)
    refused = {"status": "refused", "kind": "refused", "message": "toy@3 may not move on", "cell": 6}
    if shut:
        o = judged(project, verdicts, closed(*shut), status="refused", last=refused)
        assert (o.verdict, o.tone) == expected
        assert o.reasons[0] == "The run stopped at 09_register, code cell 6: toy@3 may not move on"


def test_what_would_be_cheaper_and_who_is_treated_otherwise_is_to_be_watched(project):
    costs = pd.DataFrame(
        {"cost_per_row": [1.2, 0.62, 0.66], "model": 0.656, "low": [-0.6, 0.01, -0.03], "high": [-0.5, 0.06, 0.02],
         "verdict": ["better", "worse", "inconclusive"]},
        index=pd.Index(["never acting", "always acting", "today's rule"], name="alternative"),
    )  # fmt: skip
    few = pd.DataFrame(
        {"column": "region", "verdict": ["not judged"], "sentence": ["precision by region: too few groups"]}
    )
    made = {"verdicts": VERDICTS, "alternatives": costs, "group_verdicts": few}
    o = judged(project, **{"07_evaluate": made})
    assert o.verdict == "REJECT"
    assert o.reasons == [
        "Cost: always acting is cheaper than the model (0.620 a row against 0.656, difference 0.010 to 0.060)."
    ]
    told = "today's rule cannot be told apart from the model (0.660 a row against 0.656, difference -0.030 to 0.020)."
    assert o.watch[["topic", "sentence"]].values.tolist() == [
        ["Groups by region", "Precision by region: too few groups."],
        ["Cost", f"{told[0].upper()}{told[1:]}"],
    ]
    assert o.costs.values.tolist() == [
        ["Never acting", "1.2", 1.0, False],
        ["Today's rule", "0.66", 0.55, False],
        ["The model", "0.656", pytest.approx(0.547, abs=1e-3), True],
        ["Always acting", "0.62", pytest.approx(0.517, abs=1e-3), False],
    ]


def test_a_gate_that_does_not_block_rejects_nothing(project):
    assert judged(project, gates=closed("beats_rule").assign(blocking=False)).verdict == "APPROVE WITH CONDITIONS"


def test_criteria_without_a_number_say_so(project):
    verdicts = VERDICTS.assign(verdict="cannot tell", value=[np.nan, 0.00123], low=np.nan, high=[np.nan, np.inf])
    o = judged(project, verdicts)
    assert o.criteria["value"].tolist() == ["unknown", "0.00123"]
    assert o.criteria["interval"].tolist() == ["unknown", "unknown"]


@pytest.mark.parametrize("kind", DEATHS)
def test_a_run_that_died_is_stopped(project, kind):
    stages = {"01_frame": PASSED, "02_ingest": {"status": "failed", "kind": kind, "message": "it died", "cell": 3}, "03_validate": {"status": "pending"}}  # fmt: skip
    criteria = read_criteria({"roc_auc": ">= 0.7", "beats": "brier < rule"}, "binary")
    o = read_overview(write_run(project, status="failed", stages=stages, **{"01_frame": {"criteria": criteria}}))
    assert (o.verdict, o.tone) == ("STOPPED", "bad")
    assert o.reasons[0] == "The run stopped at 02_ingest, code cell 3: it died"
    assert o.criteria["verdict"].tolist() == ["not judged yet"] * 2
    assert o.criteria["criterion"].str.partition(":")[0].tolist() == ["ROC AUC", "Brier score"]  # as after 07
    assert o.criteria["target"].tolist() == ["at least 0.7", "better than today's value"]
    assert o.stages["status"].tolist() == ["passed", "failed", "pending"]
    assert o.stages["page"].tolist() == ["01_frame.html", "", ""]
    assert o.stages["headline"].tolist() == ["", "it died", ""]


def test_a_run_that_was_interrupted_or_killed_is_stopped(project):
    o = read_overview(
        write_run(project, "a", "interrupted", {"01_frame": {"status": "interrupted", "message": "from the keyboard"}})
    )
    assert (o.verdict, o.status, o.reasons) == (
        "STOPPED",
        "interrupted",
        ["The run stopped at 01_frame: from the keyboard"],
    )
    o = read_overview(write_run(project, "b", "running", {"01_frame": {"status": "running"}}))
    assert (o.verdict, o.status) == ("STOPPED", "interrupted")
    assert o.reasons == ["The run stopped at 01_frame: its process ended without a word"]


def test_a_run_at_work_is_not_judged(project):
    from nbkit.pipeline.runs import lock_run

    folder = write_run(project, status="running", stages={"01_frame": PASSED, "02_ingest": {"status": "running"}})
    with lock_run(folder):
        o = read_overview(folder)
    assert (o.verdict, o.tone, o.reasons) == ("NOT DECIDED", "unsure", ["The run is at work on 02_ingest."])


def test_a_part_of_a_run_is_not_judged(project):
    o = read_overview(write_run(project, stages={"01_frame": PASSED}))
    assert (o.verdict, o.tone) == ("NOT DECIDED", "unsure")
    assert o.reasons == ["The run did not come to the gates, which 09_register judges."]


def test_a_refusal_by_the_contract_is_a_rejection(project):
    refused = {"status": "refused", "kind": "refused", "message": "2 blocking violations", "cell": 7}
    violations = pd.DataFrame({"message": ["age is below 0"], "severity": ["blocking"]})
    o = read_overview(
        write_run(
            project, status="refused", stages={"03_validate": refused}, **{"03_validate": {"violations": violations}}
        )
    )
    assert (o.verdict, o.tone) == ("REJECT", "bad")
    assert o.watch.values.tolist() == [["Data", "Age is below 0 (blocking).", "03_validate"]]


@pytest.mark.parametrize(("decision", "tone"), [("ok", "good"), ("look", "unsure"), ("retrain", "bad")])
def test_a_monitor_run_says_its_decision(project, decision, tone):
    reasons = pd.DataFrame({"finding": ["drift"] * 7, "evidence": ["temp moved"] * 7, "action": ["look"] * 7})
    values = {"decision": decision, "reasons": reasons, "version": "toy@3"}
    o = read_overview(write_run(project, stages={"11_monitor": PASSED}, **{"11_monitor": values}))
    assert (o.verdict, o.tone) == (decision.upper(), tone)
    assert o.reasons[:5] == ["Drift: temp moved. Look."] * 5
    assert o.reasons[5:] == ["2 more findings of less weight in the table of 11_monitor."]
    assert dict(o.facts.itertuples(index=False))["Model version"] == "toy@3"


def test_weak_spots_are_to_be_watched(project):
    worst = pd.DataFrame({"column": ["origin"], "slice": ["JFK"], "gap": [0.0812], "n": [1200]}).assign(
        gap_low=0.05, gap_high=0.12
    )
    o = judged(project, **{"07_evaluate": {"verdicts": VERDICTS, "worst": worst}})
    assert o.watch["sentence"].tolist() == [
        "Origin JFK: predictions are off by 8.1 points (5.0 to 12.0) more than on the whole, on 1,200 rows."
    ]


def test_a_gate_that_does_not_block_is_told_and_approves(project):
    o = judged(project, gates=GATES.assign(passed=[True, False], blocking=[True, False]))
    assert (o.verdict, o.reasons[1:], o.conditions) == (
        "APPROVE WITH CONDITIONS",
        ["Every gate that blocks is open (1 of 2)."],
        ["Gate beats_rule, which does not block: by far."],
    )


def test_a_passed_stage_whose_notebook_is_gone_has_not_passed_for_the_reader(project):
    o = read_overview(write_run(project, stages={"01_frame": PASSED}))
    assert o.stages[["status", "headline", "page"]].values.tolist() == [
        ["gone", "01_frame.ipynb is not in the run's folder any more.", ""]
    ]


def test_stages_that_were_not_run_are_listed_with_their_titles(project):
    make_notebook(project / "notebooks" / "01_frame.ipynb")
    make_notebook(project / "notebooks" / "11_monitor.ipynb", nbkit={"cadence": "window"})
    make_notebook(project / "notebooks" / "12_more.ipynb")
    o = read_overview(write_run(project, stages={"01_frame": PASSED}, **{"01_frame": {"owner": "Ann"}}))
    assert o.stages["title"].tolist() == ["01_frame", "11_monitor", "12_more"]
    assert o.stages["status"].tolist() == ["passed", "not part of this run", "not part of this run"]
    assert "nbkit monitor" in o.stages["headline"][1]


def test_it_is_told_also_where_the_sources_are_broken_or_gone(project):
    folder = write_run(project, stages={"01_frame": PASSED})
    (project / "notebooks" / "01_frame.ipynb").write_text("{")
    assert read_overview(folder).stages["title"].tolist() == ["01_frame"]
    manifest = json.loads((folder / "run.json").read_text())
    del manifest["root"]
    (folder / "run.json").write_text(json.dumps(manifest))
    assert len(read_overview(folder).stages) == 1


def test_an_empty_run_and_an_empty_folder_are_told(project):
    o = read_overview(write_run(project, status="failed"))
    assert (o.verdict, len(o.criteria), o.seconds) == ("NOT DECIDED", 0, 0)
    assert set(o.stages["status"]) == {"not part of this run"}
    (project / "runs" / "none").mkdir()
    assert read_overview(project / "runs" / "none").verdict == "NOT DECIDED"


def test_changed_bytes_are_as_good_as_none(project):
    judged(project)
    folder = project / "runs" / "toy-1"
    for path in (folder / "artifacts").rglob("*.parquet"):
        path.write_bytes(b"?")
    o = read_overview(folder)
    assert (o.verdict, len(o.criteria)) == ("NOT DECIDED", 0)


def test_what_was_taken_over_from_an_earlier_run_is_told(project):
    stages = {name: {"status": "passed", "borrowed": "toy-0"} for name in ("01_frame", "02_ingest")}
    stages["03_validate"] = {"status": "passed"}
    facts = read_overview(write_run(project, stages=stages)).facts.set_index("what")["value"]
    assert facts["Taken over"] == "01_frame, 02_ingest from toy-0"
    assert "Taken over" not in read_overview(write_run(project, name="toy-2")).facts["what"].tolist()


def test_a_run_is_read_wherever_its_name_comes_from(project):
    judged(project)
    assert read_overview("runs/toy-1").verdict == read_overview(project / "runs" / "toy-1").verdict == "APPROVE"


def test_a_page_makes_no_registry_where_there_is_none(project):
    judged(project)
    o = read_overview(project / "runs" / "toy-1")
    assert "cannot be read" in o.approval
    assert not (project / "registry").exists()


def test_what_a_stage_of_ones_own_does_not_hand_over_is_said(project):
    stages = {"01_frame": PASSED, "02_ingest": PASSED, "03_validate": {"status": "failed"}}
    frame = dict.fromkeys(SCRAPS["01_frame"], "")
    ingest = {**dict.fromkeys(SCRAPS["02_ingest"], "v"), "test": LACKING, "order": LACKING, "mine": 3}
    folder = write_run(project, stages=stages, **{"01_frame": frame, "02_ingest": ingest})
    facts = read_overview(folder).facts.set_index("what")["value"]
    assert facts["Not handed over"] == "02_ingest.test, 02_ingest.order"


@pytest.mark.parametrize("name", ["verdicts", "alternatives", "group_verdicts"])
@pytest.mark.parametrize("how", ["lacking", "gone", "damaged"])
def test_what_cannot_be_seen_does_not_count_as_nothing_found(project, name, how):
    groups = pd.DataFrame({"verdict": ["fail"], "sentence": ["precision by region is outside the tolerance"]})
    given = {"alternatives": pd.DataFrame({"verdict": ["better"]}), "group_verdicts": groups, "verdicts": VERDICTS}
    assert judged(project, **{"07_evaluate": given}).verdict == "APPROVE WITH CONDITIONS"
    folder = project / "runs" / "toy-1"
    if how == "lacking":
        judged(project, **{"07_evaluate": given | {name: LACKING}})
    else:
        key = read_scraps(folder / "07_evaluate.ipynb")[name]["value"]["key"]
        (folder / "artifacts" / key).unlink() if how == "gone" else (folder / "artifacts" / key).write_bytes(b"x")
    o = read_overview(folder)
    assert (o.verdict, o.conditions) == ("NOT DECIDED", [])
    assert f"07_evaluate.{name} is lacking or damaged: run that stage again." in o.reasons


def test_gates_that_are_not_handed_over_are_no_run_that_did_not_come_to_them(project):
    o = judged(project, gates=LACKING)
    assert (o.verdict, o.reasons) == (
        "NOT DECIDED", ["09_register.gates is lacking or damaged: run that stage again."]
    )  # fmt: skip


def test_what_certainly_costs_less_rejects_also_where_other_evidence_is_lacking(project):
    cost = {"alternative": "rule", "verdict": "worse", "cost_per_row": 1.0, "model": 2.0, "low": -1.5, "high": -0.5}
    costs = pd.DataFrame([cost])
    given = {"verdicts": VERDICTS, "alternatives": costs.set_index("alternative"), "group_verdicts": LACKING}
    o = judged(project, **{"07_evaluate": given})
    assert o.verdict == "REJECT"
    assert o.reasons[0].startswith("Cost: rule is cheaper than the model")
