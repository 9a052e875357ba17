"""What the service takes and refuses, without a process: bodies, names, content types, tokens, faults, a full disk."""

import asyncio
import io
import json
import logging
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from model_helpers import make_recipe
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

from nbkit.errors import BadParameter
from nbkit.problem import Problem
from nbkit.registry import Registry, make_golden
from nbkit.serve import Predictor, create_app, read_log
from nbkit.serve.access import check_exposure, read_token
from nbkit.serve.batching import Batcher
from nbkit.serve.log import RequestLog
from nbkit.serve.schema import RowDecoder, describe_columns
from nbkit.serve.stderr import OneLiner

ROWS = pd.DataFrame(
    {"x": [1.0, 2.0, 3.0], "n": [1, 2, 3], "t": ["a", "b", "a"], "at": pd.date_range("2013", periods=3)}
)
RUNNER = asyncio.Runner()
ASKED = set()
JSON = {"content-type": "application/json"}


@pytest.fixture(autouse=True)
def _close():
    yield
    while ASKED:
        RUNNER.run(ASKED.pop().state.endpoints.batcher.close())


class Mean:
    """A model whose answer is a function of one's own."""

    def __init__(self, answer=lambda rows: rows["x"].to_numpy(float)):
        self.predict = answer


def make(answer=None, **options):
    schema = describe_columns(ROWS, ["x", "n", "t"])
    model = Mean(answer) if answer else Mean()
    return create_app(Predictor(model, "demo", 1, "d", Problem("y", "regression"), 0.5, schema), **options)


def send(app, body=b"", *, method="POST", path="/predict", headers=JSON, parts=1):
    """Send a request in so many parts and return status, decoded body and headers."""
    ASKED.add(app)
    size = -(-len(body) // parts) or 1
    chunks = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    messages = [{"type": "http.request", "body": one, "more_body": True} for one in chunks]
    messages[-1]["more_body"] = False
    said = {"body": b""}
    raw = [(key.encode(), value.encode()) for key, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw, "query_string": b"", "http_version": "1.1"}

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def answer(message):
        said.update({key: value for key, value in message.items() if key in ("status", "headers")})
        said["body"] += message.get("body", b"")

    RUNNER.run(app(scope, receive, answer))
    body = said["body"]
    about = {key.decode(): value.decode() for key, value in said["headers"]}
    return said["status"], json.loads(body) if about.get("content-type") == "application/json" else body, about


GOOD = {"x": 1.5, "n": 1, "t": "a", "at": "2013-01-01"}
DEEP = "[" * 1_000 + "]" * 1_000
OBJECTS = '{"a":' * 3_000 + "1" + "}" * 3_000


def row(**changed):
    return json.dumps({"rows": [{**GOOD, **changed}]}).encode()


def raw(**texts):
    pairs = {"x": "1", "n": "1", "t": '"a"', **texts}.items()
    return ('{"rows": [{' + ", ".join(f'"{key}": {text}' for key, text in pairs) + "}]}").encode()


BAD = {
    "nested": (DEEP.encode(), 400, "nested too deeply"),
    "nested objects": (OBJECTS.encode(), 400, "nested too deeply"),
    "nested rows": (f'{{"rows": {DEEP}}}'.encode(), 400, "nested too deeply"),
    "nested in a value": (raw(x=DEEP), 400, "nested too deeply"),
    "nested but not too deeply": (raw(x=DEEP[950:-950]), 422, "$.rows[0].x"),
    "nested in a time": (raw(at=DEEP), 400, "nested too deeply"),
    "nested in a column that is ignored": (raw(other=DEEP), 400, "nested too deeply"),
    "nested and cut off": (("[" * 100_000).encode(), 400, "nested too deeply"),
    "a huge exponent": (raw(x="1e999"), 422, "out of range"),
    "a huge integer for a number": (raw(x="9" * 400), 422, "out of range"),
    "a huge integer": (raw(n="9" * 5_000), 422, "out of range"),
    "an integer beyond 64 bits": (raw(n="9" * 25), 422, "cannot"),
    "NaN": (raw(x="NaN"), 400, "not JSON"),
    "Infinity": (raw(x="Infinity"), 400, "not JSON"),
    "-Infinity": (raw(x="-Infinity"), 400, "not JSON"),
    "a name twice": (raw().replace(b'"n"', b'"x": 2, "n"'), 422, "`x` again"),
    "a name twice, once escaped": (raw().replace(b'"n"', b'"\\u0078": 2, "n"'), 422, "`x` again"),
    "rows twice": (raw()[:-1] + b', "rows": []}', 422, "at least one row"),
    "rows twice, both good": (raw()[:-1] + b"," + raw()[1:], 422, "`rows` again"),
    "invalid UTF-8": (raw(t='"é"').replace("é".encode(), b"\xe9"), 400, "not UTF-8"),
    "invalid UTF-8 in what is ignored": (raw(other='"é"').replace("é".encode(), b"\xe9"), 400, "not UTF-8"),
    "UTF-16": (json.dumps({"rows": [GOOD]}).encode("utf-16"), 400, "not UTF-8"),
    "a byte order mark": (b"\xef\xbb\xbf" + raw(), 400, "not JSON"),
    "a lone surrogate": (raw(t='"\\ud800"'), 400, "not JSON"),
    "a lone low surrogate in what is ignored": (raw(other='"\\udc00 "'), 400, "not JSON"),
    "a surrogate in UTF-8": (raw(t='"S"').replace(b"S", b"\xed\xa0\x80"), 400, "not UTF-8"),
    "nothing": (b"", 400, "not JSON"),
    "blanks": (b" \n", 400, "not JSON"),
    "only a quote": (b'"', 400, "not JSON"),
    "a control character": (raw(t='"\x01"'), 400, "not JSON"),
    "two documents": (raw() + raw(), 400, "not JSON"),
    "a year beyond": (raw(at='"99999-01-01"'), 422, "ISO 8601"),
    "null": (b"null", 422, "object"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_body_that_cannot_be_read_gets_4xx_and_words(case):
    body, status, words = BAD[case]
    for parts in (1, 7):
        found, said, _ = send(make(), body, parts=parts)
        assert (found, words in said["error"]) == (status, True), said
        assert len(said["error"]) < 1_200


@pytest.mark.parametrize("stated", [True, False])
def test_a_body_over_the_limit_is_refused_with_and_without_a_stated_length(stated):
    app = make(max_bytes=5_000)
    body = row(t="x" * 5_000)
    for parts in (1, 50):
        headers = {**JSON, **({"content-length": str(len(body))} if stated else {"transfer-encoding": "chunked"})}
        status, said, _ = send(app, body, headers=headers, parts=parts)
        assert (status, "larger than 5,000 bytes" in said["error"]) == (413, True)
    assert send(app, row(t="x" * 4_000), parts=50)[0] == 200
    assert send(app, row(), headers={**JSON, "content-length": "²"})[0] == 200  # a server lets no such header through


def test_bodies_on_their_way_share_a_limit_and_leave_it_when_they_end():
    app = make(max_bytes=5_000)
    at = app.state.endpoints
    for body in (row(), b"{", row(t="x" * 5_000)):
        send(app, body, parts=5)
        assert at.held == 0
    at.held = 20 * 5_000  # as if twenty others were being read
    status, said, _ = send(app, row())
    assert (status, "at once" in said["error"]) == (503, True)
    assert at.held == 20 * 5_000


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ('Application/JSON;charset="UTF-8"', 200),
        (None, 200),
        ("application/json; charset=utf-16", 415),
        ("application/json; charset=latin-1", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=application/json", 415),
        ("text/plain", 415),
        ("application/jsonp", 415),
        ("json", 415),
        ("", 415),
        (";", 415),
    ],
)
def test_only_json_is_read_and_no_content_type_is_taken_for_json(kind, status):
    found, said, _ = send(make(), row(), headers={"content-type": kind} if kind is not None else {})
    assert found == status
    assert status == 200 or "is not read; send" in said["error"]


def test_a_compressed_body_is_refused():
    assert send(make(), row(), headers={**JSON, "content-encoding": "gzip"})[0] == 415


class TestNames:
    ODD = ('a"b', "a\\b", "a\nb", "\x00", "\t", "'", "é", "__class__", "class", "rows", "columns", "x" * 5_000, "", " ",
           "0", "a.b", "$", "`", "🂡", "\u2028", "\x7f", "None", "c0", "{}", "%s", "\\u0041", '"', "\\", "time")  # fmt: skip

    @staticmethod
    def check(names):
        """A table with such names is decoded as it was sent, and what is wrong is said with the name."""
        table = pd.DataFrame({name: [float(place), None] for place, name in enumerate(names)})
        decoder = RowDecoder(describe_columns(table))
        rows = [dict.fromkeys(names, None), {name: float(place) for place, name in enumerate(names)}]
        wanted = {name: [None, float(place)] for place, name in enumerate(names)}
        for ascii_only in (True, False):
            for asked in ({"rows": rows}, {"columns": wanted}):
                found = decoder.decode(json.dumps(asked, ensure_ascii=ascii_only).encode())
                assert found == wanted
                assert list(decoder.build([found]).columns) == list(names)
        for name in names[:3]:
            for wrong in ({**rows[1], name: "text"}, {key: 1 for key in names if key != name}):
                with pytest.raises(Exception, match=r"at `\$\.rows\[0\]") as error:
                    decoder.decode(json.dumps({"rows": [wrong]}).encode())
                assert json.dumps(name, ensure_ascii=False)[1:-1] in str(error.value)

    def test_odd_names_together(self):
        self.check(list(self.ODD))

    @pytest.mark.parametrize("name", ODD)
    def test_an_odd_name_alone(self, name):
        self.check([name])

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=6, unique=True))
    @example(['"', "\\", '\\"', '"\\'])
    @example(["\\u0000", "\x00"])
    def test_any_names(self, names):
        self.check(names)

    def test_a_model_with_odd_names_is_registered_served_and_logged(self, tmp_path):
        rng, names = (
            np.random.default_rng(0),
            [name for name in self.ODD if name.strip("\x00")],
        )  # no column of scikit-learn is called so
        table = pd.DataFrame({name: rng.normal(size=30) for name in names}).assign(unused=pd.to_timedelta(range(30)))
        recipe = make_recipe(names)
        model = make_pipeline(recipe, LinearRegression()).fit(table, np.arange(30.0))
        golden = make_golden(model, table, Problem("y", "regression"))
        Registry(tmp_path / "r").register("odd", {"model": model, "golden": golden}, params={"task": "regression"})
        predictor = Predictor.from_registry(tmp_path / "r", "odd@1")
        app = create_app(predictor, log=tmp_path / "log")
        assert send(app, method="GET", path="/ready")[0] == 200
        sent = table[names].to_dict("records")
        status, said, _ = send(app, json.dumps({"rows": sent}).encode())
        assert status == 200
        assert [one["prediction"] for one in said["predictions"]] == model.predict(table).tolist()
        log = read_log(tmp_path / "log")
        assert log[names].to_numpy().tolist() == table[names].to_numpy().tolist()
        assert log["request: time"].str.startswith("20").all()


@pytest.mark.parametrize(
    ("names", "task"),
    [
        (["expected", "x"], "regression"),
        (["x", "expected: a"], "multiclass"),
        (["_expected", "expected"], "regression"),
    ],
)
def test_a_column_may_be_named_as_the_golden_answers_are(names, task, tmp_path):
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 2)), columns=names)
    target = np.arange(30.0) if task == "regression" else ["a", "b", "c"] * 10
    model = (LinearRegression() if task == "regression" else LogisticRegression()).fit(table, target)
    Registry(tmp_path).register(
        "odd", {"model": model, "golden": make_golden(model, table, Problem("y", task))}, params={"task": task}
    )
    predictor = Predictor.from_registry(tmp_path, "odd@1")
    assert predictor.schema["column"].tolist() == names
    assert predictor.check() == 0.0
    predictor.golden.iloc[0, -1] += 1
    assert predictor.check() == pytest.approx(1)


def test_a_column_that_json_cannot_hold_matters_only_if_the_model_needs_it():
    table = ROWS.assign(long=pd.to_timedelta([1, 2, 3], unit="s"))
    assert "long" not in set(describe_columns(table, ["x"])["column"])
    with pytest.raises(BadParameter, match="column 'long' of dtype timedelta64"):
        describe_columns(table, ["x", "long"])


class TestToken:
    def test_who_has_no_token_gets_no_answer(self):
        app = make(token="s3cret")
        for given_, status in [
            ({}, 401),
            ({"authorization": "Bearer s3cret"}, 200),
            ({"authorization": "bearer  s3cret"}, 200),
            ({"authorization": "Bearer s3cre"}, 401),
            ({"authorization": "Bearer s3cret2"}, 401),
            ({"authorization": "Basic s3cret"}, 401),
            ({"authorization": "s3cret"}, 401),
            ({"authorization": "Bearer "}, 401),
        ]:
            found, said, headers = send(app, row(), headers={**JSON, **given_})
            assert found == status, given_
            assert "s3cret" not in json.dumps(said)
            assert ("www-authenticate" in headers) == (status == 401)

    @pytest.mark.parametrize(
        ("path", "status"),
        [("/health", 200), ("/ready", 200), ("/metrics", 401), ("/model", 401), ("/nothing", 401), ("/health/", 401)],
    )
    def test_probes_need_no_token_and_all_else_does(self, path, status):
        assert send(make(token="s3cret"), method="GET", path=path)[0] == status

    @pytest.mark.parametrize("token", ["", " ", "se cret", "tab\t", "é", "line\n"])
    def test_a_token_that_cannot_be_sent_is_refused_without_showing_it(self, token, monkeypatch):
        monkeypatch.setenv("NBKIT_SERVE_TOKEN", token)
        with pytest.raises(BadParameter, match="NBKIT_SERVE_TOKEN") as error:
            read_token()
        assert not token.strip() or token not in str(error.value)

    def test_the_token_comes_from_the_environment(self, monkeypatch):
        monkeypatch.delenv("NBKIT_SERVE_TOKEN", raising=False)
        assert read_token() is None
        monkeypatch.setenv("NBKIT_SERVE_TOKEN", "abc-_~")
        assert read_token() == "abc-_~"

    @pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.1", "192.168.1.7", "fe80::1%eth0", "8.8.8.8"])
    def test_beyond_this_machine_it_needs_a_token(self, address):
        with pytest.raises(BadParameter, match="--no-token"):
            check_exposure(address, None)
        check_exposure(address, "abc")

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
    def test_on_this_machine_it_needs_none(self, address):
        check_exposure(address, None)


class TestFaults:
    @pytest.mark.parametrize(
        "error", [KeyError("x"), TypeError("x"), ZeroDivisionError(), IndexError(), ValueError("x" * 9_999)]
    )
    def test_rows_that_the_model_cannot_take_are_the_callers_matter(self, error):
        def fail(rows):
            raise error

        status, said, _ = send(make(fail), row())
        assert status == 422
        assert said["error"].startswith("the model cannot take these rows")
        assert len(said["error"]) < 1_200

    @pytest.mark.parametrize(
        "error",
        [RuntimeError("a\nb"), MemoryError(), SystemExit(3), StopIteration(), KeyboardInterrupt(), AttributeError()],
    )
    def test_a_fault_of_the_model_is_one_answer_and_one_line_and_the_service_lives(self, error, caplog):
        failing = [True]

        def fail(rows):
            if failing:
                raise error
            return np.zeros(len(rows))

        app = make(fail)
        status, said, _ = send(app, row())
        assert status == 500
        assert "the service failed" in said["error"]
        assert [one.name for one in caplog.records].count("nbkit.serve") == 1
        failing.clear()
        assert send(app, row())[0] == 200

    def test_a_model_that_cannot_answer_its_golden_rows_is_not_ready_and_answers_nothing(self):
        golden = ROWS.assign(expected=[1.0, 2.0, 3.0])
        schema = describe_columns(ROWS, ["x", "n", "t"])
        for model, words in [
            (Mean(lambda rows: rows["nowhere"]), "KeyError"),
            (Mean(lambda rows: rows["x"].to_numpy() + np.nan), "cannot answer its golden rows"),
            (Mean(lambda rows: rows["x"].to_numpy() + 1), "differ by 1"),
        ]:
            app = create_app(Predictor(model, "demo", 1, "d", Problem("y", "regression"), 0.5, schema, golden))
            status, said, _ = send(app, method="GET", path="/ready")
            assert (status, said["ready"], words in said["error"]) == (503, False, True)
            status, said, _ = send(app, row())
            assert (status, words in said["error"]) == (503, True)

    def test_all_refusals_are_counted_and_are_json(self):
        app = make(token="t", max_bytes=500)
        good = {**JSON, "authorization": "Bearer t"}
        asked = [
            (401, {"body": row()}),
            (405, {"method": "GET", "headers": good}),
            (413, {"body": row(t="x" * 600), "headers": good}),
            (415, {"body": row(), "headers": {**good, "content-type": "text/csv"}}),
            (422, {"body": b"{}", "headers": good}),
        ]
        for status, request in asked:
            found, said, _ = send(app, **request)
            assert (found, list(said)) == (status, ["error"])
        metrics = send(app, method="GET", path="/metrics", headers=good)[1].decode()
        for status, _ in asked:
            assert f'nbkit_requests_total{{status="{status}"}} 1.0' in metrics
        assert send(app, method="GET", path="/nothing", headers=good)[:2] == (404, {"error": "Not Found"})

    def test_a_service_that_stops_says_so_and_ends_connections(self):
        app = make()
        assert "connection" not in send(app, row())[2]
        app.state.endpoints.is_stopping = True
        status, said, headers = send(app, method="GET", path="/ready")
        assert (status, said["ready"], said["stopping"], headers["connection"]) == (503, False, True, "close")
        status, _, headers = send(app, row())
        assert (status, headers["connection"]) == (200, "close")
        assert send(app, b"{")[2]["connection"] == "close"


class TestLog:
    @staticmethod
    def break_(folder, how):
        for path in folder.iterdir():
            path.unlink()
        path = folder / f"requests-{pd.Timestamp.now(tz='UTC'):%Y-%m-%d}.jsonl"
        if how == "full":
            path.symlink_to("/dev/full")
        elif how == "a folder in its place":
            path.mkdir()
        elif how == "a dangling link":
            path.symlink_to("/nowhere/file")
        else:
            folder.rmdir()
            folder.write_text("a file in the folder's place")
        return path

    @pytest.mark.parametrize("how", ["full", "a folder in its place", "a dangling link", "a file"])
    def test_an_answer_does_not_depend_on_the_log_and_the_loss_is_counted_and_said_once(self, how, tmp_path, caplog):
        folder = tmp_path / "log"
        app = make(log=folder)
        assert send(app, row())[0] == 200
        path = self.break_(folder, how)
        for _ in range(5):
            assert send(app, row())[0] == 200
        assert [one.name for one in caplog.records].count("nbkit.serve") == 1
        assert "answered but not logged" in caplog.text
        assert "nbkit_log_lines_lost_total 5.0" in send(app, method="GET", path="/metrics")[1].decode()
        path.rmdir() if path.is_dir() and not path.is_symlink() else (path if path.is_symlink() else folder).unlink()
        assert send(app, row())[0] == 200
        assert len(read_log(folder)) == 1

    def test_a_log_that_was_removed_begins_again(self, tmp_path):
        folder = tmp_path / "log"
        app = make(log=folder)
        for _ in range(2):
            assert send(app, row())[0] == 200
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
        assert send(app, row())[0] == 200
        assert len(read_log(folder)) == 1

    def test_half_a_line_does_not_spoil_the_next(self, tmp_path):
        log = RequestLog(tmp_path)
        assert log.append("1", "d", [{"x": 1}], [{"prediction": 2}], 1.0)
        path = next(Path(tmp_path).iterdir())
        whole = path.read_bytes()
        path.write_bytes(whole + whole[:25])  # the disk was full, or the process was killed
        assert log.append("2", "d", [{"x": 1}], [{"prediction": 2}], 1.0)
        assert read_log(tmp_path)["request"].tolist() == ["1", "2"]
        assert log.lost == 0


class TestStderr:
    def test_a_thousand_faults_are_a_few_lines(self):
        stream = io.StringIO()
        logger = logging.Logger("test")
        logger.addHandler(OneLiner(stream, most=5))
        for place in range(1_000):
            try:
                raise ValueError("two\nlines " + "x" * 5_000)
            except ValueError as error:
                logger.error("request %s failed", place, exc_info=error)
        logger.error("another place speaks")
        lines = stream.getvalue().splitlines()
        assert len(lines) == 6
        assert max(map(len, lines)) < 500
        assert lines[0].startswith("nbkit: request 0 failed: ValueError: two lines xxx")
        assert lines[5] == "nbkit: another place speaks (995 lines like earlier ones left out)"

    def test_after_a_while_it_speaks_again(self):
        stream = io.StringIO()
        handler = OneLiner(stream, most=1, seconds=0.0)
        for _ in range(3):
            handler.emit(logging.LogRecord("n", 40, "file", 1, "said", (), None))
        assert stream.getvalue().count("said") == 3

    def test_a_closed_stream_does_no_harm(self):
        stream = io.StringIO()
        stream.close()
        OneLiner(stream).emit(logging.LogRecord("n", 40, "file", 1, "said", (), None))


def test_what_a_model_warns_of_does_not_stop_an_answer():
    def warn(rows):
        warnings.warn("overflow", RuntimeWarning, stacklevel=1)
        return np.zeros(len(rows))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert send(make(warn), row())[0] == 200


def test_the_batcher_survives_what_would_end_it():
    async def run():
        def answer(requests):
            raise StopIteration if requests == [0] else SystemExit(1)

        batcher = Batcher(answer, size=lambda _: 1)
        found = [await asyncio.gather(batcher.ask(one), return_exceptions=True) for one in range(3)]
        await batcher.close()
        return found

    assert [type(one[0]) for one in asyncio.run(run())] == [RuntimeError] * 3


def test_a_dummy_model_is_served_with_all_its_columns():
    model = DummyRegressor().fit(ROWS, [1.0, 2.0, 3.0])
    app = create_app(Predictor(model, "demo", 1, "d", Problem("y", "regression"), 0.5, describe_columns(ROWS)))
    assert send(app, row())[0] == 200
