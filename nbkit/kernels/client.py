"""Finds, starts, holds and asks fork servers."""

import atexit
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbkit.errors import NoWarmKernel
from nbkit.kernels import folders
from nbkit.kernels.forked import Forked, hear
from nbkit.kernels.identity import OF_ONE_KERNEL, SET_LATER, identify, is_wanted, make_environment

PATIENCE = 60.0  # seconds for a server to import and a kernel to listen
# nothing of ours may lie on the path of a kernel
BOOT = "import sys; sys.path[0] = sys.argv.pop(1); from nbkit.kernels import server; del sys.path[0]; server.main()"

log = logging.getLogger("nbkit.kernels")
_lock = threading.Lock()
_started: list[subprocess.Popen[bytes]] = []
_held: dict[str, "Lease"] = {}
_hung: set[str] = set()


@dataclass
class Lease:
    """Keeps a server up until it is closed or this process ends.

    Attributes
    ----------
    key
        The server's identity.
    place
        The server's socket.
    """

    key: str
    place: Path
    connection: socket.socket
    notebooks: tuple[str, ...] = ()
    root: str = ""
    idle: float = 0.0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __enter__(self) -> "Lease":
        return self

    def __exit__(self, *trouble: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the server go, and wait for its end if nobody else holds it."""
        with _lock:
            _held.pop(self.key, None)
        self.connection.close()
        if self.process is None or self.idle:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGUSR1)  # it may be importing what nobody needs any more
        deadline = time.monotonic() + 1.0
        while self.process.poll() is None and self.place.exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            if not self.place.exists():
                self.process.wait(5.0)
            elif self.process.poll() is not None:  # it had only just begun
                with folders.lock_runtime_dir() as home:
                    folders.sweep(home)


def start_server(
    notebooks: Sequence[Path], root: Path, environment: Mapping[str, str], *, idle: float = 0.0
) -> Lease | None:
    """Start a fork server for a folder of notebooks, or take the one there is, without waiting for it.

    Parameters
    ----------
    notebooks
        What is to be run; they lie in one folder, in which their kernels will work.
    root
        The project, whose modules are never preloaded.
    environment
        The environment of the kernels.
    idle
        Seconds that the server stays up after the last who needs it.

    Returns
    -------
    Lease or None
        None where forking is not possible or not wanted: kernels will be started the ordinary way.
    """
    if not is_wanted(environment):
        return None
    python = (sys.executable,)
    key = identify(python, environment, notebooks[0].parent if notebooks else root)
    names = tuple(map(str, notebooks))
    try:
        connection, process = _connect(key, python, environment)
        lease = Lease(key, place_of(key), connection, names, str(root), idle, process)
        _say(connection, {"do": "hold", "notebooks": names, "root": str(root), "idle": idle})
    except OSError:
        return None
    with _lock:
        _held[key] = lease
    return lease


def use_server(notebooks: Sequence[Path], root: Path) -> contextlib.AbstractContextManager[Any]:
    """Hold a fork server for a run's notebooks while the block lasts; nothing where none is needed or possible."""
    server = start_server(notebooks, root, make_environment()) if notebooks else None
    return server or contextlib.nullcontext()


def is_held(key: str) -> bool:
    """Tell whether a run of this process holds the server of that identity."""
    return key in _held


def place_of(key: str) -> Path:
    """Return the socket of a server."""
    return folders.find_home() / f"{key}.sock"


def ask_fork(key: str, python: Sequence[str], request: dict[str, Any], streams: Sequence[int]) -> Forked:
    """Have a kernel forked, by the server there is or a new one, and wait until it listens.

    Raises
    ------
    NoWarmKernel
        If no server can do it; says why.
    """
    if key in _hung:
        raise NoWarmKernel("the fork server hangs")
    reason = ""
    for _ in range(3):  # a server that found its modules changed, or that was just ending, has made room for another
        try:
            connection, _process = _connect(key, python, request["env"])
        except OSError as error:
            raise NoWarmKernel(f"no fork server can be started: {error}") from None
        try:
            return _fork_at(connection, request, streams)
        except TimeoutError:
            connection.close()
            _hung.add(key)
            raise NoWarmKernel(f"the fork server did not answer in {PATIENCE:.0f} s") from None
        except (OSError, NoWarmKernel) as error:
            connection.close()
            reason = str(error)
            log.info("asking another fork server: %s", reason)
    raise NoWarmKernel(reason)


def is_up_to_date(kernel: Forked) -> bool:
    """Tell whether the server that forked a kernel would fork another: nothing that it imported has changed."""
    try:
        place = Path(kernel.connection.getpeername())
        return not _ask(place, {"do": "status"})["changed"]
    except (OSError, NoWarmKernel):
        return False


def find_servers() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the user's servers with what each says of itself."""
    for path in sorted(folders.find_home().glob("*.sock")):
        with contextlib.suppress(OSError, NoWarmKernel):
            yield path, _ask(path, {"do": "status"})


def stop_servers() -> int:
    """Tell the user's servers to end as soon as their kernels have ended; return how many there were."""
    places = [path for path, _ in find_servers()]
    for path in places:
        with contextlib.suppress(OSError, NoWarmKernel):
            _ask(path, {"do": "stop"})
    return len(places)


def _fork_at(connection: socket.socket, request: dict[str, Any], streams: Sequence[int]) -> Forked:
    connection.settimeout(PATIENCE)
    _say(connection, request, streams)
    answer = hear(connection)
    if "pid" not in answer:
        raise NoWarmKernel(answer.get("refused", "the fork server gave no kernel"))
    kernel = Forked(connection, answer["pid"])
    answer = hear(connection)
    if "ready" not in answer:
        raise NoWarmKernel(f"the forked kernel ended with {answer.get('exit')} before it listened")
    return kernel


def _connect(
    key: str, python: Sequence[str], environment: Mapping[str, str]
) -> tuple[socket.socket, subprocess.Popen[bytes] | None]:
    """Connect to the server of that identity; start it if there is none."""
    place = place_of(key)
    with contextlib.suppress(OSError):
        return _dial(place), None
    with folders.lock_runtime_dir() as home:
        folders.sweep(home)
        if place.exists():  # somebody else was faster
            return _dial(place), None
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(place))
            listener.listen(64)
            connection = _dial(place)  # before it runs: it finds us waiting
            process = _spawn(listener, place, python, environment)
    with _lock:
        _started[:] = [each for each in _started if each.poll() is None]
        _started.append(process)
        lease = _held.get(key)
    if lease is not None:  # the server of a run was killed or has stepped down
        lease.process = process
        lease.connection.close()
        lease.connection = _dial(place)
        _say(lease.connection, {"do": "hold", "notebooks": lease.notebooks, "root": lease.root, "idle": 0})
    return connection, process


def _dial(place: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(place))
        _check_peer(connection)
    except OSError:
        connection.close()
        raise
    return connection


@atexit.register
def _part() -> None:
    """Leave the servers that outlive this process without a word about them."""
    for process in _started:
        if process.poll() is None:
            process.returncode = 0


def _spawn(
    listener: socket.socket, place: Path, python: Sequence[str], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    kept = {
        name: value
        for name, value in environment.items()
        if name not in SET_LATER and not name.startswith(OF_ONE_KERNEL)
    }
    package = Path(__file__).parent.parent.parent
    with place.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(
            [*python, "-c", BOOT, str(package), str(listener.fileno()), str(place)],
            env=kept,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )


def _say(connection: socket.socket, request: Mapping[str, Any], streams: Sequence[int] = ()) -> None:
    data = json.dumps(request).encode() + b"\n"
    sent = socket.send_fds(connection, [data[:65536]], list(streams)) if streams else 0
    connection.sendall(data[sent:])


def _ask(place: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10.0)
        connection.connect(str(place))
        _say(connection, request)
        return hear(connection)


def _check_peer(connection: socket.socket) -> None:
    if hasattr(socket, "SO_PEERCRED"):
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        if int.from_bytes(found[4:8], sys.byteorder) != os.getuid():
            raise PermissionError("the fork server belongs to somebody else")
