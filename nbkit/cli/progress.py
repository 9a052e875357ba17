"""Live progress of a run: lines that a person likes to watch, plain lines where there is no terminal."""

import contextlib
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nbkit import errors

MARKS = {"passed": ("✓", "green"), "refused": ("■", "yellow"), "failed": ("✗", "red"), "interrupted": ("◼", "yellow")}
TOLD = ("refused", "cell_timeout", "stage_timeout", "interrupted", "terminated")  # the message says all


@contextlib.contextmanager
def watch_progress(*, quiet_stdout: bool = False) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """Yield what `execute_plan` tells; with `quiet_stdout` everything goes to stderr."""
    from rich.console import Console

    console = Console(stderr=quiet_stdout, highlight=False, markup=False, soft_wrap=True)
    progress = Progress(console)
    try:
        yield progress.tell
    finally:
        progress.close()


class Progress:
    """Prints one line a finished stage, and while one runs, a line that moves."""

    def __init__(self, console: Any) -> None:
        self.console = console
        self.status: Any = None
        self.lines: dict[str, str] = {}  # of the stages at work
        self.begun: dict[str, float] = {}
        self.told: set[str] = set()  # whose end has been said
        self.started = time.monotonic()
        self.shown = 0.0

    def tell(self, event: str, facts: dict[str, Any]) -> None:
        """Take note of one event."""
        handler = getattr(self, f"_on_{event}", None)
        if handler:
            handler(**facts)

    def close(self) -> None:
        """Take the moving line away."""
        if self.status:
            self.status.stop()
            self.status = None

    def _on_run_start(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.console.print(f"{manifest['project']} → {_show(folder)}", style="bold")

    def _on_stage_kept(self, stage: str, entry: dict[str, Any], why: str) -> None:
        said = f": {entry['headline']}" if entry.get("headline") else ""
        self.console.print(f"· {stage:<12} {why}{said}", style="dim")

    def _on_stage_waits(self, stage: str) -> None:
        self.console.print(f"  {stage:<12} waits for another run, which computes the same just now", style="dim")

    def _on_edit_kept(self, stage: str, path: Path) -> None:
        words = (
            f"the run's copy of {stage} was edited after it ran; that is kept as {_show(path)}, what runs is the stage"
        )
        self.console.print(f"  {words}", style="yellow")

    def _on_not_stored(self, why: str) -> None:
        self.console.print(f"  the run cannot be copied, and goes on here: {why}", style="yellow")

    def _on_stage_start(self, stage: str, attempt: int, title: str) -> None:
        again = f" (attempt {attempt})" if attempt > 1 else ""
        self.begun[stage] = time.monotonic()
        self.lines[stage] = f"{stage}{again}  starting its kernel"
        if self.console.is_terminal:
            self._show_status()
        elif attempt > 1:
            self.console.print(f"  {stage}{again}")

    def _on_cell(self, stage: str, number: int, total: int) -> None:
        self.lines[stage] = f"{stage}  cell {number} of {total}"
        self._on_step(stage)

    def _on_step(self, stage: str) -> None:
        if self.status and time.monotonic() - self.shown > 0.5:
            self._show_status()

    def _show_status(self) -> None:
        """Let the moving line tell what is at work."""
        self.shown = time.monotonic()
        words = " · ".join(f"{line}  {self.shown - self.begun[stage]:.0f} s" for stage, line in self.lines.items())
        if self.status is None:
            self.status = self.console.status(words, spinner="dots")
            self.status.start()
        self.status.update(words)

    def _on_stage_end(self, stage: str, entry: dict[str, Any], folder: Path) -> None:
        self.close()
        self.lines.pop(stage, None)
        mark, colour = MARKS.get(entry["status"], ("?", "red"))
        said = entry.get("headline") or entry.get("message", "")
        self.told.add(stage)
        self.console.print(f"{mark} ", style=colour, end="")
        self.console.print(f"{stage:<12} {entry.get('seconds', 0):6.1f} s  {said}")
        if self.lines and self.console.is_terminal:
            self._show_status()

    def _on_run_end(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.close()
        if "not_stored" in manifest:
            self.console.print(f"not all of the run is stored: {manifest['not_stored']}", style="bold")
            self.console.print(f"  nbkit resume {shlex.quote(folder.name)}    # copies what is lacking")
        if manifest["status"] == "passed":
            return
        entry = next((each for each in manifest["stages"] if each["status"] not in ("passed", "pending")), None)
        if entry:
            self._explain(entry, folder)

    def _explain(self, entry: dict[str, Any], folder: Path) -> None:
        """Show the cell, the error, the last lines of output, and what to do next."""
        where = f"{entry['stage']}, code cell {entry['cell']}" if entry.get("cell") else entry["stage"]
        said = "" if entry["stage"] in self.told else f": {entry.get('message', '')}"
        self.console.print(f"\n{entry['status']} at {where}{said}", style="bold")
        for title, key in (("the cell", "source"), ("its last output", "tail"), ("the error", "traceback")):
            text = entry.get(key, "")
            if text and not (key == "traceback" and _says_all(entry)):
                self.console.print(f"--- {title}", style="dim")
                self.console.print("\n".join(text.splitlines()[-25:]))
        log = folder / "logs" / f"{entry['stage']}.log"
        if log.is_file() and log.stat().st_size:
            self.console.print(f"--- the kernel's log: {_show(log)}", style="dim")
        notebook = folder / f"{entry['stage']}.ipynb"
        source = entry.get("notebook", f"{entry['stage']}.ipynb")
        self.console.print("\nNext:")
        if notebook.is_file():
            words = f"look at it on its real inputs; a copy: what runs is {source}"
            self.console.print(f"  jupyter lab {shlex.quote(_show(notebook))}    # {words}")
        once = (
            "what it names is settled"
            if entry["status"] == "refused"
            else f"{source}, its params or its data are corrected"
        )
        once = "you like" if entry["status"] == "interrupted" else once
        self.console.print(f"  nbkit resume {shlex.quote(folder.name)}    # go on from {entry['stage']} once {once}")

    def _on_report(self, page: Path | None, folder: Path, manifest: dict[str, Any]) -> None:
        report = f", report: {_show(page)}" if page else ""
        self.console.print(f"{manifest['status']} in {time.monotonic() - self.started:.0f} s{report}", style="bold")


def _says_all(entry: dict[str, Any]) -> bool:
    """Tell whether the message leaves nothing for a traceback to say: it is of nbkit's own family, or of its run."""
    own = getattr(errors, str(entry.get("message", "")).partition(":")[0], None)
    return entry.get("kind") in TOLD or (isinstance(own, type) and issubclass(own, errors.NbkitError))


def _show(path: Path) -> str:
    """Return a path as short as it can be said from here."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
