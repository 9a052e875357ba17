"""What a person at a terminal sees while a run is at work."""

import contextlib
import io
import re

import pytest
from rich.console import Console

from nbkit.cli.progress import Progress, watch_progress
from nbkit.record import RunRecord, StageRecord


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
    progress.on_run_start(tmp_path, RunRecord(project="toy"))
    progress.on_stage_start("06_train", 1)
    assert progress.status is not None
    progress.on_cell("06_train", 3, 9)
    assert progress.lines == {"06_train": "06_train  cell 3 of 9"}
    progress.shown = 0.0
    progress.on_step()
    assert "06_train  cell 3 of 9" in str(progress.status.renderable.text)
    progress.on_stage_end(
        StageRecord("06_train", "passed", seconds=12.34, headline="Trees [bold]win[/bold]."), tmp_path
    )
    assert progress.status is None
    assert "✓ " in screen.getvalue()
    assert "06_train" in screen.getvalue()
    assert "12.3 s  Trees [bold]win[/bold]." in screen.getvalue()


def test_a_second_attempt_is_told(progress, screen):
    progress.on_stage_start("06_train", 2)
    assert progress.lines == {"06_train": "06_train (attempt 2)  starting its kernel"}


def test_stages_at_work_side_by_side_share_the_line(progress, tmp_path):
    for stage in ("04_explore", "05_features"):
        progress.on_stage_start(stage, 1)
    shown = str(progress.status.renderable.text)
    assert "04_explore  starting its kernel  0 s · 05_features  starting its kernel  0 s" in shown
    progress.on_stage_end(StageRecord("04_explore", "passed", seconds=1.0, headline="Done."), tmp_path)
    assert "04_explore" not in str(progress.status.renderable.text)


def test_without_a_terminal_no_line_moves(screen):
    progress = Progress(Console(file=screen, force_terminal=False, width=100))
    progress.on_stage_start("06_train", 1)
    progress.on_cell("06_train", 1, 2)
    progress.on_step()
    assert screen.getvalue() == ""
    progress.on_stage_start("06_train", 2)
    assert screen.getvalue() == "  06_train (attempt 2)\n"


def test_who_does_not_listen_any_more_is_told_nothing(progress, tmp_path, monkeypatch):
    def fail(*words, **style):
        raise BrokenPipeError

    monkeypatch.setattr(progress.console, "print", fail)
    progress.on_run_start(tmp_path, RunRecord(project="toy"))
    assert not progress.heard


def test_the_moving_line_goes_also_after_an_error():
    with contextlib.suppress(KeyboardInterrupt), watch_progress() as progress:
        progress.on_stage_start("06_train", 1)
        raise KeyboardInterrupt
    assert progress.status is None


def test_a_long_headline_is_wrapped_at_words_under_its_own_beginning(progress, screen, tmp_path):
    words = " ".join(f"word{number}" for number in range(40))
    progress.on_stage_end(StageRecord("06_train", "passed", seconds=1.0, headline=words), tmp_path)
    first, *others = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).rstrip().splitlines()
    assert len(others) >= 2
    assert all(len(line) <= 100 for line in (first, *others))
    head = first.index("word0")
    assert all(line.index("word") == head for line in others)
    assert " ".join([first[head:], *(line.strip() for line in others)]) == words


def test_the_moving_line_counts_the_stages(progress, tmp_path):
    stages = [StageRecord("05_features", "passed"), StageRecord("06_train", "pending")]
    progress.on_run_start(tmp_path, RunRecord(project="toy", stages=stages))
    progress.on_stage_start("06_train", 1)
    assert str(progress.status.renderable.text).startswith("2 of 2: 06_train  starting its kernel")
