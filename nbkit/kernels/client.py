"""Starts and ends this process's fork servers, and has them fork kernels."""

import contextlib
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbkit.errors import NoWarmKernel
from nbkit.kernels.environment import identify, is_wanted, make_environment

PATIENCE = 60.0  # seconds for a server to import and a kernel to listen
OF_ONE_KERNEL = ("NBKIT_", "JPY_", "MPLBACKEND")
# nothing of ours may lie on the path of a kernel
BOOT = "import sys; sys.path[0] = sys.argv.pop(1); from nbkit.kernels import server; del sys.path[0]; server.main()"

log = logging.getLogger("nbkit.kernels")
_lock = threading.Lock()
_servers: dict[tuple[str, ...], "ForkServer"] = {}  # by `identify`
_retired: list["ForkServer"] = []  # fork no more, and end with their last kernel


class ForkServer:
    """A fork server, which ends when it is closed or this process ends.

    Parameters
    ----------
    python
        The interpreter and its options.
    environment
        The environment of its kernels.
    """

    def __init__(self, python: Sequence[str], environment: Mapping[str, str]) -> None:
        kept = {name: value for name, value in environment.items() if not name.startswith(OF_ONE_KERNEL)}
        self.hangs = False
        self.control, other = socket.socketpair()
        with other:
            self.process = subprocess.Popen(
                [*python, "-c", BOOT, str(Path(__file__).parents[2]), str(other.fileno())],
                env=kept,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                start_new_session=True,
            )

    def ask(self, request: Mapping[str, Any], streams: Sequence[int] = ()) -> socket.socket:
        """Send a request over a connection of its own, and return that."""
        connection, other = socket.socketpair()
        with other:
            connection.settimeout(PATIENCE)
            try:
                socket.send_fds(self.control, [b"+"], [other.fileno()])
                data = json.dumps(request).encode() + b"\n"
                sent = socket.send_fds(connection, [data[:65536]], list(streams)) if streams else 0
                connection.sendall(data[sent:])
            except OSError:
                connection.close()
                raise
        return connection

    def status(self) -> dict[str, Any]:
        """Return what it says of itself: its `skipped` modules, what waits, and why it must fork no more."""
        with self.ask({"do": "status"}) as connection:
            return self.hear(connection)

    def hear(self, connection: socket.socket) -> dict[str, Any]:
        """Return its answer; if none comes in time it hangs, and is asked nothing more."""
        try:
            return _hear(connection)
        except TimeoutError:
            self.hangs = True
            raise

    def close(self) -> None:
        """End it at once, whatever it imports just now; its kernels have ended."""
        self.control.close()
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Forked:
    """A kernel that a server forked, with the part of ``subprocess.Popen`` that provisioners use."""

    stdin = stdout = stderr = None

    def __init__(self, connection: socket.socket, pid: int, server: ForkServer) -> None:
        self.connection = connection
        self.pid = pid
        self.server = server
        self.returncode: int | None = None

    def is_up_to_date(self) -> bool:
        """Return whether its server would fork another: nothing that it imported has changed."""
        try:
            return not (self.server.hangs or self.server.status()["changed"])
        except (OSError, NoWarmKernel):
            return False

    def poll(self) -> int | None:
        """Return the exit code once the kernel has ended; a server that died took it along."""
        if self.returncode is None and self._is_told(0):
            try:
                answer = _hear(self.connection)
            except (OSError, NoWarmKernel):
                for send in (os.killpg, os.kill):
                    with contextlib.suppress(OSError):
                        send(self.pid, signal.SIGKILL)
                answer = {"exit": -signal.SIGKILL}
            self.returncode = answer["exit"]
            self.connection.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit code."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("kernel", timeout or 0)
            self._is_told(0.1)
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

    def _is_told(self, timeout: float) -> bool:
        return bool(select.select([self.connection], [], [], timeout)[0])


@contextlib.contextmanager
def use_server(notebooks: Sequence[Path]) -> Iterator[ForkServer | None]:
    """Keep a fork server for a run's notebooks while the block lasts; None where none is needed or possible."""
    environment = make_environment()
    if not notebooks or not is_wanted(environment):
        yield None
        return
    server, inner = None, bool(_servers)  # a block around this one ends them
    try:
        with contextlib.suppress(OSError):
            server = _find_server((sys.executable,), environment)
            server.ask({"do": "expect", "notebooks": [str(path.resolve()) for path in notebooks]}).close()
        yield server
    finally:
        if not inner:
            _end_servers()


def fork_kernel(python: Sequence[str], request: dict[str, Any], streams: Sequence[int]) -> Forked:
    """Have a kernel forked, by the server there is or a new one, and wait until it listens.

    Raises
    ------
    NoWarmKernel
        If no server can do it; says why.
    """
    reason = ""
    for _ in range(3):  # a server that found its modules changed, or that was killed, makes room for another
        try:
            server = _find_server(python, request["env"])
        except OSError as error:
            raise NoWarmKernel(f"no fork server can be started: {error}") from None
        if server.hangs:
            raise NoWarmKernel("the fork server hangs")
        try:
            return _fork_at(server, request, streams)
        except TimeoutError:
            raise NoWarmKernel(f"the fork server did not answer in {PATIENCE:.0f} s") from None
        except (OSError, NoWarmKernel) as error:
            reason = str(error)
            log.info("asking another fork server: %s", reason)
            _retire(server)
    raise NoWarmKernel(reason)


def _find_server(python: Sequence[str], environment: Mapping[str, str]) -> ForkServer:
    key = identify(python, environment)
    with _lock:
        if key not in _servers:
            _servers[key] = ForkServer(python, environment)
        return _servers[key]


def _retire(server: ForkServer) -> None:
    with _lock:
        for key in [key for key, each in _servers.items() if each is server]:
            _retired.append(_servers.pop(key))
            server.control.close()


def _end_servers() -> None:
    with _lock:
        ended = [*_retired, *_servers.values()]
        _retired.clear()
        _servers.clear()
    for server in ended:
        server.close()


def _fork_at(server: ForkServer, request: dict[str, Any], streams: Sequence[int]) -> Forked:
    connection = server.ask(request, streams)
    try:
        answer = server.hear(connection)
        if "pid" not in answer:
            raise NoWarmKernel(answer.get("refused", "the fork server gave no kernel"))
        kernel = Forked(connection, answer["pid"], server)
        answer = server.hear(connection)
        if "ready" not in answer:
            raise NoWarmKernel(f"the forked kernel ended with {answer.get('exit')} before it listened")
    except (OSError, NoWarmKernel):
        connection.close()
        raise
    return kernel


def _hear(connection: socket.socket) -> dict[str, Any]:
    """Read one line byte by byte: the next may belong to somebody else."""
    data = b""
    while not data.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            raise NoWarmKernel("the fork server ended")
        data += byte
    answer: dict[str, Any] = json.loads(data)
    return answer
