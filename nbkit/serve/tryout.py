"""Trying a service out: the same answers as in the notebook, how fast, and what it says to bad requests."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from nbkit.errors import ServiceFailed
from nbkit.serve.predictor import plain_rows
from nbkit.serve.process import Service

TIMEOUT = 30.0


class Client:
    """A keep-alive connection to a service, with its token."""

    def __init__(self, service: Service | str) -> None:
        address = urlsplit(service if isinstance(service, str) else service.url)
        token = None if isinstance(service, str) else service.token
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT)

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Send one request and return status and body; a broken connection is opened again by the next one."""
        given = {**self.headers, **({"Content-Type": "application/json"} if body else {}), **headers}
        try:
            self._connection.request(method, path, body, given)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def ask_service(service: Service | str, rows: pd.DataFrame) -> pd.DataFrame:
    """Send rows to a service and return its answers as a table.

    Parameters
    ----------
    service
        A running service or its URL.
    rows
        Raw rows.

    Raises
    ------
    ServiceFailed
        It cannot be reached or refuses.
    """
    with Client(service) as client:
        try:
            status, body = client.send("POST", "/predict", _body(rows))
        except (OSError, http.client.HTTPException) as error:
            raise ServiceFailed(f"the service does not answer: {error!r}; is it running?") from error
    if status != 200:
        raise ServiceFailed(f"the service refused {len(rows)} rows with status {status}: {body.decode()[:500]}")
    return pd.DataFrame(json.loads(body)["predictions"])


def compare_answers(
    service: Service | str, rows: pd.DataFrame, expected: pd.DataFrame, *, tolerance: float = 1e-9, chunk: int = 1_000
) -> pd.DataFrame:
    """Compare a service's answers with those of the same model in this process.

    Parameters
    ----------
    service
        A running service or its URL.
    rows
        Raw rows.
    expected
        From `Predictor.predict` on the same rows.
    tolerance
        Largest difference of numbers that counts as equal.
    chunk
        Rows per request.

    Returns
    -------
    DataFrame
        One row: rows, max_difference (of numbers), different (rows whose answer differs), equal.
    """
    parts = [ask_service(service, rows.iloc[start : start + chunk]) for start in range(0, len(rows), chunk)]
    found = pd.concat(parts, ignore_index=True)
    wrong, gap = np.zeros(len(rows), bool), 0.0
    for name in expected.columns:
        then, now = expected[name].reset_index(drop=True), found[str(name)]
        if pd.api.types.is_float_dtype(then.dtype):
            both = np.abs(now.to_numpy(float) - then.to_numpy(float))
            both[now.isna().to_numpy() & then.isna().to_numpy()] = 0.0
            gap = max(gap, float(np.nanmax(both, initial=0.0)))
            wrong |= ~(both <= tolerance)
        else:
            wrong |= now.astype(str).to_numpy() != then.astype(str).to_numpy()
    row = (len(rows), gap, int(wrong.sum()), not wrong.any())
    return pd.DataFrame([row], columns=["rows", "max_difference", "different", "equal"])


def measure_latency(
    service: Service | str, rows: pd.DataFrame, *,
    requests: int = 200, clients: int | Sequence[int] = 1, rate: float | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Send one-row requests over keep-alive connections and measure.

    Parameters
    ----------
    service
        A running service or its URL.
    rows
        Raw rows, sent one by one and from the start again.
    requests
        How many in all, per number of clients.
    clients
        Connections that send at the same time; one table row each.
    rate
        Requests per second at fixed times whatever the answers do. A request's latency then counts from the time it
        was due, so that a service that cannot keep up shows it. Without it, each client sends when it has its answer.

    Returns
    -------
    DataFrame
        clients, requests, p50_ms, p95_ms, p99_ms, max_ms, throughput_rps, errors; and, as its attribute ``answers``,
        how long each answer took: clients, ms.
    """
    if rows.empty or requests < 1:
        raise ServiceFailed("nothing to send: rows is empty or requests < 1")
    bodies = [_body(rows.iloc[[place]]) for place in range(min(len(rows), requests))]
    counts = [clients] if isinstance(clients, int) else list(clients)
    loads = [_load(service, bodies, requests, count, rate) for count in counts]
    table = pd.DataFrame([row for row, _ in loads])
    table.attrs["answers"] = [(row["clients"], ms) for row, taken in loads for ms in taken]
    return table


def _load(
    service: Service | str, bodies: list[bytes], requests: int, clients: int, rate: float | None
) -> tuple[dict[str, Any], list[float]]:
    taken = np.full(requests, np.nan)
    with Client(service) as warm:
        warm.send("POST", "/predict", bodies[0])
    began = time.perf_counter()

    def work(first: int) -> None:
        with Client(service) as client:
            for place in range(first, requests, clients):
                start = time.perf_counter()
                if rate:
                    due = began + place / rate
                    time.sleep(max(0.0, due - start))
                    start = due
                try:
                    status, _ = client.send("POST", "/predict", bodies[place % len(bodies)])
                except (OSError, http.client.HTTPException):
                    continue
                if status == 200:
                    taken[place] = time.perf_counter() - start

    threads = [threading.Thread(target=work, args=(first,), daemon=True) for first in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    good = taken[~np.isnan(taken)] * 1000
    quantiles = np.quantile(good, [0.5, 0.95, 0.99, 1.0]) if len(good) else np.full(4, np.nan)
    row = {
        "clients": clients,
        "requests": requests,
        **dict(zip(("p50_ms", "p95_ms", "p99_ms", "max_ms"), quantiles.round(3).tolist(), strict=True)),
        "throughput_rps": round(len(good) / seconds, 1),
        "errors": requests - len(good),
    }
    return row, good.round(3).tolist()


def bad_requests(service: Service | str) -> pd.DataFrame:
    """Send what clients get wrong, made from the service's own schema, and see that each is told so.

    Returns
    -------
    DataFrame
        case, status, expected (statuses, " or " between), ok. No case may end in 500.
    """
    with Client(service) as client:
        model = json.loads(client.send("GET", "/model")[1])
        rows = []
        for case, expected, body in _bad_bodies(model):
            try:
                status = client.send("POST", "/predict", body)[0]
            except (OSError, http.client.HTTPException):
                status = 0
            rows.append((case, status, expected, str(status) in expected.split(" or ")))
        good = _encode(model["example"])
        unknown = {"Authorization": "Bearer somebody else's"}
        others: list[tuple[str, str, str, bytes | None, dict[str, str], str]] = [
            ("unknown page", "GET", "/nothing", None, {}, "404"),
            ("GET", "GET", "/predict", None, {}, "405"),
            ("a table as text", "POST", "/predict", good, {"Content-Type": "text/csv"}, "415"),
            ("a wrong token", "POST", "/predict", good, unknown, "401" if client.headers else "200"),
            ("no token", "POST", "/predict", good, {"Authorization": ""}, "401" if client.headers else "200"),
            ("whether it is ready, asked without a token", "GET", "/ready", None, {"Authorization": ""}, "200"),
        ]
        for case, method, path, content, headers, expected in others:
            status = client.send(method, path, content, **headers)[0]
            rows.append((case, status, expected, str(status) == expected))
    return pd.DataFrame(rows, columns=["case", "status", "expected", "ok"])


def _bad_bodies(model: Mapping[str, Any]) -> list[tuple[str, str, bytes]]:
    row = dict(model["example"])
    needed = [column for column in model["schema"] if column["required"]]
    wrong: Callable[[dict[str, Any]], Any] = lambda column: 1 if column["type"] in ("text", "time", "boolean") else "x"  # noqa: E731
    texts = [column["column"] for column in needed if column["type"] == "text"]

    rows, deep = _encode, b"[" * 1_000 + b"]" * 1_000
    first = needed[0]["column"]
    columns = {key: [value] for key, value in row.items()}
    return [
        ("a good row", "200", rows(row)),
        ("no JSON", "400", b'{"rows": [{'),
        ("NaN in JSON", "400", b'{"rows": [NaN]}'),
        ("empty body", "400", b""),
        ("not UTF-8", "400 or 422", b'{"rows": [{"\xff": 1}]}'),
        ("nested 1,000 deep", "400", b'{"x": ' + deep + b"}"),
        ("another shape", "422", b"[1, 2]"),
        (f"{first} twice in a row", "422", rows(row).replace(b"[{", b"[{" + json.dumps(first).encode() + b": null, ")),
        ("no rows", "422", rows()),
        ("a row that is not an object", "422", rows(1)),
        (f"{first} is missing", "422", rows({key: value for key, value in row.items() if key != first})),
        *((f"{one['column']} of a wrong type", "422", rows({**row, one["column"]: wrong(one)})) for one in needed[:3]),
        ("every value null", "200 or 422", rows(dict.fromkeys(row))),
        ("an unknown column", "200", rows({**row, "no such column": 1})),
        *((f"{name} never seen", "200 or 422", rows({**row, name: "never seen ✈"})) for name in texts[:1]),
        ("columns of unequal length", "422", json.dumps({"columns": {**columns, first: []}}).encode()),
        ("too many rows", "413", rows(*[row] * (model["max_rows"] + 1))),
        ("too many bytes", "413", b" " * (model["max_bytes"] + 1)),
    ]  # fmt: skip


def _encode(*rows: Any) -> bytes:
    return json.dumps({"rows": list(rows)}).encode()


def _body(rows: pd.DataFrame) -> bytes:
    return json.dumps({"rows": plain_rows(rows)}, allow_nan=False, default=str).encode()
