"""The fork server: imports what notebooks import, computes nothing, and forks a kernel for each request.

It is a process of its own without a thread, and belongs to the process that started it (`client.py`): it ends when that
has let go of it and no kernel is left. Each request comes over a connection of its own; one that ends ends its kernel.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbkit.kernels.preload import find_preload
from nbkit.lighten import defer_imports

# what every kernel imports while it starts, and then what one imports in its first cells
FIRST = (
    "IPython.core.completerlib", "IPython.core.debugger_backport", "IPython.core.oinspect",
    "IPython.extensions.storemagic", "IPython.utils.wildcard", "ipykernel.debugger", "ipykernel.ipkernel",
    "ipykernel.kernelapp", "ipykernel.zmqshell", "sqlite3", "tornado.platform.asyncio",
)  # fmt: skip
LATER = ("jedi", "psutil", "stack_data")
MAX_REQUEST = 16_000_000  # bytes
QUIET = 0.3  # seconds without a request after which it imports what may be needed: short stages come one upon the other
PATIENCE = 2.0  # seconds for a connected client to say what it wants


@dataclass
class Client:
    """A request, and the kernel that was forked for it, if any."""

    connection: socket.socket
    pid: int = 0
    folder: str = ""


class Server:
    """The state of a server.

    Parameters
    ----------
    control
        The socket over which connections come; its end is the server's.

    Attributes
    ----------
    waiting
        Modules that it imports when nobody asks for anything.
    skipped
        Modules that it does not import, and why.
    files
        What the imported modules' files looked like.
    given
        The environment that it was started with.
    """

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.clients: dict[int, Client] = {}
        self.waiting = list(LATER)
        self.skipped: dict[str, str] = {}
        self.files: dict[str, tuple[int, int, int]] = {}
        self.known: set[str] = set()
        self.given = dict(os.environ)
        self.folders: set[str] = set()  # of the kernels that it has forked
        self.open = True
        self.served = False
        signal.signal(signal.SIGCHLD, lambda number, frame: self._reap())

    # --- serving

    def serve(self) -> None:
        """Answer until the owner lets go, and the last kernel has ended."""
        self.load(FIRST)
        busy = False
        while self.open or self.clients:
            importing = self.open and self.waiting
            pause = QUIET * 1000 if busy and self.served else 0
            busy = self._answer(pause if importing else None)
            self._reap()
            if not busy and importing:
                self.load([self.waiting.pop(0)])
        for folder in self.folders:  # of an owner that was killed before it cleaned up
            shutil.rmtree(folder, ignore_errors=True)

    def _answer(self, patience: float | None) -> bool:
        poll = select.poll()
        for number in ([self.control.fileno()] if self.open else []) + list(self.clients):
            poll.register(number, select.POLLIN)
        ready = poll.poll(patience)
        for number, _ in ready:
            if number in self.clients:
                self._hear(self.clients[number])
            elif number == self.control.fileno():
                self._accept()
        return bool(ready)

    def _accept(self) -> None:
        data, handles, _, _ = socket.recv_fds(self.control, 1, 1)
        self.open = bool(data)
        for handle in handles:
            connection = socket.socket(fileno=handle)
            connection.settimeout(PATIENCE)
            self.clients[handle] = Client(connection)

    def _drop(self, client: Client) -> None:
        del self.clients[client.connection.fileno()]
        client.connection.close()

    def _hear(self, client: Client) -> None:
        try:
            request, handles = _receive(client.connection)
        except (OSError, ValueError):
            request, handles = {}, []
        try:
            if request and request["do"] == "fork":
                self._fork(client, request, handles)
            elif request and request["do"] == "expect":
                self._expect(request)
                self._drop(client)
            elif request:
                told = {"waiting": self.waiting, "skipped": self.skipped, "changed": self._find_trouble()}
                _send(client.connection, told)
                self._drop(client)
            else:
                self._lose(client)
        except (OSError, LookupError, TypeError):  # gone, no process to be had, or no request of ours
            self._lose(client)
        finally:
            for handle in handles:
                os.close(handle)

    def _lose(self, client: Client) -> None:
        """Forget a client that is gone; a kernel that still runs goes with it, and what it left in the file system."""
        if client.pid:
            _kill_group(client.pid)
            shutil.rmtree(client.folder, ignore_errors=True)
        self._drop(client)

    def _fork(self, client: Client, request: dict[str, Any], handles: list[int]) -> None:
        self.load(self._expect(request))
        if trouble := self._find_trouble():
            _send(client.connection, {"refused": trouble})
            self._drop(client)
            return
        client.folder = request["folder"]
        self.folders.update(filter(None, [client.folder]))
        gc.freeze()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: a process with threads forks
            pid = os.fork()
        if pid == 0:
            from nbkit.kernels.child import become_kernel

            for each in (self.control, *(each.connection for each in self.clients.values())):
                if each is not client.connection:
                    each.close()
            added = {name: value for name, value in os.environ.items() if name not in self.given}  # by what it imported
            become_kernel({**request, "env": {**added, **request["env"]}}, handles, client.connection)
        self.served = True
        try:
            _send(client.connection, {"pid": pid})
        finally:
            client.pid = pid  # from now on its end may be told

    def _expect(self, request: dict[str, Any]) -> list[str]:
        """Queue what notebooks reach; return what they cannot do without."""
        try:
            sure, perhaps = find_preload(map(Path, request["notebooks"]))
        except Exception as error:  # what is in a project may be anything: its kernels import for themselves
            self.skipped[", ".join(request["notebooks"])] = f"{type(error).__name__}: {error}"
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
        """Tell the owner of kernels that ended how they ended; at once, also in the middle of an import."""
        for client in list(self.clients.values()):
            with contextlib.suppress(OSError):
                pid, status = os.waitpid(client.pid, os.WNOHANG) if client.pid else (0, 0)
                if pid:
                    client.pid = 0
                    _send(client.connection, {"exit": os.waitstatus_to_exitcode(status)})

    # --- importing

    def load(self, names: Any) -> None:
        """Import modules, unless they are there or could not be imported before."""
        for name in names:
            if name in sys.modules or name in self.skipped:
                continue
            try:
                with defer_imports(name):
                    importlib.import_module(name)
            except Exception as error:  # a kernel will meet the same where it can be seen
                self.skipped[name] = f"{type(error).__name__}: {error}"
        for name, module in list(sys.modules.items()):
            if name not in self.known:
                self.known.add(name)
                if place := getattr(module, "__file__", None):
                    self.files[place] = _look(place)


def main() -> None:
    """Serve at the socket that the command line tells."""
    gc.disable()  # what is imported stays: looking for garbage among it costs a tenth of the time
    Server(socket.socket(fileno=int(sys.argv[1]))).serve()
    os._exit(0)


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Read one request and the file descriptors that come with it; an empty one if the client is gone."""
    data, handles, _, _ = socket.recv_fds(connection, 65536, 3)
    while data and not data.endswith(b"\n") and len(data) < MAX_REQUEST:
        more = connection.recv(65536)
        data = data + more if more else b""
    return (json.loads(data) if data else {}), handles


def _send(connection: socket.socket, facts: dict[str, Any]) -> None:
    connection.sendall(json.dumps(facts).encode() + b"\n")


def _look(place: str) -> tuple[int, int, int]:
    try:
        found = os.stat(place)  # noqa: PTH116 - thousands of them before each fork
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino


def _kill_group(pid: int) -> None:
    """Kill a child with its group, and wait: until it is gone it may still lay sockets into its folder."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(OSError):
            kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    with contextlib.suppress(ChildProcessError):  # reaped already
        while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.001)
