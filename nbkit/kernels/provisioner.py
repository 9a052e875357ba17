"""Gives Jupyter a forked kernel where it asks for a new one, and the ordinary start wherever that is in doubt."""

import asyncio
import contextlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from nbkit.errors import NoWarmKernel
from nbkit.kernels.client import Forked, fork_kernel
from nbkit.kernels.environment import is_wanted, list_installed

log = logging.getLogger("nbkit.kernels")
LAUNCHER = "ipykernel_launcher"
STREAMS = ("stdin", "stdout", "stderr")
_PIPES = {subprocess.PIPE, subprocess.STDOUT}
FOLDER = "nbkit-kernel-"
LONGEST = 50  # characters of the temporary folder's path: a socket's whole path may have 104 on macOS
JUST_MADE = 10.0  # seconds in which nobody may hold a folder yet
_said: set[str] = set()


class WarmProvisioner(LocalProvisioner):
    """Asks a fork server for the kernel; its sockets are files in a private folder."""

    folder: Path | None = None
    handle = -1
    installed: Sequence[tuple[str, int]] = ()
    exit_code: int | None = None  # of a kernel that has ended; negative if a signal ended it

    async def pre_launch(self, **options: Any) -> dict[str, Any]:
        """Lay the kernel's sockets and connection file into a private folder."""
        with contextlib.suppress(OSError):  # then TCP, as ever
            self._settle()
        prepared: dict[str, Any] = await super().pre_launch(**options)
        return prepared

    async def launch_kernel(self, cmd: list[str], **options: Any) -> Any:
        """Have a kernel forked, else start one."""
        self.installed = list_installed()
        try:
            kernel = await asyncio.to_thread(self._fork, cmd, options)
        except NoWarmKernel as reason:
            if str(reason) and str(reason) not in _said:
                _said.add(str(reason))
                log.warning("kernels start the ordinary way: %s", reason)
            return await super().launch_kernel(cmd, **options)
        self.process = cast(Any, kernel)
        self.pid = self.pgid = kernel.pid
        self.cwd = options.get("cwd") or Path.cwd()
        return self.connection_info

    def is_up_to_date(self) -> bool:
        """Return whether a kernel that has waited would be started just like that now."""
        if list_installed() != self.installed:
            return False
        kernel = cast(Any, self.process)
        return not isinstance(kernel, Forked) or kernel.is_up_to_date()

    async def poll(self) -> int | None:
        """Return whether the kernel has ended, and keep how."""
        code: int | None = await super().poll()
        if self.process:
            self.exit_code = code
        return code

    async def cleanup(self, restart: bool = False) -> None:  # noqa: FBT001, FBT002 - Jupyter's signature
        """Remove the kernel's folder."""
        await super().cleanup(restart=restart)
        if not restart and self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            os.close(self.handle)
            self.folder = None

    def _settle(self) -> None:
        manager = self.parent
        if not hasattr(os, "fork") or self.folder is not None or manager is None or manager.transport != "tcp":
            return
        self.folder, self.handle = make_kernel_folder()
        manager.transport = "ipc"
        manager.ip = str(self.folder / "c")
        if not manager.connection_file:
            manager.connection_file = str(self.folder / "kernel.json")

    def _fork(self, cmd: list[str], options: dict[str, Any]) -> Forked:
        environment = options.get("env") or dict(os.environ)
        if not is_wanted(environment):
            raise NoWarmKernel("")
        python, arguments = _split(cmd)
        if unknown := set(options) - {"env", "cwd", "independent", "kernel_id", "extra_arguments", *STREAMS}:
            raise NoWarmKernel(f"a forked kernel has no {', '.join(sorted(unknown))}")
        if options.get("independent") or _PIPES & {options.get(name) for name in STREAMS}:
            raise NoWarmKernel("an independent kernel, or one with pipes, is not forked")
        folder = Path(options.get("cwd") or Path.cwd()).resolve()
        request = {
            "do": "fork",
            "python": python,
            "arguments": arguments,
            "env": environment,
            "cwd": str(folder),
            "folder": str(self.folder or ""),
            "notebooks": [str(path) for path in _find_notebooks(folder, environment)],
        }
        with open(os.devnull, "r+b") as nothing:  # noqa: PTH123
            usual = {"stdin": nothing.fileno(), "stdout": 1, "stderr": 2}
            streams = [_number(options.get(name), number, nothing.fileno()) for name, number in usual.items()]
            return fork_kernel(python, request, streams)


def make_kernel_folder() -> tuple[Path, int]:
    """Make a private folder for one kernel's sockets and connection file, and sweep those whose owner was killed.

    Returns
    -------
    tuple
        The folder, and a handle that holds it: once its process is gone, the folder is swept by the next.

    Raises
    ------
    OSError
        If there is no place whose path is short enough for sockets.
    """
    import fcntl

    place = next((each for each in (tempfile.gettempdir(), "/tmp") if len(os.fsencode(each)) <= LONGEST), None)  # noqa: S108
    if place is None:
        raise OSError(f"the path of the temporary folder is too long for sockets: {tempfile.gettempdir()}")
    for left in Path(place).glob(f"{FOLDER}*"):
        with contextlib.suppress(OSError):  # somebody else's, or held
            handle = os.open(left, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - left.stat().st_mtime > JUST_MADE:
                    shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(handle)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER, dir=place))  # for this user alone
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    return folder, handle


def _split(cmd: list[str]) -> tuple[list[str], list[str]]:
    """Return the interpreter with its options, and the kernel's arguments."""
    if cmd[0] != sys.executable or LAUNCHER not in cmd or cmd[cmd.index(LAUNCHER) - 1] != "-m":
        raise NoWarmKernel(f"only {sys.executable} -m {LAUNCHER} is forked, not {' '.join(cmd)}")
    place = cmd.index(LAUNCHER)
    return cmd[: place - 1], cmd[place + 1 :]


def _find_notebooks(folder: Path, environment: dict[str, str]) -> list[Path]:
    """Return the notebook that the kernel is for if somebody says so, else all that lie in its folder."""
    named = [environment.get("JPY_SESSION_NAME", ""), f"{environment.get('NBKIT_STAGE', '')}.ipynb"]
    for name in named:
        if name and (folder / name).is_file():
            return [folder / name]
    return sorted(folder.glob("*.ipynb"))[:50]


def _number(stream: Any, usual: int, nothing: int) -> int:
    if stream is None:
        return usual
    number = stream if isinstance(stream, int) else int(stream.fileno())
    return nothing if number == subprocess.DEVNULL else number
