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
from nbformat.sign import NotebookNotary
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines

from nbkit.cells import digest_notebook
from nbkit.pipeline.kernel import NAME, StageKernel
from nbkit.pipeline.outcome import Job, judge, must_run
from nbkit.pipeline.task import Task
from nbkit.pipeline.watch import GIGABYTE
from nbkit.record import StageRecord
from nbkit.scraps import find_scraps
from nbkit.scrub import Scrubber
from nbkit.store import write_atomic

# nbclient's own is quadratic in the length of a line and holds the interpreter meanwhile: 100 kB took 15 s, and no
# time-out and no Ctrl-C could end it
nbclient.client._RGX_CARRIAGERETURN = re.compile(r"^.*\r(?=[^\n])", re.MULTILINE)


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
            on_cell_execute=lambda cell, cell_index: job.begin_cell(cell_index, codes),
            on_cell_executed=lambda cell, cell_index, execute_reply: job.end_cell(execute_reply["content"]),
            log=logging.getLogger("nbkit.engine"),
        )
        save = nb_man.save
        nb_man.save = lambda **options: None  # half a notebook is of no use, and may hold secrets
        job.watch.start()
        try:
            client.km = job.kernel.take()
            client.execute()
        except Exception as trouble:
            job.note_trouble(trouble)
        finally:
            job.watch.stop()
            _mark_failure(nb_man, job, codes)
            scrub_notebook(nb_man.nb, job.task.scrubber)  # before papermill writes it
            nb_man.save = save


def execute_stage(task: Task, kernel: StageKernel, on_late: Callable[[], None] = lambda: None) -> StageRecord:
    """Execute a stage notebook in a fresh kernel.

    Parameters
    ----------
    task
        What is to be executed. The executed notebook is written when the kernel has ended, however it ended.
    kernel
        Started or not.
    on_late
        Called in the event loop when one of the last cells starts.

    Returns
    -------
    StageRecord
        Also after a failure: nothing is raised but what prevents the notebook from being written.
    """
    papermill_engines.register("nbkit", TruthfulEngine)
    logging.getLogger("papermill").setLevel(logging.ERROR)
    logging.getLogger("nbkit.engine").setLevel(logging.CRITICAL)  # nbclient would print what the record says
    running = task.target.with_name(f".{task.target.stem}.running.ipynb")
    started = time.monotonic()
    executed: Any = None
    job = Job(task, kernel, on_late)
    try:
        executed = papermill.execute_notebook(
            str(task.source).replace("{", "{{").replace("}", "}}"),
            str(running).replace("{", "{{").replace("}", "}}"),
            task.parameters,
            engine_name="nbkit",
            kernel_name=NAME,
            language="python",
            progress_bar=False,
            job=job,
        )
    except papermill.PapermillExecutionError:
        executed = nbformat.read(running, as_version=4)
    except OSError as trouble:
        job.trouble = trouble
    record = judge(executed, job)
    record.seconds = round(time.monotonic() - started, 2)
    record.peak_gb = round(job.watch.peak / GIGABYTE, 3)
    for name in ("message", "source", "tail", "traceback"):
        setattr(record, name, task.scrubber.clean(getattr(record, name)))
    if executed is not None:
        if record.status == "passed":
            record.headline = str(find_scraps(executed).get("headline", ""))
            record.code = digest_notebook(executed.cells)
        _keep(executed, task.target, record)
    with contextlib.suppress(OSError):
        running.unlink(missing_ok=True)
    return record


def scrub_notebook(notebook: Any, scrubber: Scrubber) -> None:
    """Take secrets out of a notebook in memory: code, outputs, parameters."""
    scrubber.clean_inside(notebook.metadata.get("papermill", {}).get("parameters", {}))
    for cell in notebook.cells:
        cell.source = scrubber.clean(cell.source)
        for output in cell.get("outputs", ()):
            for part in ("text", "evalue", "traceback", "data", "metadata"):
                if part in output:
                    output[part] = scrubber.clean_inside(output[part])


def _mark_failure(manager: Any, job: Job, codes: list[int]) -> None:
    """Mark the cell in which the notebook ended badly; papermill would call it, and all after it, completed."""
    cells = manager.nb.cells
    if job.trouble is None or any(cell.metadata.papermill["status"] == manager.FAILED for cell in cells):
        return
    reached = [index for index in codes if cells[index].metadata.papermill["start_time"]]
    index = reached[-1] if reached else codes[0] if codes else 0
    index = index if job.watch.late_cell is None else job.watch.late_cell
    kind, text = job.describe_trouble()
    if cells[index].cell_type == "code":
        cells[index].outputs.append(nbformat.v4.new_output("error", ename=kind, evalue=text, traceback=[text]))
    manager.cell_exception(cells[index], cell_index=index, exception=job.trouble)
    for later in cells[index + 1 :]:
        later.metadata.papermill["status"] = manager.PENDING


def _keep(executed: Any, target: Path, record: StageRecord) -> None:
    """Write the executed notebook, whole and at once, with the truth in its metadata."""
    executed.metadata["nbkit"] = {
        **executed.metadata.get("nbkit", {}),
        "status": record.status,
        "kind": record.kind,
        "message": record.message,
        "python": sys.version.split()[0],
    }
    executed.metadata.papermill["input_path"] = Path(executed.metadata.papermill["input_path"]).name
    executed.metadata.papermill["output_path"] = target.name
    write_atomic(target, nbformat.writes(executed).encode())
    sign_notebook(target)


def sign_notebook(path: Path) -> None:
    """Sign a notebook, or raise nothing: JupyterLab shows no chart of one that it does not trust."""
    with contextlib.suppress(Exception):
        notary = NotebookNotary()
        notary.log.disabled = True
        try:
            notary.sign(nbformat.read(path, as_version=4))
        finally:
            notary.store.close()
