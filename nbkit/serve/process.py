"""The service as a process of its own, started for a while and never left behind."""

import atexit
import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import IO, Self
from urllib.parse import urlsplit

from nbkit.errors import ServiceFailed
from nbkit.extend import imported
from nbkit.serve.access import VARIABLE

TAIL = 2_000


class Service:
    """A scoring service on this machine, as a context manager; it may use the project's modules that are in use here.

    Parameters
    ----------
    registry
        Folder or URL of the registry.
    reference
        ``NAME@ALIAS`` or ``NAME@NUMBER``.
    port
        0 takes a free one.
    log
        Folder of the request log; none by default.
    timeout
        Seconds until it must be ready.
    token
        What requests must carry, handed over in the environment; none by default.

    Attributes
    ----------
    url
        ``http://127.0.0.1:PORT``.
    seconds
        How long it took from the start until ready.
    token
        As given.

    Raises
    ------
    ServiceFailed
        It ended or was not ready in time; the message holds the end of what it said.
    """

    def __init__(
        self,
        registry: str | os.PathLike[str],
        reference: str,
        *,
        port: int = 0,
        log: str | os.PathLike[str] | None = None,
        timeout: float = 60.0,
        token: str | None = None,
    ) -> None:
        self.reference, self.timeout, self.token = reference, timeout, token
        place = os.fspath(registry)
        place = place if "://" in place else os.path.abspath(place)  # noqa: PTH100 - a text, also for URLs
        self._command = [sys.executable, "-m", "nbkit", "serve", reference, "--registry", place]
        self._command += ["--port", str(port), "--until-stdin-closes", *(["--log", os.fspath(log)] if log else [])]
        self._command += [f"--use={name}" for name in imported]
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self.url, self.seconds = "", float("nan")

    def start(self) -> Self:
        """Start it and wait until it is ready."""
        began = time.monotonic()
        environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
        environment |= {VARIABLE: self.token} if self.token else {}
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - without a name: nobody can leave it behind
        atexit.register(self.stop)
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                env=environment,
            )
            while not self._is_ready():
                self._check(time.monotonic() - began)
                time.sleep(0.05)
        except BaseException:
            self.stop()
            raise
        self.seconds = time.monotonic() - began
        return self

    def stop(self, grace: float = 5.0) -> None:
        """Ask it to end, and end it after `grace` seconds; harmless if it has ended."""
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(grace)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()
        if self._output is not None:
            self._output.close()
            self._output = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process else None

    def said(self) -> str:
        """Return the end of what it wrote."""
        if self._output is None:
            return ""
        handle = self._output.fileno()
        written = os.pread(handle, TAIL, max(os.fstat(handle).st_size - TAIL, 0))  # the service goes on at the offset
        return written.decode(errors="replace").strip()

    def _is_ready(self) -> bool:
        found = re.search(r"listening on (http://\S+)", self.said())
        if not found:
            return False
        self.url = found.group(1)
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
        try:
            connection.request("GET", "/ready")
            answer = connection.getresponse()
            body = answer.read().decode()
        except OSError:
            return False
        finally:
            connection.close()
        if answer.status == 503:
            raise ServiceFailed(f"{self.reference} does not give its golden answers here: {body}")
        return answer.status == 200

    def _check(self, waited: float) -> None:
        code = self._process.poll() if self._process else None
        if code is not None:
            raise ServiceFailed(f"the service of {self.reference} ended with code {code}: {self.said()}")
        if waited > self.timeout:
            said = self.said() or "it is silent"
            raise ServiceFailed(f"the service of {self.reference} was not ready after {self.timeout:g} s: {said}")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()
