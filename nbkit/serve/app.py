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
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nbkit.errors import ServiceFailed
from nbkit.registry.golden import TOLERANCE
from nbkit.serve.batching import Batcher
from nbkit.serve.log import RequestLog
from nbkit.serve.predictor import Predictor, plain_rows
from nbkit.serve.schema import RowDecoder, count_rows
from nbkit.wording import say_count

MAX_BYTES = 10_000_000
MAX_ROWS = 10_000
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
        self.gap = predictor.check()
        self.is_ready = self.gap <= TOLERANCE

    async def predict(self, request: Request) -> Response:
        """Answer rows, or say what is wrong with them."""
        with self.telemetry.seconds.time():
            status, said = await self._answer(request)
        self.telemetry.requests.labels(str(status)).inc()
        return _json(said, status)

    async def _answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        began, name = time.perf_counter(), uuid.uuid4().hex
        if not self.is_ready:
            return 503, {"error": f"not ready: the model's golden answers differ by {self.gap:.3g}; see /ready"}
        try:
            asked = self.decoder.decode(await request.body())
            if count_rows(asked) > self.max_rows:
                return 413, {"error": f"{say_count(count_rows(asked), 'row')}; at most {self.max_rows} in one request"}
            outputs = await self.batcher.ask(asked)
        except msgspec.ValidationError as error:
            return 422, {"error": str(error)}
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return 400, {"error": f"not JSON: {error}"}
        except ServiceFailed as error:
            return 503, {"error": str(error)}
        except (ValueError, OverflowError) as error:
            return 422, {"error": f"the model cannot take these rows: {error}"}
        self.telemetry.rows.inc(len(outputs))
        if self.log is not None:
            taken = 1000 * (time.perf_counter() - began)
            inputs = [dict(zip(asked, row, strict=True)) for row in zip(*asked.values(), strict=True)]
            self.log.append(name, self.predictor.digest, inputs, outputs, taken)
        served = f"{self.predictor.name}@{self.predictor.number}"
        return 200, {"request": name, "model": served, "predictions": outputs}

    def _answer_all(self, requests: Sequence[Mapping[str, list[Any]]]) -> list[list[dict[str, Any]]]:
        """Answer several requests with one call of the model."""
        rows = self.decoder.build(requests)
        self.telemetry.batch.observe(len(rows))
        outputs = iter(plain_rows(self.predictor.predict(rows)))
        return [list(islice(outputs, count_rows(request))) for request in requests]

    async def health(self, _: Request) -> Response:
        """Say that the process lives."""
        return _json({"status": "alive"})

    async def ready(self, _: Request) -> Response:
        """Say whether the golden examples pass."""
        return _json({"ready": self.is_ready, "golden_difference": self.gap}, 200 if self.is_ready else 503)

    async def model(self, _: Request) -> Response:
        """Say which model answers and what it takes."""
        return _json({**self.predictor.describe(), "max_rows": self.max_rows, "max_bytes": self.max_bytes})

    async def metrics(self, _: Request) -> Response:
        """Say how the service fares."""
        return Response(generate_latest(self.telemetry.registry), media_type="text/plain; version=0.0.4")


def create_app(
    predictor: Predictor, *, log: str | Path | None = None, max_bytes: int = MAX_BYTES, max_rows: int = MAX_ROWS
) -> Starlette:
    """Make the service.

    ``POST /predict`` takes ``{"rows": [{…}]}`` or ``{"columns": {…: […]}}`` and answers ``{"request", "model",
    "predictions"}``; ``GET /health`` says the process lives, ``/ready`` that the golden examples pass, ``/model`` what
    it is and takes, ``/metrics`` how it fares. What cannot be answered gets 400 (no JSON), 413 (too much), 422 (with
    the path of the wrong value), 503 (too many wait, or the golden examples fail).

    Parameters
    ----------
    predictor
        What answers.
    log
        Folder of the request log; none by default.
    max_bytes, max_rows
        Limits per request.
    """
    at = Endpoints(predictor, log, max_bytes, max_rows)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await at.batcher.close()

    pages = [Route(f"/{page.__name__}", page) for page in (at.health, at.ready, at.model, at.metrics)]
    routes = [Route("/predict", at.predict, methods=["POST"]), *pages]
    return Starlette(routes=routes, lifespan=lifespan, max_body_size=max_bytes)


def _json(said: Any, status: int = 200) -> Response:
    """Answer JSON; NaN and infinity become null."""
    return Response(msgspec.json.encode(said, enc_hook=str), status, media_type="application/json")
