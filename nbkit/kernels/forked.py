"""A kernel that a server forked, seen by its owner: alive or ended, and how."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from typing import Any

from nbkit.errors import NoWarmKernel


class Forked:
    """A kernel that the server forked, with the part of ``subprocess.Popen`` that provisioners use."""

    stdin = stdout = stderr = None

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self.connection = connection
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code once the kernel has ended; a server that died took it along."""
        if self.returncode is None and _is_readable(self.connection, 0):
            try:
                answer = hear(self.connection)
            except (OSError, NoWarmKernel):
                self._signal(signal.SIGKILL)
                answer = {"exit": -signal.SIGKILL}
            if "exit" in answer:
                self.returncode = answer["exit"]
                self.connection.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit code."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("kernel", timeout or 0)
            _is_readable(self.connection, 0.1)
        return self.returncode or 0

    def send_signal(self, signum: int) -> None:
        """Signal the kernel, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Ask the kernel to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the kernel."""
        self.send_signal(signal.SIGKILL)

    def _signal(self, signum: int) -> None:
        for send in (os.killpg, os.kill):
            with contextlib.suppress(OSError):
                send(self.pid, signum)


def hear(connection: socket.socket) -> dict[str, Any]:
    """Read one line byte by byte: the next may belong to somebody else."""
    data = b""
    while not data.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            raise NoWarmKernel("the fork server ended")
        data += byte
    answer: dict[str, Any] = json.loads(data)
    return answer


def _is_readable(connection: socket.socket, timeout: float) -> bool:
    return bool(select.select([connection], [], [], timeout)[0])
