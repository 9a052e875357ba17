"""Finds, starts and asks fork servers: which one fits is decided by interpreter, environment and installed packages."""

import atexit
import contextlib
import hashlib
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbkit.errors import NoWarmKernel
from nbkit.kernels import folders

IMPORTED_UNDER = (  # beginnings of environment variables that count when Python or a library is loaded
    "PYTHON", "LD_", "DYLD_", "LANG", "LC_", "HOME", "GOMP_", "KMP_", "OMP_", "MKL_", "OPENBLAS_", "BLIS_", "GOTO_",
    "VECLIB_", "NUMBA_", "NUMEXPR_", "NPY_", "MALLOC_", "ARROW_", "MATPLOTLIBRC", "MPLCONFIGDIR", "SKLEARN_", "PANDAS_",
)  # fmt: skip
# OpenMP threads that spin long while they wait make boosting five times slower on cores that others use as well; those
# that never spin make it three times slower on idle ones
KERNEL = {"GOMP_SPINCOUNT": "1000"}
SET_LATER = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MPLBACKEND")  # the child applies them
OF_ONE_KERNEL = ("NBKIT_", "JPY_")
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
                with folders.hold_home() as home:
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


def make_environment(**more: str) -> dict[str, str]:
    """Return the environment of a run's kernels: this process's, what makes runs repeatable, and `more`."""
    return {**KERNEL, **os.environ, "PYTHONHASHSEED": "0", **more}


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Tell whether kernels may be forked here: not on Windows, and not if ``NBKIT_WARM`` is 0."""
    return hasattr(os, "fork") and environment.get("NBKIT_WARM", "1") not in ("0", "no", "off", "false")


def is_held(key: str) -> bool:
    """Tell whether a run of this process holds the server of that identity."""
    return key in _held


def identify(python: Sequence[str], environment: Mapping[str, str], folder: Path) -> str:
    """Return a name for the servers whose children are just what a kernel started now would be.

    Parameters
    ----------
    python
        The interpreter and its options.
    environment
        The kernel's environment.
    folder
        Where the kernel works: servers are not shared between projects.
    """
    facts = {
        "python": [*python, sys.version],
        "environment": {
            name: value
            for name, value in sorted(environment.items())
            if name.startswith(IMPORTED_UNDER) and name not in SET_LATER
        },
        "folder": str(folder.resolve()),
        "installed": _list_installed(),
        "own": [path.stat().st_mtime_ns for path in sorted(Path(__file__).parent.glob("*.py"))],
        "process": _describe_process(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def place_of(key: str) -> Path:
    """Return the socket of a server."""
    return folders.find_home() / f"{key}.sock"


def ask_fork(key: str, python: Sequence[str], request: dict[str, Any], streams: Sequence[int]) -> "Forked":
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
                answer = _hear(self.connection)
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


def _fork_at(connection: socket.socket, request: dict[str, Any], streams: Sequence[int]) -> Forked:
    connection.settimeout(PATIENCE)
    _say(connection, request, streams)
    answer = _hear(connection)
    if "pid" not in answer:
        raise NoWarmKernel(answer.get("refused", "the fork server gave no kernel"))
    kernel = Forked(connection, answer["pid"])
    answer = _hear(connection)
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
    with folders.hold_home() as home:
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


def _ask(place: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10.0)
        connection.connect(str(place))
        _say(connection, request)
        return _hear(connection)


def _is_readable(connection: socket.socket, timeout: float) -> bool:
    return bool(select.select([connection], [], [], timeout)[0])


def _check_peer(connection: socket.socket) -> None:
    if hasattr(socket, "SO_PEERCRED"):
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        if int.from_bytes(found[4:8], sys.byteorder) != os.getuid():
            raise PermissionError("the fork server belongs to somebody else")


def _list_installed() -> list[tuple[str, int]]:
    """Return what is installed, by the names and times of its metadata."""
    found = []
    for folder in dict.fromkeys(sys.path):
        with contextlib.suppress(OSError), os.scandir(folder or ".") as entries:
            for entry in entries:
                if entry.name.endswith((".dist-info", ".egg-info", ".pth", ".egg-link")):
                    record = f"{entry.path}/RECORD"
                    changed = os.stat(record if os.path.exists(record) else entry.path).st_mtime_ns  # noqa: PTH110, PTH116
                    found.append((entry.path, changed))
    return sorted(found)


def _describe_process() -> dict[str, Any]:
    """Return what a child inherits from its server rather than from its owner."""
    import resource

    limits = {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")}
    groups = Path("/proc/self/cgroup")
    return {
        "user": [os.getuid(), os.getgid()],
        "limits": limits,
        "nice": os.nice(0),
        "cores": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [],
        "group": groups.read_text() if groups.is_file() else "",
    }
