"""The web server around the service: how long a client may take, how many may be connected, how it stops."""

import os
import signal
import threading
import time
from asyncio import BaseTransport
from dataclasses import dataclass
from types import FrameType
from typing import Any, ClassVar

import msgspec
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol


@dataclass(frozen=True)
class Limits:
    """What a client may ask of the server's patience, in seconds but for `connections`.

    Attributes
    ----------
    connections
        How many at a time. One more takes the place of the one that has been idle for the longest.
    head
        From the connection, or the last answer, to the end of a request's headers.
    body
        From there to the end of the body.
    answer
        How long an answer may wait for a client that does not read it.
    idle
        Without a byte after an answer.
    linger
        After SIGTERM ``/ready`` says 503 and requests are still taken, so that a load balancer can turn away.
    grace
        After SIGTERM the process has ended by then.
    """

    connections: int = 500
    head: float = 10.0
    body: float = 30.0
    answer: float = 30.0
    idle: int = 5
    linger: float = 1.0
    grace: float = 10.0


class Connection(H11Protocol):
    """A connection that does not wait for ever."""

    limits: ClassVar[Limits] = Limits()
    closed: ClassVar[Any] = None  # a counter with the label `why`

    def connection_made(self, transport: BaseTransport) -> None:
        """Take a connection; if there are too many, close the one that has been idle for the longest."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self.phase, self.since = self._find_phase(), self.loop.time()
        if len(self.connections) > self.limits.connections:
            idle = [one for one in self.connections if isinstance(one, Connection) and one._find_phase()[0] == "head"]
            self._describe_why("room")
            oldest = min(idle, key=lambda one: one.since)
            if oldest is self:
                self.refuse(503, "too many connections; try again later")
            else:
                oldest.transport.abort()
            self.connections.discard(oldest)  # at once: more may come before it is seen to be lost

    def check_time(self, now: float) -> None:
        """Close the connection if its client takes too long."""
        phase = self._find_phase()
        if phase != self.phase:
            self.phase, self.since = phase, now
        limit = {"head": self.limits.head, "body": self.limits.body, "answer": self.limits.answer}.get(phase[0])
        if limit is None or now - self.since <= limit:
            return
        if phase[0] == "answer" or self.transport.is_closing():
            self._describe_why("answer")
            self.transport.abort()
            return
        self._describe_why(phase[0])
        if phase[0] == "head" and not self.conn.trailing_data[0]:
            self.transport.close()
        else:
            self.refuse(408, f"the {phase[0]} of the request took longer than {limit:g} s")

    def refuse(self, status: int, why: str) -> None:
        """Answer without the application, and close."""
        body = msgspec.json.encode({"error": why})
        head = (
            f"HTTP/1.1 {status} \r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close"
        )
        self.transport.write(head.encode() + b"\r\n\r\n" + body)
        self.transport.close()

    def _find_phase(self) -> tuple[str, Any]:
        """Return what is waited for, and in which request."""
        if self.transport.get_write_buffer_size():
            return "answer", self.cycle
        if self.cycle is None or self.cycle.response_complete:
            return "head", self.cycle
        return ("body" if self.cycle.more_body else "work"), self.cycle

    def _describe_why(self, why: str) -> None:
        if self.closed is not None:
            self.closed.labels(why).inc()


class Server(uvicorn.Server):
    """Serves an application of `nbkit.serve.create_app` until SIGTERM or SIGINT.

    Parameters
    ----------
    app
        From `nbkit.serve.create_app`.
    limits
        Of clients, and of stopping.
    """

    def __init__(self, app: Starlette, limits: Limits) -> None:
        self.at, self.limits, self._leave_at = app.state.endpoints, limits, float("inf")
        kind = type("LimitedConnection", (Connection,), {"limits": limits, "closed": self.at.telemetry.closed})
        config = uvicorn.Config(
            app, http=kind, ws="none", log_config=None, log_level="warning", access_log=False, server_header=False,
            proxy_headers=False, backlog=128, timeout_keep_alive=limits.idle,
            timeout_graceful_shutdown=0.8 * limits.grace - limits.linger,  # type: ignore[arg-type]
        )  # fmt: skip
        super().__init__(config)

    async def on_tick(self, counter: int) -> bool:
        """Look every second for clients that take too long; every tenth of a second whether to stop."""
        now = time.monotonic()
        self.should_exit = self.should_exit or now >= self._leave_at
        if counter % 10 == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.check_time(connection.loop.time())
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second signal does not linger, and a third does not wait for running requests."""
        first, self.at.is_stopping = not self.at.is_stopping, True
        if first:
            end = threading.Timer(self.limits.grace, os._exit, [128 + sig])  # should a model not come back
            end.daemon = True
            end.start()
        if first and sig == signal.SIGTERM:
            self._leave_at = time.monotonic() + self.limits.linger
        elif self.should_exit:
            self.force_exit = True
        else:
            self.should_exit = True
