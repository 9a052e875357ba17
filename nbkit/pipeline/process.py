"""A process of nbkit's own that is told in a line of JSON what to do, and answers in the same way."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import IO, Any


class Process:
    """A module that runs in a process of its own; an interruption of this one does not reach it by itself.

    Parameters
    ----------
    module
        What is run.
    stderr
        Where its stderr goes, as for `subprocess.Popen`.
    environment
        Its environment; this process's by default.
    """

    def __init__(
        self, module: str, stderr: IO[Any] | int = subprocess.DEVNULL, environment: Mapping[str, str] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the parent, which interrupts once
        )
        assert self.process.stdin
        assert self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def tell(self, message: Mapping[str, Any]) -> None:
        """Hand it a line; who has ended does not hear it."""
        with contextlib.suppress(BrokenPipeError):
            self.stdin.write(json.dumps(message) + "\n")
            self.stdin.flush()

    def send(self, which: signal.Signals) -> None:
        """Interrupt or kill it."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(which)

    def end(self, grace: float) -> None:
        """Wait for its end, and kill it after so many seconds."""
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
