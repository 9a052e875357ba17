"""One point in a process of its own: an ordinary run, gone on with or begun anew, never believed half-made."""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from nbkit.errors import BadParameter, NbkitError, RunInUse, UnknownRun
from nbkit.pipeline import Plan, execute_plan, plan_resume, plan_run
from nbkit.pipeline.manifest import is_held
from nbkit.project import SWEEP, find_notebooks, find_root, read_manifest

PATIENCE = 30.0  # seconds to wait for a process that is being ended to let go of the run
SAME = ("nbkit", "scikit-learn", "numpy")

Task = dict[str, Any]
Answer = dict[str, Any]


def describe_code() -> dict[str, str]:
    """Return the versions that make points comparable."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in SAME}}


def describe_project(root: Path, files: Sequence[str]) -> str:
    """Digest a project's notebooks, params and modules: points are compared only if all machines have the same."""
    paths = [*find_notebooks(root).glob("*.ipynb"), *(root / file for file in files), *root.glob("*.py")]
    digest = hashlib.sha256()
    for path in sorted(set(paths), key=lambda path: path.name):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def run_point(task: Task) -> Answer:
    """Do one point: go on with what is there of its run, or begin it anew.

    Parameters
    ----------
    task
        From `nbkit.sweep.sweep.make_task`. With a storage, a worker that has no such root takes the project that it was
        started in.

    Returns
    -------
    dict
        ``name`` and ``exit``, the exit code of the run.

    Raises
    ------
    NbkitError
        If the run cannot even begin.
    """
    if task["storage"] and not Path(task["root"]).is_dir():
        task = {**task, "root": str(find_root())}
    _check_place(task)
    root, name = Path(task["root"]), task["name"]
    folder = root / "runs" / name
    _wait_until_free(folder)
    if has_passed(task):
        return {"name": name, "exit": 0}
    plan = _plan_rest(task, folder)
    if plan is None:
        shutil.rmtree(folder, ignore_errors=True)
        files, storage = [root / path for path in task["files"]], task["storage"]
        plan = plan_run(root, files, task["settings"], last=task["last"], name=name, storage=storage)
    _, manifest = execute_plan(plan)
    return {"name": name, "exit": manifest["exit"]}


def has_passed(task: Task) -> bool:
    """Tell whether the run of a task has passed, and would pass now with the same result.

    Parameters
    ----------
    task
        As for `run_point`.
    """
    manifest = read_manifest(Path(task["root"]) / "runs" / task["name"])
    last = [entry["status"] for entry in manifest.get("stages", []) if entry["stage"] == task["last"]]
    if manifest.get("status") != "passed" or last != ["passed"] or not _is_the_same(task, manifest):
        return False
    try:
        plan_resume(Path(task["root"]), task["name"])
    except UnknownRun:  # nothing is left to do
        return True
    except BadParameter:
        return False
    return False


def _plan_rest(task: Task, folder: Path) -> Plan | None:
    """Plan how an unfinished run goes on; None if it cannot, or is not the one that is asked for."""
    if not _is_the_same(task, read_manifest(folder)):
        return None
    try:
        return plan_resume(Path(task["root"]), task["name"])
    except (BadParameter, UnknownRun):
        return None


def _is_the_same(task: Task, manifest: dict[str, Any]) -> bool:
    """Tell whether a run was asked for what a task asks for."""
    return all(manifest.get(name) == task[name] for name in ("files", "settings"))


def _wait_until_free(folder: Path) -> None:
    until = time.monotonic() + PATIENCE
    while is_held(folder):
        if time.monotonic() > until:
            raise RunInUse(f"another process is working in {folder}; wait for it, or stop it")
        time.sleep(0.2)


def _check_place(task: Task) -> None:
    """Check that this machine sees the same folder, and would run the same code."""
    here = socket.gethostname()
    if task["storage"]:
        if describe_project(Path(task["root"]), task["files"]) != task["project"]:
            raise BadParameter(f"the worker on {here} has other notebooks, params or modules in {task['root']}")
        _check_code(task, here)
        return
    place = Path(task["root"]) / "runs" / task["sweep"] / SWEEP
    seen = None
    with contextlib.suppress(OSError, ValueError):
        seen = json.loads(place.read_bytes())["token"]
    if seen != task["token"]:
        raise BadParameter(
            f"the worker on {here} does not see {place.parent}: the project must lie in a folder that all machines "
            "share"
        )
    _check_code(task, here)


def _check_code(task: Task, here: str) -> None:
    code = describe_code()
    if other := [f"{name} {code[name]}, not {asked}" for name, asked in task["code"].items() if code[name] != asked]:
        raise BadParameter(f"the worker on {here} has {'; '.join(other)}: its points could not be compared")


def main() -> int:
    """Read a task from standard input, do it, and write the answer; end when the parent does, as its pipe does then."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what is printed on the way is no answer
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may ignore it, and we inherit that
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_follow_parent, daemon=True).start()
    try:
        answer = run_point(task)
    except NbkitError as error:
        answer = {"name": task["name"], "exit": 2, "error": str(error)}
    except KeyboardInterrupt:
        answer = {"name": task["name"], "exit": 130}
    except OSError as error:
        answer = {"name": task["name"], "exit": 1, "error": f"{type(error).__name__}: {error}"}
    with contextlib.suppress(OSError):
        print(json.dumps(answer), file=answers, flush=True)
    return int(answer["exit"])


def _follow_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
