"""The scoring service: endpoints around a predictor, with limits, metrics, readiness and a request log."""

import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nbkit.errors import ServiceFailed
from nbkit.registry.golden import TOLERANCE
from nbkit.serve.access import explain_content
from nbkit.serve.batching import Batcher
from nbkit.serve.guard import Guard, respond
from nbkit.serve.log import RequestLog
from nbkit.serve.predictor import Predictor, plain_rows
from nbkit.serve.schema import RowDecoder, count_rows
from nbkit.wording import format_count

MAX_BYTES = 10_000_000
MAX_ROWS = 10_000
MAX_HELD = 20  # bodies of the largest size that may be on their way together
MAX_SAID = 1_000  # characters of an error message
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Telemetry:
    """What ``GET /metrics`` tells, in Prometheus' text format."""

    def __init__(self, predictor: Predictor) -> None:
        self.registry = CollectorRegistry()
        kwargs: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("nbkit_requests", "Requests to /predict by status.", ["status"], **kwargs)
        self.rows = Counter("nbkit_rows", "Rows answered.", **kwargs)
        self.seconds = Histogram("nbkit_request_seconds", "Time to answer /predict.", buckets=SECONDS, **kwargs)
        self.batch = Histogram("nbkit_batch_rows", "Rows per model call.", buckets=(1, 2, 4, 8, 16, 64, 256), **kwargs)
        self.lost = Counter("nbkit_log_lines_lost", "Requests answered that could not be logged.", **kwargs)
        self.closed = Counter(
            "nbkit_connections_closed",
            "Connections closed for room, or as the client was slow with its head, its body or its answer.",
            ["why"],
            **kwargs,
        )
        facts = {"name": predictor.name, "number": str(predictor.number), "digest": predictor.digest}
        Gauge("nbkit_model", "The model served.", list(facts), **kwargs).labels(**facts).set(1)


class Endpoints:
    """What each address of the service does."""

    def __init__(self, predictor: Predictor, log: str | Path | None, max_bytes: int, max_rows: int) -> None:
        self.predictor, self.max_bytes, self.max_rows = predictor, max_bytes, max_rows
        self.telemetry = Telemetry(predictor)
        self.decoder = RowDecoder(predictor.schema)
        self.batcher = Batcher(self._answer_all, count_rows)
        self.log = RequestLog(log) if log else None
        self.gap, self.why = _check(predictor)
        self.is_stopping = False
        self.held = 0  # bytes of bodies that are being read

    async def predict(self, request: Request) -> Response:
        """Answer rows, or say what is wrong with them."""
        with self.telemetry.seconds.time():
            began, name = time.perf_counter(), uuid.uuid4().hex
            if self.why:
                raise HTTPException(503, f"not ready: {self.why}; see /ready")
            asked = self._decode(await self._read(request))
            outputs = await self._ask(asked)
            self.telemetry.rows.inc(len(outputs))
            if self.log is not None:
                taken = 1000 * (time.perf_counter() - began)
                inputs = [dict(zip(asked, row, strict=True)) for row in zip(*asked.values(), strict=True)]
                if not self.log.append(name, self.predictor.digest, inputs, outputs, taken):
                    self.telemetry.lost.inc()
            served = f"{self.predictor.name}@{self.predictor.number}"
            return respond({"request": name, "model": served, "predictions": outputs})

    async def _read(self, request: Request) -> bytes:
        wrong = explain_content(request.headers)
        if wrong:
            raise HTTPException(415, wrong)
        length, parts = 0, []
        stated = request.headers.get("content-length", "")
        try:
            async for part in request.stream():
                length, self.held = length + len(part), self.held + len(part)
                if length > self.max_bytes or (stated.isdecimal() and int(stated) > self.max_bytes):
                    raise HTTPException(413, f"the body is larger than {self.max_bytes:,} bytes; send fewer rows")
                if self.held > MAX_HELD * self.max_bytes:
                    raise HTTPException(503, "too much is being sent at once; try again later")
                parts.append(part)
        finally:
            self.held -= length
        return b"".join(parts)

    def _decode(self, body: bytes) -> dict[str, list[Any]]:
        try:
            try:
                asked = self.decoder.decode(body)
            except msgspec.ValidationError:
                msgspec.json.decode(body)  # broken JSON after the wrong value matters more
                raise
        except msgspec.ValidationError as error:
            raise HTTPException(422, _cut(error)) from error
        except UnicodeDecodeError as error:
            raise HTTPException(400, f"not UTF-8: byte {error.start} of the body") from error
        except RecursionError as error:
            raise HTTPException(400, "nested too deeply: a row is one flat object of column and value") from error
        except msgspec.DecodeError as error:
            raise HTTPException(400, f"not JSON: {_cut(error)}") from error
        except (ValueError, OverflowError) as error:
            raise HTTPException(422, f"a value cannot be read: {_cut(error)}") from error
        if count_rows(asked) > self.max_rows:
            raise HTTPException(413, f"{format_count(count_rows(asked), 'row')}; at most {self.max_rows} a request")
        return asked

    async def _ask(self, asked: dict[str, list[Any]]) -> list[dict[str, Any]]:
        try:
            answers: list[dict[str, Any]] = await self.batcher.ask(asked)
        except ServiceFailed as error:
            raise HTTPException(503, str(error)) from error
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # it answers its golden rows, not these
            raise HTTPException(422, f"the model cannot take these rows: {_cut(error)}") from error
        return answers

    def _answer_all(self, requests: Sequence[Mapping[str, list[Any]]]) -> list[list[dict[str, Any]]]:
        """Answer several requests with one call of the model."""
        rows = self.decoder.build(requests)
        self.telemetry.batch.observe(len(rows))
        outputs = iter(plain_rows(self.predictor.predict(rows)))
        return [list(islice(outputs, count_rows(request))) for request in requests]

    def note(self, path: str, status: int) -> bool:
        """Count an answer; return whether it is to end its connection, as the service stops."""
        if path == "/predict":
            self.telemetry.requests.labels(str(status)).inc()
        return self.is_stopping

    async def health(self, _: Request) -> Response:
        """State that the process lives."""
        return respond({"status": "alive"})

    async def ready(self, _: Request) -> Response:
        """State whether the golden examples pass and the service is not about to stop."""
        said: dict[str, Any] = {"ready": not self.why and not self.is_stopping, "golden_difference": self.gap}
        if self.why:
            said["error"] = self.why
        if self.is_stopping:
            said["stopping"] = True
        return respond(said, 200 if said["ready"] else 503)

    async def model(self, _: Request) -> Response:
        """Describe which model answers and what it takes."""
        return respond({**self.predictor.describe(), "max_rows": self.max_rows, "max_bytes": self.max_bytes})

    async def metrics(self, _: Request) -> Response:
        """Report the service's metrics."""
        return Response(generate_latest(self.telemetry.registry), media_type="text/plain; version=0.0.4")


def create_app(
    predictor: Predictor,
    *,
    log: str | Path | None = None,
    max_bytes: int = MAX_BYTES,
    max_rows: int = MAX_ROWS,
    token: str | None = None,
) -> Starlette:
    """Make the service.

    ``POST /predict`` takes ``{"rows": [{…}]}`` or ``{"columns": {…: […]}}`` and answers ``{"request", "model",
    "predictions"}``; ``GET /health`` says the process lives, ``/ready`` that the golden examples pass, ``/model`` what
    it is and takes, ``/metrics`` its metrics for Prometheus. What cannot be answered gets ``{"error"}`` with status 400
    (no JSON), 401 (no token), 413 (too much), 415 (not declared as JSON), 422 (with the path of the wrong value), 503
    (too many wait, or the golden examples fail).

    Parameters
    ----------
    predictor
        What answers.
    log
        Folder of the request log; none by default. An answer does not depend on whether it can be written.
    max_bytes, max_rows
        Limits per request.
    token
        What ``Authorization: Bearer …`` must hold, for all pages but ``/health`` and ``/ready``; anyone may ask
        without.

    Returns
    -------
    Starlette
        The application; ``state.endpoints`` holds its `Endpoints`.
    """
    at = Endpoints(predictor, log, max_bytes, max_rows)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await at.batcher.close()

    pages = [Route(f"/{page.__name__}", page) for page in (at.health, at.ready, at.model, at.metrics)]
    routes = [Route("/predict", at.predict, methods=["POST"]), *pages]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(Guard, at.note, token)],
        exception_handlers={HTTPException: _describe_error},
    )
    app.state.endpoints = at
    return app


def _check(predictor: Predictor) -> tuple[float, str]:
    """Return how far the golden answers are off, and why the service is not ready; an empty text if it is."""
    try:
        gap = predictor.check()
    except Exception as error:  # a model of any kind
        return float("inf"), f"the model cannot answer its golden rows: {type(error).__name__}: {_cut(error)}"
    return gap, "" if gap <= TOLERANCE else f"the model's golden answers differ by {gap:.3g}"


async def _describe_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = respond({"error": error.detail}, error.status_code)
    answer.headers.update(error.headers or {})
    return answer


def _cut(error: Exception) -> str:
    said = str(error)
    return said if len(said) <= MAX_SAID else f"{said[:MAX_SAID]}…"
