"""What stands around all pages: who may ask, an answer whatever fails, and the word that a connection ends."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nbkit.serve.access import is_allowed

logger = logging.getLogger("nbkit.serve")


class Guard:
    """Passes requests on to an application.

    Parameters
    ----------
    app
        What answers.
    note
        Is called with path and status of each answer, and says whether the connection ends with it.
    token
        What requests must carry; None if anyone may ask.
    """

    def __init__(self, app: ASGIApp, note: Callable[[str, int], bool], token: str | None) -> None:
        self.app, self.note, self.token = app, note, token.encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_open = True

        async def mark(message: Message) -> None:
            nonlocal is_open
            if message["type"] == "http.response.start":
                is_open = False
                if self.note(scope["path"], message["status"]):
                    message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        failed = await self._pass_on(scope, receive, mark)
        if failed is not None and is_open:
            await failed(scope, receive, mark)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> Response | None:
        given = next((value for key, value in scope["headers"] if key == b"authorization"), b"")
        if not is_allowed(scope["path"], given, self.token):
            answer = respond({"error": "authentication required: send 'Authorization: Bearer TOKEN'"}, 401)
            answer.headers["www-authenticate"] = "Bearer"
            return answer
        try:
            await self.app(scope, receive, send)
        except ClientDisconnect:
            return None
        except asyncio.CancelledError:  # the grace is over
            return respond({"error": "the service stops before it could answer; ask again"}, 503)
        except Exception as error:  # whatever it is: one line, and an answer
            logger.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
            return respond({"error": f"the service failed: {type(error).__name__}"}, 500)
        return None


def respond(what: Any, status: int = 200) -> Response:
    """Answer JSON; NaN and infinity become null.

    Examples
    --------
    >>> respond({"gap": float("nan")}).body
    b'{"gap":null}'
    """
    return Response(msgspec.json.encode(what, enc_hook=str), status, media_type="application/json")
