"""How a stage ended, judged from its cells, its kernel and the watch rather than from papermill's metadata."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace
from nbclient.exceptions import DeadKernelError

from nbkit import errors
from nbkit.pipeline.kernel import StageKernel
from nbkit.pipeline.task import Task
from nbkit.pipeline.watch import GIGABYTE, Watch, available_memory
from nbkit.record import StageRecord, Status

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
LATE = 6  # code cells before the end, of which each says that the stage will be over soon
TAIL = 12  # lines of output kept with a failure
LONGEST = 8000  # characters kept of a message, of those lines, of a traceback
NO_MEMORY = 0.85  # share of the machine's memory from which a kernel that was killed is taken to have had too much
REFUSALS = {"Refusal", *(each.__name__ for each in errors.Refusal.__subclasses__())}
STATUSES: dict[str, Status] = {"refused": "refused", "interrupted": "interrupted", "terminated": "interrupted"}
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


class CellLeft(Exception):
    """A cell called for the end of its kernel."""


class CellLate(Exception):
    """A cell took too long, and went on after it was interrupted."""


class Job:
    """One execution of one notebook, as the engine sees it.

    Attributes
    ----------
    task, kernel, on_late
        As for `nbkit.pipeline.engine.execute_stage`.
    watch
        What ends the kernel if need be.
    trouble
        What went wrong beside the cells.
    """

    def __init__(self, task: Task, kernel: StageKernel, on_late: Callable[[], None]) -> None:
        self.task, self.kernel, self.on_late = task, kernel, on_late
        self.watch = Watch(task, kernel)
        self.trouble: BaseException | None = None
        self._began = False

    def begin_cell(self, index: int, codes: list[int]) -> None:
        """Take note that a cell begins.

        Raises
        ------
        CellLate
            If the time was over already.
        """
        self._began = True
        if self.watch.begin_cell(index):
            raise CellLate
        if index in codes:
            number = codes.index(index) + 1
            self.task.on_cell(number, len(codes))
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

    def describe_trouble(self) -> tuple[str, str]:
        """Return what went wrong beside the cells, as a key of `SENTENCES` and in a sentence."""
        kind = self.name_trouble()
        return kind, self.describe(kind, type(self.trouble).__name__, str(self.trouble))

    def name_trouble(self) -> str:
        """Return what went wrong beside the cells as a key of `SENTENCES`."""
        if self.watch.verdict:
            return self.watch.verdict
        if isinstance(self.trouble, CellLeft):
            return "exit"
        if isinstance(self.trouble, DeadKernelError):
            return "out_of_memory" if self.watch.peak > NO_MEMORY * available_memory() else "dead_kernel"
        return "kernel_start" if isinstance(self.trouble, RuntimeError) and not self._began else "system"

    def describe(self, kind: str, ename: str, evalue: str) -> str:
        """Return the sentence of a kind of end."""
        limits = self.task.limits
        limit = limits["memory_gb"]
        allowed = f"more than its memory_gb of {limit:g}" if limit else f"of {available_memory() / GIGABYTE:.1f} GB"
        peak = self.watch.peak / GIGABYTE
        return SENTENCES[kind].format(ename=ename, evalue=evalue, peak=peak, allowed=allowed, **limits)


def must_run(cell: Any) -> bool:
    """Return whether a cell is code that is executed."""
    skipped = "skip-execution" in cell.metadata.get("tags", [])
    return cell.cell_type == "code" and bool(cell.source.strip()) and not skipped


def judge(executed: Any, job: Job) -> StageRecord:
    """Return the stage's record with how it ended, from what the cells show rather than from papermill's metadata."""
    record = job.task.record
    if executed is None:
        kind, text = job.describe_trouble()
        return replace(record, status=STATUSES.get(kind, "failed"), kind=kind, message=text)
    cells = list(_number([cell for cell in executed.cells if must_run(cell)]))
    for number, cell in cells:
        for output in cell.outputs:
            if output.output_type == "error":
                return _describe_error(cell, output, number, job)
    for number, cell in cells:
        if cell.execution_count is None:
            facts = {"kind": "unfinished", "message": SENTENCES["unfinished"], "cell": number, "source": cell.source}
            return replace(record, status="failed", **facts)
    return replace(record, status="passed")


def _number(cells: list[Any]) -> Iterator[tuple[int, Any]]:
    """Count code cells as in the source, where the one that papermill adds for the parameters is not."""
    number = 0
    for cell in cells:
        number += "injected-parameters" not in cell.metadata.get("tags", [])
        yield max(number, 1), cell


def _describe_error(cell: Any, output: Any, number: int, job: Job) -> StageRecord:
    ename, evalue = output.ename, ANSI.sub("", output.evalue)
    if job.trouble or job.watch.verdict:
        kind = job.name_trouble()
    else:
        kind = "refused" if ename in REFUSALS else KINDS.get(ename, "error")
    if job.trouble is None and kind == "exit":
        evalue = f"{ename}({evalue})"
    message = evalue if ename == kind else job.describe(kind, ename, evalue)  # said already
    streams = "".join("".join(each.text) for each in cell.outputs if each.output_type == "stream")
    return replace(
        job.task.record,
        status=STATUSES.get(kind, "failed"),
        kind=kind,
        message=message if len(message) <= LONGEST else f"{message[:LONGEST]}… ({len(message):,} characters in all)",
        cell=number,
        source=cell.source,
        tail="\n".join(ANSI.sub("", streams[-10 * LONGEST :]).splitlines()[-TAIL:])[-LONGEST // 4 :],
        traceback=ANSI.sub("", "\n".join(output.traceback))[-LONGEST:],
    )
