"""The names of stages and of what they hand over: one table, held against the notebooks."""

import ast
import re
from pathlib import Path

import pytest

from nbkit.lifecycle import COLUMNS, EVIDENCE, SCRAPS
from nbkit.stages.notebooks import read_stages

ROOT = Path(__file__).parents[1]
STAGES = read_stages(ROOT / "notebooks")
NAME = re.compile(r"(0[1-9]|1[01])_[a-z]+")


@pytest.mark.parametrize("stage", SCRAPS)
def test_the_notebooks_hand_over_what_the_library_reads_of_them(stage):
    assert set(SCRAPS[stage]) <= set(STAGES[stage].saves)


@pytest.mark.parametrize("stage", COLUMNS)
def test_the_notebooks_have_the_parameters_that_name_columns(stage):
    assert set(COLUMNS[stage]) <= set(STAGES[stage].parameters)


def test_no_other_module_spells_a_stages_name():
    found = []
    for path in (ROOT / "nbkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
                found.append(f"{path.name}: {node.value}")
    assert {each.partition(":")[0] for each in found} == {"lifecycle.py"}


def test_what_a_verdict_rests_on_is_among_what_is_read():
    assert all(set(names) <= set(SCRAPS[stage]) for stage, names in EVIDENCE.items())
