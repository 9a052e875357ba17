"""Starts JupyterLab with the warm kernel: on the starting page, on a stage, or at the cell that failed."""

import contextlib
import importlib.util
import os
import secrets
import signal
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbkit.desk.stages import find_stage
from nbkit.errors import BadParameter, ServiceFailed, UnknownRun
from nbkit.freshness import CHOSEN
from nbkit.kernels.environment import make_environment
from nbkit.lifecycle import FRAME, HOME
from nbkit.project import find_notebooks
from nbkit.record import iterate_runs, read_record
from nbkit.scraps import read_notebook, write_notebook

EXTENSIONS = Path(__file__).with_name("labextensions")  # what JupyterLab lacks: see desk.js
SPECS = "nbkit.kernels.specs.WarmSpecs"
FLAGS = ["--no-browser", "--expose-app-in-browser", "--log-level=ERROR", "--LabApp.log_level=ERROR"]
PARTING = 30.0  # seconds that it has to end
PATIENCE = 120.0  # seconds that JupyterLab has to answer
CELL = 3600.0  # seconds that a cell has


@dataclass(frozen=True)
class Place:
    """Where JupyterLab is to open.

    Attributes
    ----------
    notebook
        From the project's root.
    run
        The run whose parameters and results its stages take; empty for the latest.
    cell
        The code cell that failed, counted from 1; 0 for none.
    """

    notebook: str
    run: str = ""
    cell: int = 0


def find_place(root: Path, stage: str = "", run: str = "", *, failed: bool = False) -> Place:
    """Find where JupyterLab is to open.

    Parameters
    ----------
    root
        The project.
    stage
        A stage's name or number; empty for the starting page, or for the stage that failed.
    run
        A run's name; empty for the latest.
    failed
        Whether to open the stage that failed, at its cell.

    Raises
    ------
    UnknownStage, UnknownRun
        If there is no such stage or run, or no run has failed.
    BadParameter
        If the project has no notebooks of its own.
    """
    from nbkit.pipeline import find_run

    folder = find_notebooks(root)
    if not folder.is_relative_to(root):
        raise BadParameter(f"{root} has no notebooks of its own: `nbkit new` lays a project")
    where = folder.relative_to(root).as_posix()
    name = find_run(root, run).name if run else ""
    if not failed:
        found = HOME if stage in ("", HOME, "00", "desk") else find_stage(root, stage)
        start = found if (folder / f"{found}.ipynb").is_file() else FRAME
        return Place(f"{where}/{start}.ipynb", name)
    known = [read_record(root / "runs" / name)] if name else [each for _, each in iterate_runs(root, points=False)]
    record = next((each for each in known if each.stopped and (name or not each.is_look)), None)
    if record is None or record.stopped is None:
        raise UnknownRun(f"{name or 'no run here'} has {'not ' if name else ''}failed: `nbkit runs` lists them")
    return Place(f"{where}/{record.stopped.stage}.ipynb", record.run, record.stopped.cell)


def open_lab(root: Path, place: Place, *, browser: bool = True, port: int = 0, tell: Callable[[str], None]) -> int:
    """Start JupyterLab and wait until it ends.

    Parameters
    ----------
    root
        The project.
    place
        Where it is to open; with a cell, the cells above it are executed first.
    browser
        Whether to open one.
    port
        0 for any that is free.
    tell
        Called with what happens, in a sentence.

    Returns
    -------
    int
        The exit code of JupyterLab.

    Raises
    ------
    ServiceFailed
        If JupyterLab is not installed, or does not start.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise ServiceFailed("JupyterLab is not installed: pip install 'nbkit[desk]'")
    command = [sys.executable, "-m", "jupyterlab", *FLAGS, f"--ServerApp.root_dir={root}"]
    command += [f"--ServerApp.port={port}", f"--ServerApp.kernel_spec_manager_class={SPECS}"]
    command += [f"--LabApp.extra_labextensions_path={EXTENSIONS}", *["--allow-root"] * (os.geteuid() == 0)]
    token = secrets.token_hex(24)  # of one that it makes itself, JupyterLab prints addresses of its own
    environment = make_environment(JUPYTER_TOKEN=token, **({CHOSEN: place.run} if place.run else {}))
    process = subprocess.Popen(command, env=environment, cwd=root)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else it ends alone, and JupyterLab stays behind
    try:
        server = _wait_for(process)
        fragment = _run_above(server, root, place, tell) if place.cell else ""
        tell(f"JupyterLab: {server['url']}lab/tree/{place.notebook}?token={server['token']}{fragment}")
        tell("Ctrl-C ends it.")
        if browser:
            webbrowser.open(f"{server['url']}lab/tree/{place.notebook}?token={server['token']}{fragment}")
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):  # a second Ctrl-C waits for nothing
            process.wait(PARTING)
        process.kill()  # a thread of its own may keep it from ending
        process.wait()


def _wait_for(process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """Wait until a server of Jupyter answers; return its address and token."""
    from jupyter_server.serverapp import list_running_servers

    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        for server in list_running_servers():
            if server["pid"] == process.pid:
                return dict(server)
        time.sleep(0.1)
    raise ServiceFailed(f"JupyterLab did not start (exit code {process.poll()}): try `jupyter lab` to see why")


def _run_above(server: dict[str, Any], root: Path, place: Place, tell: Callable[[str], None]) -> str:
    """Execute the cells above the one that failed, in the kernel that JupyterLab will find for this notebook."""
    from jupyter_client.blocking.client import BlockingKernelClient
    from jupyter_core.paths import jupyter_runtime_dir

    from nbkit.pipeline.engine import sign_notebook

    path = root / place.notebook
    content = read_notebook(path)
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    session = {"path": place.notebook, "name": path.name, "type": "notebook", "kernel": {"name": "python3"}}
    kernel = _ask(server, session)
    client = BlockingKernelClient(connection_file=os.path.join(jupyter_runtime_dir(), f"kernel-{kernel}.json"))  # noqa: PTH118
    client.load_connection_file()
    client.start_channels()
    client.wait_for_ready(timeout=PATIENCE)
    tell(f"{path.stem}: code cell {place.cell} failed; running the {place.cell - 1} above it…")
    for cell in code[: place.cell - 1]:
        _run_cell(client, cell)
    client.stop_channels()
    write_notebook(path, content)
    sign_notebook(path)
    return f"#cell-id={code[place.cell - 1]['id']}"


def _run_cell(client: Any, cell: dict[str, Any]) -> None:
    import nbformat

    outputs: list[Any] = []

    def keep(message: dict[str, Any]) -> None:
        if message["msg_type"] in ("stream", "display_data", "execute_result", "error"):
            outputs.append(nbformat.v4.output_from_msg(message))

    how = {"timeout": CELL, "allow_stdin": False, "store_history": True}
    reply = client.execute_interactive("".join(cell["source"]), output_hook=keep, **how)
    cell["outputs"], cell["execution_count"] = outputs, reply["content"].get("execution_count")


def _ask(server: dict[str, Any], session: dict[str, Any]) -> str:
    """Begin a session, and return the id of its kernel."""
    import requests

    headers = {"Authorization": f"token {server['token']}"}
    answer = requests.post(f"{server['url']}api/sessions", json=session, headers=headers, timeout=PATIENCE)
    answer.raise_for_status()
    return str(answer.json()["kernel"]["id"])
