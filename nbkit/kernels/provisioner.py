"""Gives Jupyter a forked kernel where it asks for a new one, and the ordinary start wherever that is in doubt."""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Float

from nbkit.errors import NoWarmKernel
from nbkit.kernels import client, folders, identity
from nbkit.kernels.forked import Forked
from nbkit.project import find_root

log = logging.getLogger("nbkit.kernels")
LAUNCHER = "ipykernel_launcher"
STREAMS = ("stdin", "stdout", "stderr")
_PIPES = {subprocess.PIPE, subprocess.STDOUT}
_said: set[str] = set()


class WarmProvisioner(LocalProvisioner):
    """Asks a fork server for the kernel; its sockets are files in a private folder."""

    idle = Float(5.0, config=True, help="Minutes that a fork server stays up when no kernel needs it any more.")
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
        self.installed = identity.list_installed()
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
        """Tell whether a kernel that has waited would be started just like that now."""
        if identity.list_installed() != self.installed:
            return False
        kernel = cast(Any, self.process)
        return not isinstance(kernel, Forked) or client.is_up_to_date(kernel)

    async def poll(self) -> int | None:
        """Tell whether the kernel has ended, and keep how."""
        code: int | None = await super().poll()
        if self.process:
            self.exit_code = code
        return code

    async def wait(self) -> int | None:
        """Wait for the kernel's end, noticing it sooner than Jupyter would."""
        while self.process and self.process.poll() is None:
            await asyncio.sleep(0.005)
        code: int | None = await super().wait()
        return code

    async def cleanup(self, restart: bool = False) -> None:  # noqa: FBT001, FBT002 - Jupyter's signature
        """Remove the kernel's folder."""
        await super().cleanup(restart=restart)
        if not restart and self.folder is not None:
            folders.remove_kernel_folder(self.folder)
            os.close(self.handle)
            self.folder = None

    def _settle(self) -> None:
        manager = self.parent
        if not hasattr(os, "fork") or self.folder is not None or manager is None or manager.transport != "tcp":
            return
        self.folder, self.handle = folders.make_kernel_folder()
        manager.transport = "ipc"
        manager.ip = str(self.folder / "c")
        if not manager.connection_file:
            manager.connection_file = str(self.folder / "kernel.json")

    def _fork(self, cmd: list[str], options: dict[str, Any]) -> Forked:
        environment = options.get("env") or dict(os.environ)
        if not identity.is_wanted(environment):
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
            "umask": _read_umask(),
            "folder": str(self.folder or ""),
            "notebooks": [str(path) for path in _find_notebooks(folder, environment)],
            "root": str(find_root(folder)),
            "idle": self.idle * 60,
        }
        key = identity.identify(python, environment, folder)
        if client.is_held(key) or environment.get("NBKIT_STAGE"):  # a run, which holds the server while it lasts
            request["idle"] = 0.0
        with open(os.devnull, "r+b") as nothing:  # noqa: PTH123
            usual = {"stdin": nothing.fileno(), "stdout": 1, "stderr": 2}
            streams = [_number(options.get(name), number, nothing.fileno()) for name, number in usual.items()]
            return client.ask_fork(key, python, request, streams)


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


def _read_umask() -> int:
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/self/status") as status:  # noqa: PTH123
        return int(next(line for line in status if line.startswith("Umask")).split()[1], 8)
    return 0o022
