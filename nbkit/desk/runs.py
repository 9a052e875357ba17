"""Runs as processes of their own, as the desk starts and shows them."""

import contextlib
import html
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psutil

from nbkit import observe
from nbkit.errors import NbkitError
from nbkit.freshness import CHOSEN
from nbkit.record import StageRecord
from nbkit.stages.params import SHARED, read_params

MARKS = {"pending": "○", "running": "…", "passed": "✓", "refused": "■", "failed": "✗", "interrupted": "◼"}
OBSERVED = (observe.VARIABLE, observe.ROOT, observe.THREADS)
OF_THIS_KERNEL = ("JPY_", "VSCODE_", "MPLBACKEND", "NBKIT_STAGE", *OBSERVED, CHOSEN)
# `python -m nbkit`, for whom Ctrl-C counts also where a kernel ignores it
START = """import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("nbkit", run_name="__main__", alter_sys=True)"""


def start_process(words: list[str], root: Path, heard: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Start ``nbkit`` so that it outlives this kernel and inherits nothing of it.

    Parameters
    ----------
    words
        The command line.
    root
        The project.
    heard
        Where what it says is written.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OF_THIS_KERNEL)}
    command = [sys.executable, "-c", START, *words]
    talk: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": heard, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=root, env=inherited, start_new_session=True, **talk)


def list_params(root: Path, *, overrides: bool = False) -> list[str]:
    """List the params files that name a project, or those that only override others, by their names.

    One that cannot be read is among the first: whoever chooses it is told what is wrong.
    """
    found = sorted((root / "params").glob("*.yaml"))
    params = [path for path in found if not path.name.endswith(".contract.yaml")]
    return [path.stem for path in params if _names_project(path) != overrides]


def _names_project(path: Path) -> bool:
    try:
        return any((entry.section, entry.key) == (SHARED, "name") for entry in read_params(path))
    except NbkitError:
        return True


def link_to(path: Path) -> str:
    """Return the address of a file at the Jupyter server that started this kernel, else on this machine."""
    for server in _list_servers():
        root = Path(server["root_dir"])
        if path.resolve().is_relative_to(root):
            return f"{server['base_url']}files/{quote(path.resolve().relative_to(root).as_posix())}"
    return path.resolve().as_uri()


def _list_servers() -> Iterator[dict[str, Any]]:
    with contextlib.suppress(ImportError):
        from jupyter_server.serverapp import list_running_servers

        own = os.environ.get("JPY_PARENT_PID", "")
        yield from sorted(list_running_servers(), key=lambda server: str(server["pid"]) != own)


def is_alive(pid: int) -> bool:
    """Return whether a process is there, and more than a process that nobody has asked how it ended."""
    try:
        return bool(pid and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def show_stages(stages: list[StageRecord]) -> str:
    """Return the stages as a list: how each stands, how long it took, and where it is."""
    rows = []
    for each in stages:
        cell = f"cell {each.cell} of {each.cells}" if each.status == "running" and each.cells else ""
        took = f"{each.seconds:.1f} s" if each.seconds is not None and not each.borrowed else ""
        where = f"taken from {each.borrowed}" if each.borrowed else cell or took
        rows.append(f"<li>{MARKS.get(each.status, '?')} {each.stage} {each.status} {html.escape(where)}</li>")
    look = "list-style: none; padding: 0; margin: 0; line-height: 1.6"
    return f'<ol style="{look}" aria-label="stages">{"".join(rows)}</ol>'
