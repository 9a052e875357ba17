"""The web server with real sockets: slow clients, many clients, an end in order, 3,000 bad requests."""

import contextlib
import itertools
import json
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import psutil
import pytest
from sklearn.linear_model import LinearRegression

from nbkit.problem import Problem
from nbkit.registry import Registry, make_golden
from nbkit.serve import Predictor, create_app
from nbkit.serve.schema import describe_columns
from nbkit.serve.server import Limits, Server

ROWS = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
BODY = b'{"rows": [{"x": 1.5}]}'
HEAD = b"POST /predict HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n"
GOOD = HEAD + f"content-length: {len(BODY)}\r\n\r\n".encode() + BODY
QUICK = Limits(connections=20, head=1.0, body=1.0, answer=1.0, idle=1, linger=0.0, grace=5.0)


class Slow:
    """A model that waits until it is let go."""

    def __init__(self):
        self.started, self.go = threading.Event(), threading.Event()
        self.go.set()

    def predict(self, rows):
        self.started.set()
        assert self.go.wait(30)
        return np.repeat(rows["x"].to_numpy(float), 1)


@contextlib.contextmanager
def serving(limits=QUICK, model=None, columns=ROWS):
    """Serve in a thread; give the address and the server."""
    app = create_app(
        Predictor(model or Slow(), "demo", 1, "d", Problem("y", "regression"), 0.5, describe_columns(columns))
    )
    server = Server(app, limits)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(256)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    address = listener.getsockname()
    thread.start()
    try:
        yield address, server
    finally:
        server.should_exit = True
        thread.join(20)
    assert not thread.is_alive()


def ask(address, sent=GOOD, *, timeout=20):
    """Send bytes over a connection of its own and return the answer; empty if none comes in time."""
    with socket.create_connection(address, timeout) as client:
        try:
            client.sendall(sent)
            return receive(client, has_body=not sent.startswith(b"HEAD"))
        except OSError:
            return b""


def receive(client, *, has_body=True):
    """Read one answer from a connection."""
    with client.makefile("rb") as lines:
        head = b"".join(itertools.takewhile(lambda line: line != b"\r\n", lines))
        length = re.search(rb"content-length: (\d+)", head)
        return head + (lines.read(int(length[1])) if length and has_body else b"")


def read(client):
    """Read until the server closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def status(said):
    return int(said.split(b" ", 2)[1]) if said else 0


def wait_for(check, seconds=20):
    deadline = time.monotonic() + seconds
    while not check() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert check()


@pytest.mark.slow
class TestSlowClients:
    @pytest.mark.parametrize(
        ("sent", "said"),
        [
            (b"", 0),
            (b"POST /pre", 408),
            (HEAD + b"x-more: 1", 408),
            (HEAD + b"content-length: 1000\r\n\r\n" + BODY, 408),
            (HEAD + b'transfer-encoding: chunked\r\n\r\n5\r\n{"row', 408),
            (GOOD + b"POST /pre", 200),
        ],
    )
    def test_who_stops_sending_is_closed_in_time(self, sent, said):
        with serving() as (address, server), socket.create_connection(address, 20) as client:
            client.sendall(sent)
            answer = read(client)  # until the server closes: a connection held for ever would be a time-out here
            assert status(answer) == said
            assert said != 408 or b"connection: close" in answer
            wait_for(lambda: not server.server_state.connections)
            assert ask(address).startswith(b"HTTP/1.1 200")

    @pytest.mark.parametrize("start", [b"GET /health HTTP/1.1\r\nx-slow: ", HEAD + b"content-length: 100000\r\n\r\n"])
    def test_who_sends_byte_by_byte_is_closed_in_time(self, start):
        with serving() as (address, server), socket.create_connection(address, 20) as client:
            client.sendall(start)
            with contextlib.suppress(OSError):
                for _ in range(400):  # 20 s, were it let
                    client.sendall(b"a")
                    time.sleep(0.05)
                    if not server.server_state.connections:
                        break
            wait_for(lambda: not server.server_state.connections)
            metrics = ask(address, b"GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n")
            assert b'nbkit_connections_closed_total{why="' in metrics

    def test_who_does_not_read_its_answer_is_closed_in_time(self):
        with serving() as (address, server), socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect(address)
            body = json.dumps({"columns": {"x": [1.23456789] * 10_000}}).encode()
            request = HEAD + f"content-length: {len(body)}\r\n\r\n".encode() + body
            client.settimeout(0.5)
            with contextlib.suppress(OSError):  # it reads no further request while an answer waits
                for _ in range(30):
                    client.sendall(request)
            wait_for(lambda: not server.server_state.connections)

    def test_a_client_in_good_order_keeps_its_connection(self):
        with (
            serving(Limits(head=1.0, body=1.0, idle=5, linger=0.0)) as (address, _),
            socket.create_connection(address, 20) as client,
        ):
            for _ in range(12):  # over three times the limit in all
                client.sendall(GOOD[:100])
                time.sleep(0.25)
                client.sendall(GOOD[100:])
                assert receive(client).startswith(b"HTTP/1.1 200")

    def test_a_model_that_takes_longer_than_clients_may_is_waited_for(self):
        model = Slow()
        model.go.clear()
        with serving(model=model) as (address, _), socket.create_connection(address, 20) as client:
            client.sendall(GOOD)
            assert model.started.wait(20)
            time.sleep(2.5)
            model.go.set()
            assert receive(client).startswith(b"HTTP/1.1 200")


@pytest.mark.slow
def test_a_thousand_idle_connections_keep_nobody_out():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4_096)), hard))
    patient = Limits(connections=100, head=60, linger=0.0)
    with serving(patient) as (address, server), contextlib.ExitStack() as stack:
        for _ in range(1_000):
            stack.enter_context(socket.create_connection(address, 20))
        for _ in range(3):
            assert status(ask(address)) == 200
        assert len(server.server_state.connections) <= 100
        wait_for(lambda: len(psutil.Process().net_connections()) < 1_000 + 2 * 100)
        closed = server.at.telemetry.closed.labels("room")._value.get()
        assert closed >= 900


@pytest.mark.slow
def test_connections_that_work_are_not_closed_for_new_ones():
    model = Slow()
    model.go.clear()
    with serving(Limits(connections=5, linger=0.0), model) as (address, _), contextlib.ExitStack() as stack:
        working = [stack.enter_context(socket.create_connection(address, 20)) for _ in range(5)]
        for client in working:
            client.sendall(GOOD)
        wait_for(lambda: model.started.is_set())
        time.sleep(0.3)  # so that all five are read
        assert status(ask(address)) in (503, 0)  # an answer that the client may lose, as it is sending
        model.go.set()
        assert [receive(client)[:12] for client in working] == [b"HTTP/1.1 200"] * 5


SLOW_MODEL = """
import time
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class Slow(RegressorMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def predict(self, X):
        time.sleep(float(np.max(X["x"])) if len(X) == 1 else 0.0)
        return np.asarray(X["x"], float)
"""


@contextlib.contextmanager
def process(folder, *options, environment=None, model=None):
    """Start `nbkit serve` as an operator does."""
    if not (folder / "registry").exists():
        model = model or LinearRegression().fit(ROWS, [1.0, 2.0, 3.0])
        golden = make_golden(model, ROWS, Problem("y", "regression"))
        Registry(folder / "registry").register(
            "demo", {"model": model, "golden": golden}, params={"task": "regression"}
        )
    command = [sys.executable, "-m", "nbkit", "serve", "demo@1", "--registry", str(folder / "registry"), "--port", "0"]
    environment = {
        **{key: value for key, value in os.environ.items() if key != "NBKIT_SERVE_TOKEN"},
        **(environment or {}),
    }
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder) as running:  # fmt: skip
        try:
            line = running.stdout.readline()
            port = int(line.rsplit(":", 1)[1].split()[0]) if line else 0
            yield running, ("127.0.0.1", port)
        finally:
            running.kill()


@pytest.fixture(scope="module")
def slow_project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slow")
    (folder / "params").mkdir()
    (folder / "notebooks").mkdir()
    (folder / "params" / "trusted.txt").write_text("servesleep.Slow\n")
    (folder / "servesleep.py").write_text(SLOW_MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.chdir(folder)
        from servesleep import Slow as Sleeper

        model = Sleeper().fit(ROWS)
        golden = make_golden(model, ROWS, Problem("y", "regression"))
        Registry(folder / "registry").register(
            "demo", {"model": model, "golden": golden}, params={"task": "regression"}
        )
    return folder


def sleep_request(seconds):
    body = json.dumps({"rows": [{"x": seconds}]}).encode()
    return HEAD + f"content-length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="stops by signal")
class TestStop:
    def test_on_sigterm_ready_turns_running_requests_finish_and_connections_close(self, slow_project):
        with process(slow_project) as (running, address), contextlib.ExitStack() as stack:
            ready = b"GET /ready HTTP/1.1\r\nhost: here\r\n\r\n"
            busy, kept = (stack.enter_context(socket.create_connection(address, 30)) for _ in range(2))
            kept.sendall(ready)
            assert receive(kept).startswith(b"HTTP/1.1 200")
            busy.sendall(sleep_request(2.0))
            time.sleep(0.3)
            running.send_signal(signal.SIGTERM)
            time.sleep(0.1)
            kept.sendall(ready)  # on a connection that is kept
            said = read(kept)
            assert (status(said), b"connection: close" in said, b'"ready":false' in said) == (503, True, True)
            assert status(ask(address, ready)) == 503  # and on a new one
            said = read(busy)
            assert (status(said), b"connection: close" in said, b'"prediction":2.0' in said) == (200, True, True)
            assert running.wait(20) == 0
            assert running.stderr.read() == ""

    def test_it_ends_within_its_grace_though_a_model_does_not(self, slow_project):
        with (
            process(slow_project, "--grace", "3") as (running, address),
            socket.create_connection(address, 30) as client,
        ):
            client.sendall(sleep_request(60.0))
            time.sleep(0.3)
            running.send_signal(signal.SIGTERM)
            said = read(client)
            assert (status(said), b"connection: close" in said) == (503, True)
            assert running.wait(15) in (0, 143)
            assert len(running.stderr.read().splitlines()) <= 1


@pytest.mark.slow
class TestToken:
    def test_beyond_this_machine_it_starts_with_a_token_or_when_asked_to_and_ctrl_c_ends_it(self, slow_project):
        with process(slow_project, "--host", "0.0.0.0") as (running, _):
            assert running.wait(60) == 2
            assert "NBKIT_SERVE_TOKEN" in running.stderr.read()
        with process(slow_project, "--host", "0.0.0.0", "--no-token") as (running, address):
            assert status(ask(address)) == 200
            running.send_signal(signal.SIGINT)
            assert running.wait(15) == 0

    def test_the_token_is_asked_for_and_never_shown(self, slow_project, tmp_path):
        token = "Kq7-secret-Zx9"
        options, given = ("--host", "0.0.0.0", "--log", str(tmp_path / "log")), {"NBKIT_SERVE_TOKEN": token}
        with process(slow_project, *options, environment=given) as (running, address):
            assert status(ask(address)) == 401
            wrong = GOOD.replace(b"host: here", b"host: here\r\nauthorization: Bearer " + token[:-1].encode())
            assert status(ask(address, wrong)) == 401
            right = GOOD.replace(b"host: here", b"host: here\r\nauthorization: Bearer " + token.encode())
            seen = [ask(address, right), ask(address, right.replace(b"1.5", b"NaN")), ask(address, b"\0" + right)]
            assert [status(one) for one in seen] == [200, 400, 400]
            running.send_signal(signal.SIGTERM)
            assert running.wait(20) == 0
            out, err = running.stdout.read(), running.stderr.read()
        everything = out + err + str(seen) + "".join(path.read_text() for path in (tmp_path / "log").iterdir())
        assert token not in everything
        assert "$NBKIT_SERVE_TOKEN" in out


def nasty_requests(count, seed):
    """Yield so many raw requests, most of them wrong, drawn from a seed, and whether an answer is sure to come."""
    draw = random.Random(seed)
    texts = [
        "1",
        '"a"',
        "null",
        "[]",
        "{}",
        "NaN",
        "1e999",
        "-0",
        "9" * 400,
        '"\\ud800"',
        "[" * 1_200,
        '"é"',
        "true",
        "1.5",
    ]
    kinds = [
        "application/json",
        "application/json",
        "text/plain",
        "application/json; charset=utf-16",
        "",
        "é",
        "x" * 999,
    ]
    paths = ["/predict"] * 8 + [
        "/",
        "/nothing",
        "/predict/",
        "/model",
        "/metrics",
        "/%00",
        "/..%2f",
        "//",
        "/predict?x=%ff",
    ]
    for _ in range(count):
        value, name = draw.choice(texts), draw.choice(['"x"', '"y"', '"\\u0078"', "x", "1", '""'])
        body = draw.choice(
            [
                f'{{"rows": [{{{name}: {value}}}]}}',
                f'{{"columns": {{{name}: [{value}]}}}}',
                f'{{"rows": [{", ".join([value] * draw.randrange(4))}]}}',
                f'{{"rows": [{{"x": 1, {name}: {value}}}]}}',
                value,
                "".join(draw.choice('{}[]",:x1e\\u \n') for _ in range(draw.randrange(60))),
            ]
        ).encode("utf-8", "surrogatepass")
        if draw.random() < 0.2 and body:
            place = draw.randrange(len(body))
            body = body[:place] + bytes([draw.randrange(256)]) + body[place + draw.randrange(2) :]
        method = draw.choice(
            ["POST"] * 9 + ["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "BREW", "post"]
        )
        headers = [f"content-type: {draw.choice(kinds)}"] if draw.random() < 0.9 else []
        way = draw.random()
        if way < 0.75:
            headers.append(f"content-length: {len(body)}")
        elif way < 0.85:
            headers.append("transfer-encoding: chunked")
            cut = draw.randrange(len(body) + 1)
            body = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in (body[:cut], body[cut:]) if one) + b"0\r\n\r\n"
        else:
            headers.append(draw.choice(["content-length: -1", "content-length: 99999999999999", "content-length: 5", "transfer-encoding: gzip",
                                        "content-length: 1\r\ncontent-length: 2", "upgrade: websocket\r\nconnection: upgrade", "expect: 100-continue",
                                        "x: " + "y" * 70_000, "content-encoding: gzip", "a b: c", "authorization: Bearer é"]))  # fmt: skip
        host = "host: here\r\n" if draw.random() < 0.95 else ""
        head = (
            f"{method} {draw.choice(paths)} HTTP/1.{draw.choice('1110')}\r\n{host}" + "\r\n".join(headers) + "\r\n\r\n"
        )
        if draw.random() < 0.97:
            yield head.encode() + body, way < 0.85
        else:
            yield bytes(draw.randrange(256) for _ in range(50)), False


@pytest.mark.slow
def test_three_thousand_bad_requests_give_no_5xx_and_leave_nothing_behind(tmp_path):
    with process(tmp_path, "--log", str(tmp_path / "log")) as (running, address):
        seen = psutil.Process(running.pid)
        counts = {}
        for place, (sent, is_whole) in enumerate(nasty_requests(3_000, seed=10)):
            if place == 500:  # what is made at first use is made
                before = seen.memory_info().rss, seen.num_fds()
            found = status(ask(address, sent, timeout=20 if is_whole else 0.01))
            counts[found] = counts.get(found, 0) + 1
        assert status(ask(address)) == 200
        wait_for(lambda: seen.num_fds() <= before[1])
        assert seen.memory_info().rss - before[0] < 10_000_000
        running.send_signal(signal.SIGTERM)
        errors = running.communicate(timeout=20)[1]
    assert {code for code in counts if code >= 500} == set(), counts
    assert set(counts) >= {200, 400, 404, 405, 413, 415, 422}, counts
    assert len(errors.splitlines()) <= 40, errors
    assert "Traceback" not in errors
