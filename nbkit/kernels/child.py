"""Turns a forked child of the server into an ordinary kernel, as fresh as one that was started cold."""

import contextlib
import gc
import importlib.util
import os
import random
import signal
import socket
import sys
import time
import traceback
import types
from pathlib import Path
from typing import Any, NoReturn

from nbkit._leave import leave


def become_kernel(request: dict[str, Any], handles: list[int], connection: socket.socket) -> NoReturn:
    """Take over what the request says, run the kernel, and leave the process.

    Parameters
    ----------
    request
        ``arguments`` (the kernel's command line after the module), ``env``, ``cwd``.
    handles
        The three standard streams.
    connection
        To the kernel's owner, who is told when the kernel listens.
    """
    code = 1
    try:
        _take_place(request, handles)
        _forget_server()
        code = _run(request["arguments"], connection)
    except BaseException:
        traceback.print_exc()
    finally:
        leave(code)


def _take_place(request: dict[str, Any], handles: list[int]) -> None:
    os.setsid()
    gc.enable()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, handle in enumerate(handles):
        os.dup2(handle, number)
        os.close(handle)
    handles.clear()
    os.environ.clear()
    os.environ.update(request["env"])
    os.environ["JPY_PARENT_PID"] = str(os.getppid())
    time.tzset()
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text("nbkit-kernel")  # what `ps -e` and `top` show
    os.chdir(request["cwd"])
    launcher = importlib.util.find_spec("ipykernel_launcher")
    sys.argv = [str(launcher and launcher.origin), *request["arguments"]]
    sys.orig_argv = [*request["python"], "-m", "ipykernel_launcher", *request["arguments"]]


def _forget_server() -> None:
    """Leave nothing of the server and nothing random that two children would share."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "nbkit"]:
        del sys.modules[name]
    sys.modules["__main__"] = types.ModuleType("__main__")
    importlib.invalidate_caches()
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "multiprocessing.process" in sys.modules:
        sys.modules["multiprocessing.process"].current_process().authkey = os.urandom(32)


def _run(arguments: list[str], connection: socket.socket) -> int:
    """Run ipykernel's own application and return its exit code."""
    from ipykernel.kernelapp import IPKernelApp

    code = 0
    try:
        app: Any = IPKernelApp.instance(parent_handle=os.getppid())
        app.initialize(arguments)
        _settle_matplotlib()
        connection.sendall(b'{"ready": true}\n')
        connection.close()
        app.start()
        app.control_thread.join(1.0)  # it flushes what the exit is about to close: one kernel in twenty hung there
    except SystemExit as leaving:
        code = _read_code(leaving)
    return code


def _read_code(leaving: SystemExit) -> int:
    if leaving.code is None:
        return 0
    return leaving.code & 0xFF if isinstance(leaving.code, int) else 1


def _settle_matplotlib() -> None:
    """Do what importing matplotlib now, in this folder and with this environment, would have done."""
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is None:
        return
    if Path(matplotlib.matplotlib_fname()).parent == Path.cwd():
        matplotlib.rcParams.update(matplotlib.rc_params())
    matplotlib.rcParams["backend"] = os.environ["MPLBACKEND"]
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.install_repl_displayhook()
