"""Tries in a child process what importing a module does, before the fork server imports it for all."""

import importlib
import os
import select
import signal
import sys
import threading
from pathlib import Path

# importing these was tried: they start no Python thread, print nothing and work in a forked child
SAFE = frozenset(
    """IPython anyio debugpy fsspec ipykernel jedi jinja2 joblib matplotlib mistune msgspec
    narwhals nbclient nbformat numba numpy pandas papermill prometheus_client psutil pyarrow pydantic requests
    ruamel scipy scrapbook shap skops sklearn sqlalchemy stack_data starlette threadpoolctl traitlets
    uvicorn""".split()  # noqa: SIM905
)
UNSAFE = dict.fromkeys(["grpc", "jax", "mpi4py", "pyspark", "ray", "tensorflow"], "it may not survive a fork")
UNSAFE |= dict.fromkeys(
    ["altair", "bokeh", "duckdb", "holoviews", "ipywidgets", "matplotlib_inline", "panel", "plotly"],
    "what importing it does depends on the kernel that it is in",
)
PATIENCE = 20  # seconds


def judge(name: str) -> str:
    """Return why a module must not be imported before the fork; an empty text if it may."""
    top = name.partition(".")[0]
    if top in SAFE or top in sys.stdlib_module_names:
        return ""
    if top in UNSAFE:
        return UNSAFE[top]
    return _try(name)


def _try(name: str) -> str:
    sys.stdout.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        code = 0
        try:
            code = _import(name, writer)
        finally:
            os._exit(code)
    os.close(writer)
    printed = b""
    try:
        while select.select([reader], [], [], PATIENCE)[0]:
            if not (data := os.read(reader, 65536)):
                break
            printed += data
        else:
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(reader)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    said = printed.decode(errors="replace").strip().rpartition("\n")[2][:200]
    if status in FOUND:
        return FOUND[status]
    if status:
        return f"importing it fails: {said or f'the process ended with {status}'}"
    return f"importing it prints: {said}" if said else ""


THREAD, LOOKS = 77, 78  # exit codes
FOUND = {
    THREAD: "importing it starts a thread",
    LOOKS: "what importing it does depends on the kernel that it is in",
}


def _import(name: str, writer: int) -> int:
    """Import with all output going to the pipe; return an exit code."""
    os.dup2(writer, 1)
    os.dup2(writer, 2)
    before, looks = _count_threads(), _record_looks()
    try:
        importlib.import_module(name)
    except BaseException as error:  # also SystemExit
        os.write(writer, f"{type(error).__name__}: {error}".encode())
        return 1
    sys.stdout.flush()
    sys.stderr.flush()
    if _count_threads() > before:
        return THREAD
    return LOOKS if looks else 0


def _record_looks() -> list[str]:
    """Make every ``get_ipython`` of this process, in which there is none yet, note that it was called."""
    looks: list[str] = []
    real = getattr(sys.modules.get("IPython"), "get_ipython", None)
    for module in [each for each in sys.modules.values() if real and getattr(each, "get_ipython", None) is real]:
        module.get_ipython = lambda: looks.append("looked")  # type: ignore[attr-defined]
    return looks


def _count_threads() -> int:
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()
