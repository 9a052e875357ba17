"""What nbkit knows of the lifecycle's stages by name: what it reads of what they hand over, and which parameters.

A project may replace each of these notebooks. What is not handed over is said by `nbkit check` and on the front page.
"""

import re

FRAME, INGEST, VALIDATE, FEATURES = "01_frame", "02_ingest", "03_validate", "05_features"
TRAIN, EVALUATE, EXPLAIN, REGISTER = "06_train", "07_evaluate", "08_explain", "09_register"
DEPLOY, MONITOR = "10_deploy", "11_monitor"
STAGE_NAME = re.compile(r"\d\d[a-z]?_\w+")  # as 06_train, or 06b_more between it and 07
HOME, DESK = "00_desk", "desk"  # the page that the desk opens on, and the cadence of such pages: they are no stages

SCRAPS = {  # stage to what the report, sweeps and the command line read of it, beside the other notebooks
    FRAME: ("problem", "criteria", "objective", "decision", "owner", "costs", "currency", "card", "protected",
            "hypotheses"),
    INGEST: ("version", "test", "order", "sources", "ingest", "splits", "exclusions"),
    VALIDATE: ("contract", "violations"),
    FEATURES: ("valid", "catalogue", "refused"),
    TRAIN: ("headline", "model"),
    EVALUATE: ("headline", "answer", "verdicts", "alternatives", "scores", "threshold", "calibration", "outside",
               "error_tree", "slices", "worst", "group_verdicts", "remedies"),
    EXPLAIN: ("importance", "drivers", "permuted", "firmness", "check"),
    REGISTER: ("version", "digest", "gates", "files", "algorithm"),
    DEPLOY: ("headline", "required"),
    MONITOR: ("version", "digest", "window", "decision", "headline", "reasons"),
}  # fmt: skip
EVIDENCE = {EVALUATE: ("verdicts", "alternatives", "group_verdicts"), REGISTER: ("gates",)}  # what a verdict rests on
COLUMNS = {  # stage to its parameters that name columns
    FRAME: ("target", "time", "group", "keys", "rule", "protected"),
    FEATURES: ("numeric", "categorical", "datetime", "target_encoded", "drop"),
    EVALUATE: ("slice_by",),
}
