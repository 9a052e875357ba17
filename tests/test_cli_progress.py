"""What a person at a terminal sees while a run is at work."""

import contextlib
import io

import pytest
from rich.console import Console

from nbkit.cli.progress import Progress, watch_progress


@pytest.fixture
def screen():
    return io.StringIO()


@pytest.fixture
def progress(screen):
    shown = Progress(
        Console(file=screen, force_terminal=True, width=100, highlight=False, markup=False, soft_wrap=True)
    )
    yield shown
    shown.close()


def test_a_moving_line_says_the_stage_the_cell_and_the_time(progress, screen, tmp_path):
    progress.tell("run_start", {"folder": tmp_path, "manifest": {"project": "toy"}})
    progress.tell("stage_start", {"stage": "06_train", "attempt": 1, "title": "Train"})
    assert progress.status is not None
    progress.tell("cell", {"stage": "06_train", "number": 3, "total": 9})
    assert progress.lines == {"06_train": "06_train  cell 3 of 9"}
    progress.shown = 0.0
    progress.tell("step", {"stage": "06_train"})
    assert "06_train  cell 3 of 9" in str(progress.status.renderable.text)
    entry = {"status": "passed", "seconds": 12.34, "headline": "Trees [bold]win[/bold]."}
    progress.tell("stage_end", {"stage": "06_train", "entry": entry, "folder": tmp_path})
    assert progress.status is None
    assert "✓ " in screen.getvalue()
    assert "06_train" in screen.getvalue()
    assert "12.3 s  Trees [bold]win[/bold]." in screen.getvalue()


def test_a_second_attempt_is_told(progress, screen):
    progress.tell("stage_start", {"stage": "06_train", "attempt": 2, "title": "Train"})
    assert progress.lines == {"06_train": "06_train (attempt 2)  starting its kernel"}


def test_stages_at_work_side_by_side_share_the_line(progress, tmp_path):
    for stage in ("04_explore", "05_features"):
        progress.tell("stage_start", {"stage": stage, "attempt": 1, "title": ""})
    shown = str(progress.status.renderable.text)
    assert "04_explore  starting its kernel  0 s · 05_features  starting its kernel  0 s" in shown
    entry = {"status": "passed", "seconds": 1.0, "headline": "Done."}
    progress.tell("stage_end", {"stage": "04_explore", "entry": entry, "folder": tmp_path})
    assert "04_explore" not in str(progress.status.renderable.text)


def test_without_a_terminal_no_line_moves(screen):
    progress = Progress(Console(file=screen, force_terminal=False, width=100))
    for event, facts in (
        ("stage_start", {"stage": "06_train", "attempt": 1, "title": ""}),
        ("cell", {"stage": "06_train", "number": 1, "total": 2}),
        ("step", {"stage": "06_train"}),
    ):
        progress.tell(event, facts)
    assert screen.getvalue() == ""
    progress.tell("stage_start", {"stage": "06_train", "attempt": 2, "title": ""})
    assert screen.getvalue() == "  06_train (attempt 2)\n"


def test_what_it_does_not_know_is_passed_over(progress, screen):
    progress.tell("news", {"of": "tomorrow"})
    assert screen.getvalue() == ""


def test_a_status_it_does_not_know_is_shown(progress, screen, tmp_path):
    progress.tell("stage_end", {"stage": "06_train", "entry": {"status": "odd"}, "folder": tmp_path})
    assert "? " in screen.getvalue()


def test_the_moving_line_goes_also_after_an_error():
    with contextlib.suppress(KeyboardInterrupt), watch_progress() as tell:
        tell("stage_start", {"stage": "06_train", "attempt": 1, "title": ""})
        raise KeyboardInterrupt
    assert tell.__self__.status is None
