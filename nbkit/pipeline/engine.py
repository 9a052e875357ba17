"""Executes one notebook with papermill and says truthfully what happened and where."""

import contextlib
import logging
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbclient.client
import nbformat
import papermill
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines

from nbkit.pipeline.kernel import NAME, StageKernel
from nbkit.pipeline.outcome import Job, Outcome, describe_trouble, judge, must_run
from nbkit.pipeline.sign import sign_notebook
from nbkit.pipeline.watch import GIGABYTE
from nbkit.run import find_scraps
from nbkit.scrub import NOTHING, Scrubber
from nbkit.stages.notebooks import digest_code_of
from nbkit.store import write_atomic

# nbclient's own is quadratic in the length of a line and holds the interpreter meanwhile: 100 kB took 15 s, and no
# time-out and no Ctrl-C could end it
nbclient.client._RGX_CARRIAGERETURN = re.compile(r"^.*\r(?=[^\n])", re.MULTILINE)

SAVE_EVERY = 5.0  # seconds between two writes of a notebook that is being executed


class TruthfulEngine(NBClientEngine):  # type: ignore[misc]
    """papermill's own engine, except that the cell in which it ends badly is always marked as failed."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
        """Execute, and never raise: what went wrong is kept in the job."""
        job: Job = options["job"]
        codes = [index for index, cell in enumerate(nb_man.nb.cells) if must_run(cell)]
        client: Any = PapermillNotebookClient(
            nb_man,
            kernel_name=kernel_name,
            startup_timeout=120,
            iopub_timeout=300,
            timeout=None,
            coalesce_streams=True,
            store_widget_state=False,
            on_cell_execute=lambda cell, cell_index: job.begin_cell(client.km.provisioner.pid, cell_index, codes),
            on_cell_executed=lambda cell, cell_index, execute_reply: job.end_cell(execute_reply["content"]),
            log=logging.getLogger("nbkit.engine"),
        )
        save = nb_man.save
        nb_man.save = _save_seldom(save, nb_man.nb, job.scrubber)
        job.watch.start()
        try:
            client.km = job.kernel.take()
            client.execute()
        except (Exception, KeyboardInterrupt) as trouble:
            job.note_trouble(trouble)
        finally:
            job.watch.stop()
            _mark_failure(nb_man, job, codes)
            scrub_notebook(nb_man.nb, job.scrubber)  # before papermill writes it
            nb_man.save = save


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
    scrubber: Scrubber = NOTHING,
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
    scrubber
        Takes secrets out of everything that is kept.

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
    job = Job(target.stem, limits, kernel, on_cell, on_late, on_step, scrubber)
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
    outcome = judge(executed, job)
    outcome.seconds = round(time.monotonic() - started, 2)
    outcome.peak_gb = round(job.watch.peak / GIGABYTE, 3)
    for name in ("message", "source", "tail", "traceback"):
        setattr(outcome, name, scrubber.clean(getattr(outcome, name)))
    if executed is not None:
        if outcome.status == "passed":
            outcome.headline = str(find_scraps(executed).get("headline", ""))
            outcome.code = digest_code_of(executed.cells)
        _keep(executed, target, outcome)
    with contextlib.suppress(OSError):
        running.unlink(missing_ok=True)
    return outcome


def scrub_notebook(notebook: Any, scrubber: Scrubber) -> None:
    """Take secrets out of a notebook in memory: code, outputs, parameters."""
    scrubber.clean_inside(notebook.metadata.get("papermill", {}).get("parameters", {}))
    for cell in notebook.cells:
        cell.source = scrubber.clean(cell.source)
        for output in cell.get("outputs", ()):
            for part in ("text", "evalue", "traceback", "data", "metadata"):
                if part in output:
                    output[part] = scrubber.clean_inside(output[part])


def _save_seldom(save: Callable[..., None], notebook: Any, scrubber: Scrubber) -> Callable[..., None]:
    last = 0.0

    def save_seldom(**options: Any) -> None:
        nonlocal last
        if time.monotonic() - last > SAVE_EVERY:
            scrub_notebook(notebook, scrubber)
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
    kind, text = describe_trouble(job)
    if cells[index].cell_type == "code":
        cells[index].outputs.append(nbformat.v4.new_output("error", ename=kind, evalue=text, traceback=[text]))
    manager.cell_exception(cells[index], cell_index=index, exception=job.trouble)
    for later in cells[index + 1 :]:
        later.metadata.papermill["status"] = manager.PENDING


def _keep(executed: Any, target: Path, outcome: Outcome) -> None:
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
    write_atomic(target, nbformat.writes(executed).encode())
    sign_notebook(target)
