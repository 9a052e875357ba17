"""Executes one notebook with papermill and says truthfully what happened and where."""

import contextlib
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbclient.client
import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines

from nbkit import errors
from nbkit.pipeline.kernel import NAME, StageKernel
from nbkit.pipeline.signals import name_kind
from nbkit.pipeline.watch import GIGABYTE, Watch, available_memory
from nbkit.run import find_scraps
from nbkit.stages.notebooks import digest_code_of
from nbkit.store import write_atomic

# nbclient's own is quadratic in the length of a line and holds the interpreter meanwhile: 100 kB took 15 s, and no
# time-out and no Ctrl-C could end it
nbclient.client._RGX_CARRIAGERETURN = re.compile(r"^.*\r(?=[^\n])", re.MULTILINE)

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
SAVE_EVERY = 5.0  # seconds between two writes of a notebook that is being executed
LATE = 6  # code cells before the end, of which each says that the stage will be over soon
TAIL = 12  # lines of output kept with a failure
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
    watch: Watch = field(init=False)
    trouble: BaseException | None = None
    began: bool = False

    def __post_init__(self) -> None:
        limits = {name: self.limits[name] for name in ("cell_timeout", "stage_timeout", "memory_gb")}
        self.watch = Watch(**limits, on_step=self.on_step)


class TruthfulEngine(NBClientEngine):  # type: ignore[misc]
    """papermill's own engine, except that the cell in which it ends badly is always marked as failed."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
        """Execute, and never raise: what went wrong is kept in the job."""
        job: Job = options["job"]
        codes = [index for index, cell in enumerate(nb_man.nb.cells) if _must_run(cell)]

        def begin(cell: Any, cell_index: int) -> None:
            job.began = True
            if job.watch.begin_cell(client.km.provisioner.pid, cell_index):
                raise CellLate
            if cell_index in codes:
                number = codes.index(cell_index) + 1
                job.on_cell(number, len(codes))
                if number > len(codes) - LATE:
                    job.on_late()

        def end(cell: Any, cell_index: int, execute_reply: dict[str, Any]) -> None:
            late = job.watch.end_cell()
            reply = execute_reply["content"]
            if reply["status"] == "ok":
                if late:
                    raise CellLate
                if any(each.get("source") == "ask_exit" for each in reply.get("payload", ())):
                    raise CellLeft("exit()")

        client = PapermillNotebookClient(
            nb_man,
            kernel_name=kernel_name,
            startup_timeout=120,
            iopub_timeout=300,
            timeout=None,
            coalesce_streams=True,
            store_widget_state=False,
            on_cell_execute=begin,
            on_cell_executed=end,
            log=logging.getLogger("nbkit.engine"),
        )
        save = nb_man.save
        nb_man.save = _save_seldom(save)
        job.watch.start()
        try:
            client.km = job.kernel.take()
            client.execute()
        except (Exception, KeyboardInterrupt) as trouble:
            job.trouble = trouble
            code = job.kernel.exit_code
            if isinstance(trouble, DeadKernelError) and code is not None and code >= 0:
                job.trouble = CellLeft(f"exit code {code}")
        finally:
            job.watch.stop()
            nb_man.save = save
            _mark_failure(nb_man, job, codes)


def execute_stage(
    source: Path,
    target: Path,
    parameters: dict[str, Any],
    limits: dict[str, Any],
    kernel: StageKernel,
    *,
    on_cell: Callable[[int, int], None] = lambda number, total: None,
    on_late: Callable[[], None] = lambda: None,
    on_step: Callable[[], None] = lambda: None,
    secrets: tuple[str, ...] = (),
) -> Outcome:
    """Execute a stage notebook in a fresh kernel.

    Parameters
    ----------
    source
        The stage notebook; never written to.
    target
        Where the executed notebook goes, whole and at once, when the kernel has ended, however it ended.
    parameters
        Given to papermill.
    limits
        ``cell_timeout``, ``stage_timeout`` (seconds) and ``memory_gb``; 0 is no limit.
    kernel
        Started or not.
    on_cell
        Called with the number of the code cell that starts and how many there are.
    on_late
        Called in the event loop when one of the last cells starts.
    on_step
        Called a few times a second, from another thread.
    secrets
        Texts that are replaced by ``***`` in everything that is kept.

    Returns
    -------
    Outcome
        Also after a failure: nothing is raised but what prevents the notebook from being written.
    """
    papermill_engines.register("nbkit", TruthfulEngine)
    logging.getLogger("papermill").setLevel(logging.ERROR)
    running = target.with_name(f".{target.stem}.running.ipynb")
    started = time.monotonic()
    executed: Any = None
    job = Job(target.stem, limits, kernel, on_cell, on_late, on_step)
    try:
        executed = papermill.execute_notebook(
            str(source).replace("{", "{{").replace("}", "}}"),
            str(running).replace("{", "{{").replace("}", "}}"),
            parameters,
            engine_name="nbkit",
            kernel_name=NAME,
            language="python",
            progress_bar=False,
            job=job,
        )
    except papermill.PapermillExecutionError:
        executed = nbformat.read(running, as_version=4)
    except (KeyboardInterrupt, OSError) as trouble:
        job.trouble = trouble
    outcome = _judge(executed, job)
    outcome.seconds = round(time.monotonic() - started, 2)
    outcome.peak_gb = round(job.watch.peak / GIGABYTE, 3)
    _scrub_outcome(outcome, secrets)
    if executed is not None:
        _keep(executed, target, outcome, secrets)
        if outcome.status == "passed":
            outcome.headline = _scrub(str(find_scraps(executed).get("headline", "")), secrets)
            outcome.code = digest_code_of(executed.cells)
    with contextlib.suppress(OSError):
        running.unlink(missing_ok=True)
    return outcome


def _must_run(cell: Any) -> bool:
    skipped = "skip-execution" in cell.metadata.get("tags", [])
    return cell.cell_type == "code" and bool(cell.source.strip()) and not skipped


def _save_seldom(save: Callable[..., None]) -> Callable[..., None]:
    last = 0.0

    def save_seldom(**options: Any) -> None:
        nonlocal last
        if time.monotonic() - last > SAVE_EVERY:
            save(**options)
            last = time.monotonic()

    return save_seldom


def _mark_failure(manager: Any, job: Job, codes: list[int]) -> None:
    """Mark the cell in which the notebook ended badly; papermill would call it, and all after it, completed."""
    cells = manager.nb.cells
    if job.trouble is None or any(cell.metadata.papermill["status"] == manager.FAILED for cell in cells):
        return
    reached = [index for index in codes if cells[index].metadata.papermill["start_time"]]
    index = reached[-1] if reached else codes[0] if codes else 0
    index = index if job.watch.late_cell is None else job.watch.late_cell
    kind = _name_trouble(job)
    text = SENTENCES[kind].format(**_facts(job, type(job.trouble).__name__, str(job.trouble)))
    if cells[index].cell_type == "code":
        cells[index].outputs.append(nbformat.v4.new_output("error", ename=kind, evalue=text, traceback=[text]))
    manager.cell_exception(cells[index], cell_index=index, exception=job.trouble)
    for later in cells[index + 1 :]:
        later.metadata.papermill["status"] = manager.PENDING


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


def _judge(executed: Any, job: Job) -> Outcome:
    """Say how the stage ended, from what the cells show rather than from papermill's metadata."""
    if executed is None:
        kind = _name_trouble(job)
        text = SENTENCES[kind].format(**_facts(job, type(job.trouble).__name__, str(job.trouble)))
        return Outcome("interrupted" if kind in ("interrupted", "terminated") else "failed", kind, text)
    cells = list(_number([cell for cell in executed.cells if _must_run(cell)]))
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
    tail = "\n".join(ANSI.sub("", streams).splitlines()[-TAIL:])
    traceback = ANSI.sub("", "\n".join(output.traceback))
    return Outcome(status, kind, message, number, cell.source, tail, traceback[-8000:])


def _scrub(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***").replace(json.dumps(secret)[1:-1], "***")
    return text


def _scrub_outcome(outcome: Outcome, secrets: tuple[str, ...]) -> None:
    for name in ("message", "source", "tail", "traceback"):
        setattr(outcome, name, _scrub(getattr(outcome, name), secrets))


def _keep(executed: Any, target: Path, outcome: Outcome, secrets: tuple[str, ...]) -> None:
    """Write the executed notebook, whole and at once, with the truth in its metadata."""
    executed.metadata["nbkit"] = {
        **executed.metadata.get("nbkit", {}),
        "status": outcome.status,
        "kind": outcome.kind,
        "message": outcome.message,
        "python": sys.version.split()[0],
    }
    executed.metadata.papermill["input_path"] = Path(executed.metadata.papermill["input_path"]).name
    executed.metadata.papermill["output_path"] = target.name
    write_atomic(target, _scrub(nbformat.writes(executed), secrets).encode())
