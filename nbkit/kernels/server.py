"""The fork server: imports what notebooks import, computes nothing, and forks a kernel for each who asks.

It runs in a process of its own (`client.py` starts it) and has no thread. Whoever is connected keeps it alive: a run
that holds it, and each kernel's owner. A connection that ends ends its kernel.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbkit.kernels import folders, trial
from nbkit.kernels.preload import find_preload
from nbkit.lighten import defer_imports

# what every kernel imports while it starts, and then what one imports in its first cells
FIRST = (
    "IPython.core.completerlib",
    "IPython.core.debugger_backport",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "IPython.utils.wildcard",
    "ipykernel.debugger",
    "ipykernel.ipkernel",
    "ipykernel.kernelapp",
    "ipykernel.zmqshell",
    "sqlite3",
    "tornado.platform.asyncio",
)
LATER = ("jedi", "psutil", "stack_data")
MAX_REQUEST = 16_000_000  # bytes
QUIET = 0.3  # seconds without a request after which it imports what may be needed: short stages come one upon the other
PATIENCE = 2.0  # seconds for a connected client to say what it wants


@dataclass
class Client:
    """Somebody who is connected: asking something, or in need of the server for a run or a kernel."""

    connection: socket.socket
    needs: bool = False
    pid: int = 0
    folder: str = ""


@dataclass
class Server:
    """The state of a server.

    Attributes
    ----------
    listener, path
        The socket that it was started with, and its place.
    idle
        Seconds without anybody connected after which it ends.
    waiting
        Modules that it imports when nobody asks for anything.
    skipped
        Modules that it does not import, and why.
    files
        What the imported modules' files looked like.
    given
        The environment that it was started with.
    """

    listener: socket.socket
    path: Path
    idle: float = 0.0
    clients: dict[int, Client] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    given: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    born: float = field(default_factory=time.monotonic)
    lonely: float = field(default_factory=time.monotonic)
    closed: bool = False
    importing: bool = False
    served: bool = False

    def __post_init__(self) -> None:
        self.alarm, wake = socket.socketpair()
        for end in (self.alarm, wake):
            end.settimeout(0)
        self.wake = wake
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGUSR1, lambda number, frame: self._end_early() if self.importing else None)
        signal.signal(signal.SIGCHLD, lambda number, frame: self._reap() if self.importing else None)

    # --- serving

    def serve(self) -> None:
        """Answer until nobody is connected for as long as `idle`."""
        self.load(FIRST)
        self.waiting += LATER
        busy = False
        while not self._is_over():
            pause = QUIET if busy and self.served else 0.0
            busy = self._answer_those_who_ask(pause if self.waiting else self._remaining())
            self._reap()
            if not busy and self.waiting:
                self.load([self.waiting.pop(0)])

    def _answer_those_who_ask(self, patience: float) -> bool:
        poll = select.poll()
        for number in (self.alarm.fileno(), *([] if self.closed else [self.listener.fileno()]), *self.clients):
            poll.register(number, select.POLLIN)
        ready = poll.poll(patience * 1000)
        for number, _ in ready:
            if number == self.alarm.fileno():
                self.alarm.recv(1000)
            elif number == self.listener.fileno():
                connection = self.listener.accept()[0]
                connection.settimeout(PATIENCE)
                self.clients[connection.fileno()] = Client(connection)
            elif number in self.clients:
                self._hear(self.clients[number])
        return bool(ready)

    def _remaining(self) -> float:
        return 3600.0 if self.clients else max(self.lonely + self.idle - time.monotonic(), 0.0) + 0.001

    def _is_over(self) -> bool:
        if self.clients or time.monotonic() < self.lonely + self.idle:
            return False
        with folders.lock_runtime_dir():
            if not self.closed and select.select([self.listener], [], [], 0)[0]:
                return False
            self._close()
            folders.sweep_kernel_folders()  # of an owner that was killed between its kernel's end and cleaning up
        return True

    def _end_early(self) -> None:
        """End in the middle of an import, if nobody is left to import for."""
        if self.idle or any(client.pid or not _has_hung_up(client.connection) for client in self.clients.values()):
            return
        with folders.lock_runtime_dir():
            if self.closed or select.select([self.listener], [], [], 0)[0]:
                return
            self._close()
        os._exit(0)

    def _step_down(self) -> None:
        """Accept nobody any more, as the next who asks shall start another server, and end with the last kernel."""
        self.idle = 0.0
        with folders.lock_runtime_dir():
            self._close()

    def _close(self) -> None:
        if not self.closed:
            folders.remove_socket(self.path)
            self.listener.close()
            self.closed = True

    def _drop(self, client: Client) -> None:
        self.clients.pop(client.connection.fileno(), None)
        client.connection.close()
        if client.needs:
            self.lonely = time.monotonic()

    # --- requests

    def _hear(self, client: Client) -> None:
        try:
            request, handles = _receive(client.connection)
        except (OSError, ValueError):
            request, handles = {}, []
        try:
            if not request:
                self._lose(client)
            elif request["do"] == "fork":
                self._fork(client, request, handles)
            else:
                self._obey(client, request)
        except (OSError, LookupError, TypeError):  # gone, no process to be had, or nobody of ours
            self._lose(client)
        finally:
            for handle in handles:
                os.close(handle)

    def _lose(self, client: Client) -> None:
        """Forget a client that is gone; a kernel that still runs goes with it, and what it left in the file system."""
        if client.pid:
            _kill_group(client.pid)
            _await_end(client.pid)
            folders.remove_kernel_folder(Path(client.folder))
        self._drop(client)

    def _obey(self, client: Client, request: dict[str, Any]) -> None:
        if "idle" in request:
            self.idle = max(self.idle, request["idle"])
        if request["do"] == "hold":
            client.needs = True
            self._expect(request)
            return
        if request["do"] == "stop":
            self._step_down()
        _send(client.connection, self._describe())
        self._drop(client)

    def _describe(self) -> dict[str, Any]:
        kernels = [client.pid for client in self.clients.values() if client.pid]
        return {
            "pid": os.getpid(),
            "python": sys.executable,
            "up": round(time.monotonic() - self.born, 1),
            "idle": self.idle,
            "kernels": kernels,
            "modules": len(sys.modules),
            "waiting": self.waiting,
            "skipped": self.skipped,
            "changed": self._find_trouble(),
        }

    def _fork(self, client: Client, request: dict[str, Any], handles: list[int]) -> None:
        client.needs = True
        self.idle = max(self.idle, request["idle"])
        self.load(self._expect(request))
        if trouble := self._find_trouble():
            self._step_down()
            _send(client.connection, {"refused": trouble})
            self._drop(client)
            return
        client.folder = request["folder"]
        gc.freeze()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: a process with threads forks
            pid = os.fork()
        if pid == 0:
            from nbkit.kernels.child import become_kernel

            for number in (self.alarm, self.wake, self.listener, *(each.connection for each in self.clients.values())):
                if number is not client.connection:
                    number.close()
            added = {
                name: value for name, value in os.environ.items() if name not in self.given
            }  # by what was imported
            become_kernel({**request, "env": {**added, **request["env"]}}, handles, client.connection)
        client.pid = pid
        self.served = True
        _send(client.connection, {"pid": pid})

    def _expect(self, request: dict[str, Any]) -> list[str]:
        """Queue what notebooks reach; return what they cannot do without."""
        try:
            sure, perhaps = find_preload(map(Path, request["notebooks"]), Path(request["root"]))
        except Exception as error:  # what is in a project may be anything: its kernels import for themselves
            self.skipped[request["root"]] = f"{type(error).__name__}: {error}"
            return []
        self.waiting = list(dict.fromkeys([*sure, *perhaps, *self.waiting]))
        return sure

    def _find_trouble(self) -> str:
        """Return why this process must not be forked any more, if so."""
        if threading.active_count() > 1:
            return f"a preloaded module started the thread {threading.enumerate()[-1].name}"
        changed = next((name for name, before in self.files.items() if _look(name) != before), "")
        return f"{changed} has changed" if changed else ""

    def _reap(self) -> None:
        """Tell the owners of kernels that ended how they ended."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                for client in [each for each in self.clients.values() if each.pid == pid]:
                    client.pid = 0
                    with contextlib.suppress(OSError):
                        _send(client.connection, {"exit": os.waitstatus_to_exitcode(status)})

    # --- importing

    def load(self, names: Any) -> None:
        """Import modules, after a trial where nobody knows what importing them does."""
        for name in names:
            if name in sys.modules or name in self.skipped:
                continue
            reason = trial.judge(name)
            self.importing = True  # for a second, maybe: a kernel that ends meanwhile is told at once
            if reason := reason or _import(name):
                self.skipped[name] = reason
            self.importing = False
        for name, module in list(sys.modules.items()):
            if name not in self.known:
                self.known.add(name)
                if place := getattr(module, "__file__", None):
                    self.files[place] = _look(place)


def main() -> None:
    """Serve at the socket that the command line tells."""
    gc.disable()  # what is imported stays: looking for garbage among it costs a tenth of the time
    number, place = int(sys.argv[1]), Path(sys.argv[2])
    os.chdir("/")
    Server(socket.socket(fileno=number), place).serve()
    sys.stdout.flush()
    os._exit(0)


def _import(name: str) -> str:
    """Import a module; return why that failed, if it did: a kernel will meet the same error where it can be seen."""
    try:
        with defer_imports(name):
            importlib.import_module(name)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Read one request and the file descriptors that come with it; an empty one if the client is gone."""
    data, handles, _, _ = socket.recv_fds(connection, 65536, 3)
    while data and not data.endswith(b"\n") and len(data) < MAX_REQUEST:
        more = connection.recv(65536)
        data = data + more if more else b""
    return (json.loads(data) if data else {}), handles


def _send(connection: socket.socket, facts: dict[str, Any]) -> None:
    connection.sendall(json.dumps(facts).encode() + b"\n")


def _has_hung_up(connection: socket.socket) -> bool:
    if not select.select([connection], [], [], 0)[0]:
        return False
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except OSError:
        return True


def _look(place: str) -> tuple[int, int, int]:
    try:
        found = os.stat(place)  # noqa: PTH116 - thousands of them before each fork
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino


def _await_end(pid: int) -> None:
    """Wait for a killed child: until it is gone it may still lay sockets into its folder."""
    deadline = time.monotonic() + PATIENCE
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.001)


def _kill_group(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(OSError):
            kill(pid, signal.SIGKILL)
