"""How a stage ended, judged from its cells, its kernel and the watch rather than from papermill's metadata."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from nbclient.exceptions import DeadKernelError

from nbkit import errors
from nbkit.pipeline.kernel import StageKernel
from nbkit.pipeline.signals import name_kind
from nbkit.pipeline.watch import GIGABYTE, Watch, available_memory
from nbkit.scrub import Scrubber

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
LATE = 6  # code cells before the end, of which each says that the stage will be over soon
TAIL = 12  # lines of output kept with a failure
LONGEST = 8000  # characters kept of a message, of those lines, of a traceback
NO_MEMORY = 0.85  # share of the machine's memory from which a kernel that was killed is taken to have had too much
REFUSALS = {"Refusal", *(each.__name__ for each in errors.Refusal.__subclasses__())}
KINDS = {"SystemExit": "exit", "KeyboardInterrupt": "interrupted", "MemoryError": "out_of_memory"}
SENTENCES = {
    "error": "{ename}: {evalue}",
    "exit": "the cell ended its kernel with {evalue} before the notebook's end, so nothing after it ran",
    "dead_kernel": "the kernel was killed or crashed (peak memory {peak:.2f} GB); its log may say more",
    "out_of_memory": "the kernel ran out of memory: it held {peak:.2f} GB, {allowed}",
    "cell_timeout": "the cell took longer than its cell_timeout of {cell_timeout:g} s",
    "stage_timeout": "the stage took longer than its stage_timeout of {stage_timeout:g} s",
    "interrupted": "interrupted from the keyboard",
    "terminated": "the run was told to terminate",
    "refused": "{evalue}",
    "kernel_start": "the kernel did not start: {evalue}",
    "unfinished": "the notebook ended, but not every cell had run",
    "system": "{ename}: {evalue}",
}


@dataclass
class Outcome:
    """How a stage ended.

    Attributes
    ----------
    status
        ``"passed"``, ``"failed"``, ``"refused"`` (a gate or the contract said no) or ``"interrupted"``.
    kind
        Why it did not pass: a key of ``SENTENCES``; empty if it passed.
    message
        The same in a sentence.
    cell, source, tail, traceback
        The code cell (counted from 1), its source, its last lines of output and the traceback, where there is one.
    seconds, peak_gb
        How long it took, and the most memory that its kernel was seen to hold.
    headline
        What it handed over as ``headline``.
    code
        The digest of the code that was executed; empty if it has not passed.
    """

    status: str = "passed"
    kind: str = ""
    message: str = ""
    cell: int = 0
    source: str = ""
    tail: str = ""
    traceback: str = ""
    seconds: float = 0.0
    peak_gb: float = 0.0
    headline: str = ""
    code: str = ""


class CellLeft(Exception):
    """A cell called for the end of its kernel."""


class CellLate(Exception):
    """A cell took too long, and went on after it was interrupted."""


@dataclass
class Job:
    """One execution of one notebook: what the engine is told and what it saw."""

    stage: str
    limits: dict[str, Any]
    kernel: StageKernel
    on_cell: Callable[[int, int], None]
    on_late: Callable[[], None]
    on_step: Callable[[], None]
    scrubber: Scrubber
    watch: Watch = field(init=False)
    trouble: BaseException | None = None
    began: bool = False

    def __post_init__(self) -> None:
        limits = {name: self.limits[name] for name in ("cell_timeout", "stage_timeout", "memory_gb")}
        self.watch = Watch(**limits, on_step=self.on_step)

    def begin_cell(self, pid: int, index: int, codes: list[int]) -> None:
        """Take note that a cell begins in the kernel of this process id.

        Raises
        ------
        CellLate
            If the time was over already.
        """
        self.began = True
        if self.watch.begin_cell(pid, index):
            raise CellLate
        if index in codes:
            number = codes.index(index) + 1
            self.on_cell(number, len(codes))
            if number > len(codes) - LATE:
                self.on_late()

    def end_cell(self, reply: dict[str, Any]) -> None:
        """Take note that a cell has ended, from the kernel's reply.

        Raises
        ------
        CellLate, CellLeft
            If the cell overran its time, or called for the end of its kernel, and made no error of it.
        """
        late = self.watch.end_cell()
        if reply["status"] == "ok":
            if late:
                raise CellLate
            if any(each.get("source") == "ask_exit" for each in reply.get("payload", ())):
                raise CellLeft("exit()")

    def note_trouble(self, trouble: BaseException) -> None:
        """Keep what went wrong; a kernel that was not killed has left by itself."""
        code = self.kernel.exit_code
        left = isinstance(trouble, DeadKernelError) and code is not None and code >= 0
        self.trouble = CellLeft(f"exit code {code}") if left else trouble


def must_run(cell: Any) -> bool:
    """Tell whether a cell is code that is executed."""
    skipped = "skip-execution" in cell.metadata.get("tags", [])
    return cell.cell_type == "code" and bool(cell.source.strip()) and not skipped


def describe_trouble(job: Job) -> tuple[str, str]:
    """Return what went wrong beside the cells, as a key of `SENTENCES` and in a sentence."""
    kind = _name_trouble(job)
    return kind, SENTENCES[kind].format(**_facts(job, type(job.trouble).__name__, str(job.trouble)))


def _name_trouble(job: Job) -> str:
    trouble = job.trouble
    if job.watch.verdict:
        return job.watch.verdict
    if isinstance(trouble, KeyboardInterrupt):
        return name_kind(trouble)
    if isinstance(trouble, CellLeft):
        return "exit"
    if isinstance(trouble, DeadKernelError):
        return "out_of_memory" if job.watch.peak > NO_MEMORY * available_memory() else "dead_kernel"
    if isinstance(trouble, RuntimeError) and not job.began:
        return "kernel_start"
    return "system"


def _facts(job: Job, ename: str, evalue: str) -> dict[str, Any]:
    limit = job.limits["memory_gb"]
    allowed = f"more than its memory_gb of {limit:g}" if limit else f"of {available_memory() / GIGABYTE:.1f} GB"
    return {"ename": ename, "evalue": evalue, "peak": job.watch.peak / GIGABYTE, "allowed": allowed, **job.limits}


def judge(executed: Any, job: Job) -> Outcome:
    """Say how the stage ended, from what the cells show rather than from papermill's metadata."""
    if executed is None:
        kind, text = describe_trouble(job)
        return Outcome("interrupted" if kind in ("interrupted", "terminated") else "failed", kind, text)
    cells = list(_number([cell for cell in executed.cells if must_run(cell)]))
    for number, cell in cells:
        for output in cell.outputs:
            if output.output_type == "error":
                return _describe_error(cell, output, number, job)
    for number, cell in cells:
        if cell.execution_count is None:
            return Outcome("failed", "unfinished", SENTENCES["unfinished"], number, cell.source)
    return Outcome()


def _number(cells: list[Any]) -> Iterator[tuple[int, Any]]:
    """Count code cells as in the source, where the one that papermill adds for the parameters is not."""
    number = 0
    for cell in cells:
        number += "injected-parameters" not in cell.metadata.get("tags", [])
        yield max(number, 1), cell


def _describe_error(cell: Any, output: Any, number: int, job: Job) -> Outcome:
    ename, evalue = output.ename, ANSI.sub("", output.evalue)
    if job.trouble or job.watch.verdict:
        kind = _name_trouble(job)
    else:
        kind = "refused" if ename in REFUSALS else KINDS.get(ename, "error")
    if job.trouble is None and kind == "exit":
        evalue = f"{ename}({evalue})"
    message = evalue if ename == kind else SENTENCES[kind].format(**_facts(job, ename, evalue))  # said already
    status = {"refused": "refused", "interrupted": "interrupted", "terminated": "interrupted"}.get(kind, "failed")
    streams = "".join("".join(each.text) for each in cell.outputs if each.output_type == "stream")
    tail = "\n".join(ANSI.sub("", streams[-10 * LONGEST :]).splitlines()[-TAIL:])[-LONGEST // 4 :]
    traceback = ANSI.sub("", "\n".join(output.traceback))
    message = message if len(message) <= LONGEST else f"{message[:LONGEST]}… ({len(message):,} characters in all)"
    return Outcome(status, kind, message, number, cell.source, tail, traceback[-LONGEST:])
