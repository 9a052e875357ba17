"""What cannot make sense is refused before a kernel starts."""

import pytest

from nbkit.errors import BadParameter
from nbkit.stages.preflight import check_sense

STAGES = ["01_frame", "02_ingest", "03_validate", "05_features", "06_train"]
GOOD = {
    "01_frame": {
        "task": "binary",
        "metrics": ["roc_auc"],
        "criteria": {"roc_auc": "> rule", "rate_ratio": ">= 0.8"},
        "costs": {"false_positive": 1},
    },
    "02_ingest": {"split": {"by": "time", "valid": 0.2, "windows": "month"}, "time": "at"},
    "05_features": {"lead": "2h", "features": {"numeric": "auto", "categorical": ["a"]}},
    "06_train": {"task": "binary", "metric": "brier"},
}


def test_what_makes_sense_passes(project):
    check_sense(GOOD, STAGES, project)
    check_sense({"01_other": {"x": 1}}, ["01_other"], project)


@pytest.mark.parametrize(
    ("stage", "change", "words"),
    [
        ("06_train", {"metric": "auc"}, r"06_train\.metric: no metric 'auc' for binary; did you mean 'roc_auc'"),
        ("06_train", {"task": "regression"}, r"06_train\.metric: 'brier' scores binary and multiclass, not regression"),
        ("01_frame", {"metrics": ["roc_acu"]}, r"01_frame\.metrics: no metric 'roc_acu'"),
        ("01_frame", {"criteria": {"roc_acu": ">= 0.6"}}, r"01_frame\.criteria: .*'roc_acu'"),
        ("01_frame", {"criteria": {"roc_auc": "good"}}, r"01_frame\.criteria: "),
        ("01_frame", {"costs": {"false_positve": 1}}, r"01_frame\.costs: .*did you mean 'false_positive'"),
        ("02_ingest", {"split": {"by": "tiem"}}, r"02_ingest\.split: split by 'tiem' is unknown; did you mean 'time'"),
        ("02_ingest", {"split": {"by": "random", "vaild": 0.2}}, r"02_ingest\.split: .*'vaild'; did you mean 'valid'"),
        ("02_ingest", {"split": {"valid": 0.9, "test": 0.9}}, r"02_ingest\.split: shares must"),
        ("02_ingest", {"split": {"windows": "year"}}, r"02_ingest\.split: windows 'year': choose one of month"),
        ("02_ingest", {"split": {"windows": ["month"]}}, r"02_ingest\.split: windows \['month'\]: choose one of month"),
        ("02_ingest", {"split": {"by": "group"}}, r"02_ingest\.split: a split by group needs the group column"),
        ("05_features", {"features": {"numerc": ["a"]}}, r"05_features\.features: .*did you mean 'numeric'"),
        ("05_features", {"features": {"numeric": "a"}}, r"05_features\.features: numeric must be a list or auto"),
        ("03_validate", {"contract": "params/none.yaml"}, r"03_validate\.contract: .*none\.yaml"),
        ("05_features", {"lead": "soon"}, r"05_features\.lead: "),
    ],
)
def test_what_cannot_is_refused_with_its_name(project, stage, change, words):
    wrong = {**GOOD, stage: {**GOOD.get(stage, {}), **change}}
    with pytest.raises(BadParameter, match=words):
        check_sense(wrong, STAGES, project)
    check_sense(wrong, [each for each in STAGES if each != stage], project)  # only what will run is looked at
