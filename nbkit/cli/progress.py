"""Live progress of a run: lines that a person likes to watch, plain lines where there is no terminal."""

import contextlib
import shlex
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nbkit import errors
from nbkit.record import Listener, RunRecord, StageRecord

MARKS = {"passed": ("✓", "green"), "refused": ("■", "yellow"), "failed": ("✗", "red"), "interrupted": ("◼", "yellow")}
TOLD = ("refused", "cell_timeout", "stage_timeout", "interrupted", "terminated")  # the message says all


@contextlib.contextmanager
def watch_progress(*, quiet_stdout: bool = False) -> Iterator["Progress"]:
    """Yield a listener for `execute_plan`; with `quiet_stdout` everything goes to stderr."""
    from rich.console import Console

    console = Console(stderr=quiet_stdout, highlight=False, markup=False, soft_wrap=True)
    progress = Progress(console)
    try:
        yield progress
    finally:
        progress.close()


class Progress(Listener):
    """Prints one line a finished stage, and while one runs, a line that moves; a run goes on if nobody listens."""

    def __init__(self, console: Any) -> None:
        self.console = console
        self.status: Any = None
        self.lines: dict[str, str] = {}  # of the stages at work
        self.places: dict[str, str] = {}  # which of how many each stage is
        self.begun: dict[str, float] = {}
        self.told: set[str] = set()  # whose end has been said
        self.started = time.monotonic()
        self.shown = 0.0
        self.heard = True
        self.prepare: Callable[[], object] = lambda: None  # called when a stage starts, while there is time

    def print(self, text: str, **style: Any) -> None:
        """Print, unless nobody listens any more: after `| head -1`, or in a terminal that was closed."""
        if self.heard:
            try:
                self.console.print(text, **style)
            except (OSError, SystemExit):
                self.heard = False

    def _hang(self, head: str, text: str, before: int = 0) -> str:
        """Wrap a text at its words, under its own beginning; as it is where nobody watches a terminal."""
        room = self.console.width - before - len(head)
        if not self.console.is_terminal or room < 20:
            return head + text
        lines = [line for part in text.splitlines() for line in textwrap.wrap(part, room, break_on_hyphens=False)]
        return head + f"\n{' ' * (before + len(head))}".join(lines)

    def close(self) -> None:
        """Take the moving line away."""
        if self.status:
            self.status.stop()
            self.status = None

    def on_run_start(self, folder: Path, record: RunRecord) -> None:
        """Describe where it goes."""
        self.places = {each.stage: f"{place} of {len(record.stages)}" for place, each in enumerate(record.stages, 1)}
        self.print(f"{record.project} → {_show(folder)}", style="bold")

    def on_stage_taken(self, stage: StageRecord, why: str) -> None:
        """Describe why it need not run."""
        said = f": {stage.headline}" if stage.headline else ""
        self.print(self._hang(f"· {stage.stage:<12} ", f"{why}{said}"), style="dim")

    def on_stage_wait(self, stage: str) -> None:
        """Describe what is waited for."""
        self.print(f"  {stage:<12} waits for another run, which computes the same just now", style="dim")

    def on_edit_kept(self, stage: str, path: Path) -> None:
        """Describe where the edit is."""
        words = (
            f"the run's copy of {stage} was edited after it ran; that is kept as {_show(path)}, what runs is the stage"
        )
        self.print(f"  {words}", style="yellow")

    def on_not_stored(self, why: str) -> None:
        """Describe why."""
        self.print(f"  the run cannot be copied, and goes on here: {why}", style="yellow")

    def on_stage_start(self, stage: str, attempt: int) -> None:
        """Begin the moving line."""
        self.prepare()
        again = f" (attempt {attempt})" if attempt > 1 else ""
        self.begun[stage] = time.monotonic()
        self.lines[stage] = f"{stage}{again}  starting its kernel"
        if self.console.is_terminal:
            self._show_status()
        elif attempt > 1:
            self.print(f"  {stage}{again}")

    def on_cell(self, stage: str, number: int, total: int) -> None:
        """Let the moving line say where it is."""
        self.lines[stage] = f"{stage}  cell {number} of {total}"
        self.on_step()

    def on_step(self) -> None:
        """Let the moving line tell the time."""
        if self.status and time.monotonic() - self.shown > 0.5:
            self._show_status()

    def _show_status(self) -> None:
        """Let the moving line tell what is at work."""
        self.shown = time.monotonic()
        words = " · ".join(
            f"{f'{self.places[stage]}: ' if stage in self.places else ''}{line}  {self.shown - self.begun[stage]:.0f} s"
            for stage, line in self.lines.items()
        )
        if self.status is None:
            self.status = self.console.status(words, spinner="dots")
            self.status.start()
        self.status.update(words)

    def on_stage_end(self, stage: StageRecord, folder: Path) -> None:
        """Describe how it went."""
        self.close()
        self.lines.pop(stage.stage, None)
        mark, colour = MARKS.get(stage.status, ("?", "red"))
        self.told.add(stage.stage)
        self.print(f"{mark} ", style=colour, end="")
        head = f"{stage.stage:<12} {stage.seconds or 0:6.1f} s  "
        self.print(self._hang(head, stage.headline or stage.message, before=2))
        if self.lines and self.console.is_terminal:
            self._show_status()

    def on_run_end(self, folder: Path, record: RunRecord) -> None:
        """Explain what stopped it, if anything did."""
        self.close()
        if record.not_stored:
            self.print(f"not all of the run is stored: {record.not_stored}", style="bold")
            self.print(f"  nbkit resume {shlex.quote(folder.name)}    # copies what is lacking")
        if record.stopped:
            self._explain(record.stopped, folder)

    def _explain(self, stage: StageRecord, folder: Path) -> None:
        """Show the cell, the error, the last lines of output, and what to do next."""
        name = stage.stage
        where = f"{name}, code cell {stage.cell}" if stage.cell else name
        said = "" if name in self.told else f": {stage.message}"
        self.print(f"\n{stage.status} at {where}{said}", style="bold")
        traceback = "" if _is_whole(stage) else stage.traceback
        for title, text in (("the cell", stage.source), ("its last output", stage.tail), ("the error", traceback)):
            if text:
                self.print(f"--- {title}", style="dim")
                self.print("\n".join(text.splitlines()[-25:]))
        log = folder / "logs" / f"{name}.log"
        if log.is_file() and log.stat().st_size:
            self.print(f"--- the kernel's log: {_show(log)}", style="dim")
        notebook = folder / f"{name}.ipynb"
        source = stage.notebook or notebook.name
        self.print("\nNext:")
        if notebook.is_file():
            run = shlex.quote(folder.name)
            self.print(f"  nbkit lab --failed --run {run}    # at that cell of {source}, those above it executed")
        once = (
            "what it names is settled"
            if stage.status == "refused"
            else f"{source}, its params or its data are corrected"
        )
        once = "you like" if stage.status == "interrupted" else once
        self.print(f"  nbkit resume {shlex.quote(folder.name)}    # go on from {name} once {once}")

    def on_report(self, page: Path | None, record: RunRecord) -> None:
        """Describe where the report is, and how the run went."""
        report = f", report: {_show(page)}" if page else ""
        self.print(f"{record.status} in {time.monotonic() - self.started:.0f} s{report}", style="bold")


def _is_whole(stage: StageRecord) -> bool:
    """Return whether the message leaves nothing for a traceback to say: it is of nbkit's own family, or of its run."""
    own = getattr(errors, stage.message.partition(":")[0], None)
    return stage.kind in TOLD or (isinstance(own, type) and issubclass(own, errors.NbkitError))


def _show(path: Path) -> str:
    """Return a path as short as it can be said from here."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
