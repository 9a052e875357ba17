"""The service without a process: schema, predictor, endpoints, batching, request log."""

import asyncio
import json

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import make_recipe
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

from nbkit.errors import BadModel, BadParameter, ServiceFailed
from nbkit.problem import Problem
from nbkit.registry import Registry, make_golden
from nbkit.registry.golden import find_problem
from nbkit.serve import Predictor, create_app, read_log
from nbkit.serve.batching import Batcher
from nbkit.serve.predictor import plain_rows
from nbkit.serve.schema import RowDecoder, describe_columns

ROWS = pd.DataFrame(
    {
        "größe": [1.5, 2.5, 3.5, 4.5] * 5,
        "hour": [6, 7, 8, 9] * 5,
        "art": ["a", "b", "a", "b"] * 5,
        "when": pd.date_range("2013-01-01", periods=20),
        "id": range(20),
    }
)


def fit(task):
    target = {
        "binary": ["no", "no", "yes", "yes"] * 5,
        "multiclass": ["a", "b", "c", "c"] * 5,
        "regression": np.arange(20.0),
    }[task]
    estimator = LinearRegression() if task == "regression" else LogisticRegression()
    filled = make_pipeline(make_recipe(["größe", "hour"], ["art"]), estimator)
    return filled.fit(ROWS, target)


def register(folder, task="binary", model=None, params=None, **extra):
    model = model or fit(task)
    positive = "yes" if task == "binary" else None
    bundle = {"model": model, "golden": make_golden(model, ROWS, Problem("y", task, positive)), **extra}
    registry = Registry(folder)
    registry.register("demo", bundle, params=params if params is not None else {"task": task, "positive": positive})
    return registry


class Browser:
    """Calls an application without a network, always on one event loop."""

    runner = asyncio.Runner()

    def __init__(self, app):
        self.app = app

    async def send(self, method, path, body=b""):
        said = {"body": b""}
        length = [(b"content-length", str(len(body)).encode())]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": length,
            "query_string": b"",
            "http_version": "1.1",
        }
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive():
            return next(messages, {"type": "http.disconnect"})

        async def send(message):
            said["status"] = message.get("status", said.get("status"))
            said["body"] += message.get("body", b"")

        await self.app(scope, receive, send)
        return said["status"], said["body"]

    def __call__(self, method, path, body=b""):
        return self.runner.run(self.send(method, path, body if isinstance(body, bytes) else json.dumps(body).encode()))

    def predict(self, body):
        status, said = self("POST", "/predict", body)
        return status, json.loads(said)


@pytest.fixture
def browser(tmp_path):
    predictor = Predictor.from_registry(register(tmp_path / "r"), "demo")
    return Browser(create_app(predictor, log=tmp_path / "log", max_bytes=5_000, max_rows=10))


class TestPredictor:
    def test_binary_decides_at_the_threshold(self, tmp_path):
        registry = register(tmp_path, params={"task": "binary", "positive": "yes", "threshold": 0.9})
        answers = Predictor.from_registry(registry, "demo@1").predict(ROWS.set_index("id", drop=False).iloc[3:6])
        assert answers.columns.tolist() == ["prediction", "probability"]
        assert answers.index.tolist() == [3, 4, 5]
        assert (answers["prediction"] == np.where(answers["probability"] >= 0.9, "yes", "no")).all()

    def test_several_classes(self, tmp_path):
        predictor = Predictor.from_registry(register(tmp_path, "multiclass"), "demo@1")
        answers = predictor.predict(ROWS)
        assert answers.columns.tolist() == ["prediction", "probability: a", "probability: b", "probability: c"]
        assert answers["prediction"].tolist() == predictor.model.predict(ROWS).tolist()
        assert predictor.classes == ["a", "b", "c"]

    def test_regression(self, tmp_path):
        predictor = Predictor.from_registry(register(tmp_path, "regression"), "demo@1")
        assert predictor.predict(ROWS)["prediction"].tolist() == predictor.model.predict(ROWS).tolist()
        assert predictor.classes == []
        assert predictor.check() == 0

    def test_the_schema_asks_for_what_the_model_looks_at(self, tmp_path):
        predictor = Predictor.from_registry(register(tmp_path), "demo@1")
        schema = predictor.schema.set_index("column")
        assert schema["required"].to_dict() == {"größe": True, "hour": True, "art": True, "when": False, "id": False}
        assert schema["type"].tolist() == ["number", "integer", "text", "time", "integer"]

    def test_without_golden_rows_nobody_knows_the_columns(self, tmp_path):
        registry = register(tmp_path)
        registry.register("bare", {"model": fit("binary")})
        with pytest.raises(BadModel, match="make_golden"):
            Predictor.from_registry(registry, "bare")

    @pytest.mark.parametrize(
        ("params", "facts"),
        [
            ({}, ("binary", "yes", 0.5)),
            ({"task": "binary", "positive": "no", "threshold": 0.2}, ("binary", "no", 0.2)),
            ({"task": "binary", "positive": None, "threshold": None}, ("binary", "yes", 0.5)),
        ],
    )
    def test_facts_come_from_the_parameters_or_the_model(self, params, facts):
        problem, threshold = find_problem({"model": fit("binary")}, params)
        assert (problem.task, problem.positive, threshold) == facts
        own = Problem("late", positive="no")
        bundle = {"model": fit("binary"), "problem": own, "params": {"threshold": 0.3}}
        assert find_problem(bundle, params) == (own, 0.3)  # what the bundle says counts

    def test_facts_of_other_tasks(self):
        for task in ("regression", "multiclass"):
            assert find_problem({"model": fit(task)}, {})[0].task == task


class TestEndpoints:
    def test_rows_and_columns_give_the_notebooks_answers(self, browser, tmp_path):
        expected = Predictor.from_registry(tmp_path / "r", "demo").predict(ROWS.head(3))
        rows = plain_rows(ROWS.head(3))
        columns = {name: [row[name] for row in rows] for name in ROWS.columns}
        for body in ({"rows": rows}, {"columns": columns}):
            status, said = browser.predict(body)
            assert status == 200
            assert said["model"] == "demo@1"
            pd.testing.assert_frame_equal(pd.DataFrame(said["predictions"]), expected, check_dtype=False)

    def test_what_is_wrong_is_said_with_its_path(self, browser):
        row = plain_rows(ROWS.head(1))[0]
        for body, status, said in [
            ({"rows": [row, {**row, "hour": "six"}]}, 422, "$.rows[1].hour"),
            ({"rows": [{key: row[key] for key in row if key != "größe"}]}, 422, "`größe` - at `$.rows[0]`"),
            ({"columns": {**{key: [row[key]] for key in row}, "hour": [1, 2]}}, 422, "equal length"),
            ({"rows": []}, 422, "at least one row"),
            ({}, 422, "either `rows` or `columns`"),
            ({"rows": [row], "columns": {}}, 422, "columns"),
            ({"rows": [{**row, "when": "yesterday"}]}, 422, "$.rows[0].when"),
            ({"rows": [row] * 11}, 413, "at most 10"),
            (b"{", 400, "not JSON"),
            (b'{"rows": [{"hour": NaN}]}', 400, "not JSON"),
        ]:
            found, answer = browser.predict(body)
            assert (found, said in answer["error"]) == (status, True), answer

    def test_too_many_bytes(self, browser):
        assert browser("POST", "/predict", b" " * 5_001)[0] == 413

    def test_missing_extra_and_new_values_do_not_break_it(self, browser):
        row = plain_rows(ROWS.head(1))[0]
        # the linear model here cannot take missing values: that is the caller's error, not the service's
        for change, status in [
            ({"extra": 1}, 200),
            ({"hour": 6.0}, 200),
            ({"größe": None}, 422),
            ({"art": "neu"}, 422),
        ]:
            assert browser.predict({"rows": [{**row, **change}]})[0] == status, change
        assert browser.predict({"rows": [{name: row[name] for name in ("größe", "hour", "art")}]})[0] == 200

    def test_health_ready_model_metrics(self, browser):
        assert browser("GET", "/health")[0] == 200
        assert json.loads(browser("GET", "/ready")[1]) == {"ready": True, "golden_difference": 0.0}
        model = json.loads(browser("GET", "/model")[1])
        assert (model["name"], model["number"], model["task"], model["max_rows"]) == ("demo", 1, "binary", 10)
        assert model["schema"][0] == {"column": "größe", "type": "number", "dtype": "float64", "required": True}
        assert browser.predict({"rows": [model["example"]]})[0] == 200
        browser.predict({})
        text = browser("GET", "/metrics")[1].decode()
        assert 'nbkit_requests_total{status="200"} 1.0' in text
        assert 'nbkit_requests_total{status="422"} 1.0' in text
        assert "nbkit_request_seconds_bucket" in text
        assert browser("GET", "/predict")[0] == 405
        assert browser("GET", "/nothing")[0] == 404

    def test_a_model_that_forgot_its_golden_answers_is_not_ready(self, tmp_path):
        registry = register(tmp_path)
        predictor = Predictor.from_registry(registry, "demo")
        predictor.golden["expected"] += 0.1
        browser = Browser(create_app(predictor))
        status, said = browser("GET", "/ready")
        assert status == 503
        assert json.loads(said)["golden_difference"] == pytest.approx(0.1)
        status, answer = browser.predict({"rows": [json.loads(browser("GET", "/model")[1])["example"]]})
        assert status == 503
        assert "not ready" in answer["error"]

    def test_the_log_holds_inputs_and_outputs(self, browser, tmp_path):
        rows = plain_rows(ROWS.head(2))
        for _ in range(2):
            assert browser.predict({"rows": rows})[0] == 200
        browser.predict({"rows": []})
        log = read_log(tmp_path / "log")
        assert len(log) == 4
        assert log["größe"].tolist() == [1.5, 2.5] * 2
        assert log["when"].iloc[0] == "2013-01-01T00:00:00"
        assert set(log["model"]) == {Registry(tmp_path / "r").get("demo").digest}
        assert log["request"].nunique() == 2
        assert (log["latency_ms"] > 0).all()
        assert {"prediction", "probability"} <= set(log.columns)
        path = next((tmp_path / "log").iterdir())
        path.write_bytes(path.read_bytes()[:-20])  # a crash in the middle of a line
        assert len(read_log(tmp_path / "log")) == 2
        assert read_log(tmp_path / "nowhere").empty

    @settings(max_examples=80, deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["rows", "columns", "größe", "hour", "art", "when", "id"]), inner, max_size=7
                )
            ),
            max_leaves=15,
        )
    )
    def test_no_body_makes_it_fail(self, body):
        app = create_app(TestEndpoints.predictor())
        assert Browser(app).predict({"rows": body})[0] in (200, 400, 413, 422)
        assert Browser(app).predict({"columns": body})[0] in (200, 400, 413, 422)
        assert Browser(app).predict(body)[0] in (200, 400, 413, 422)

    @staticmethod
    def predictor(cache={}):  # noqa: B006
        if not cache:
            schema = describe_columns(ROWS, ["größe", "hour", "art"])
            cache[0] = Predictor(fit("binary"), "demo", 1, "d", Problem("y", positive="yes"), 0.5, schema)
        return cache[0]


class TestSchema:
    @pytest.mark.parametrize(
        ("column", "values", "dtype"),
        [
            (pd.Series([1.5]), [1, None, 2.5], "float64"),
            (pd.Series([1.5], dtype="float32"), [1.0], "float64"),
            (pd.Series([1]), [1, 2.0], "int64"),
            (pd.Series([1]), [1, None], "float64"),
            (pd.Series([1]), [1.5], "float64"),
            (pd.Series([1], dtype="Int64"), [1, None], "Int64"),
            (pd.Series([1], dtype="Int64"), [1.5], "float64"),
            (pd.Series([1.5], dtype="Float64"), [1.5, None], "Float64"),
            (pd.Series([True]), [True], "bool"),
            (pd.Series([True]), [True, None], "object"),
            (pd.Series([True], dtype="boolean"), [True, None], "boolean"),
            (pd.Series(["a"]), ["a", None], "str"),
            (pd.Series(["a"], dtype="category"), ["a", None], "str"),
            (pd.Series(["a"], dtype=object), ["a", None], "object"),
            (pd.Series(pd.date_range("2013", periods=1)), ["2013-01-01T00:00:00", None], "datetime64[us]"),
            (pd.Series(pd.date_range("2013", periods=1, tz="UTC")), ["2013-01-01T00:00:00Z"], "datetime64[us, UTC]"),
        ],
    )
    def test_dtypes_of_training(self, column, values, dtype):
        decoder = RowDecoder(describe_columns(pd.DataFrame({"x y": column})))
        body = json.dumps({"columns": {"x y": values}}).encode()
        table = decoder.build([decoder.decode(body)])
        assert str(table["x y"].dtype) == dtype
        assert table["x y"].isna().tolist() == [value is None for value in values]

    @pytest.mark.parametrize(
        ("said", "meant"),
        [
            ("2013-06-01", "2013-06-01"),
            ("2013-06-01 06:30", "2013-06-01 06:30"),
            ("2013-06-01T06:30:00+02:00", "2013-06-01 04:30"),
        ],
    )
    def test_dates_as_people_write_them(self, said, meant):
        decoder = RowDecoder(describe_columns(pd.DataFrame({"at": pd.date_range("2013", periods=1)})))
        table = decoder.build([decoder.decode(json.dumps({"rows": [{"at": said}]}).encode())])
        assert table["at"].tolist() == [pd.Timestamp(meant)]

    @pytest.mark.parametrize("said", ["01/06/2013", "", "tomorrow", 5, True])
    def test_what_is_no_date_is_told_with_its_place(self, said):
        decoder = RowDecoder(describe_columns(pd.DataFrame({"at": pd.date_range("2013", periods=1)})))
        with pytest.raises(msgspec.ValidationError, match=r"such as 2013-06-01 .*\$\.rows\[0\]\.at"):
            decoder.decode(json.dumps({"rows": [{"at": said}]}).encode())

    def test_what_cannot_travel_as_json(self):
        with pytest.raises(BadParameter, match="timedelta"):
            describe_columns(pd.DataFrame({"x": pd.to_timedelta([1], unit="s")}))

    def test_large_numbers(self):
        decoder = RowDecoder(describe_columns(pd.DataFrame({"x": [1]})))
        with pytest.raises((OverflowError, msgspec.ValidationError)):
            decoder.build([decoder.decode(b'{"rows": [{"x": 99999999999999999999999}]}')])


class TestBatching:
    def test_what_waits_is_answered_by_one_call(self):
        calls = []

        def answer(requests):
            calls.append(len(requests))
            return [request * 2 for request in requests]

        async def run():
            batcher = Batcher(answer, size=lambda _: 1)
            found = await asyncio.gather(*(batcher.ask(one) for one in range(50)))
            await batcher.close()
            return found

        assert asyncio.run(run()) == [2 * one for one in range(50)]
        assert sum(calls) == 50
        assert len(calls) <= 2

    def test_a_bad_request_does_not_spoil_the_others(self):
        def answer(requests):
            if 3 in requests:
                raise ValueError("three")
            return requests

        async def run():
            batcher = Batcher(answer, size=lambda _: 1)
            found = await asyncio.gather(*(batcher.ask(one) for one in range(6)), return_exceptions=True)
            await batcher.close()
            return found

        found = asyncio.run(run())
        assert [one for one in found if not isinstance(one, Exception)] == [0, 1, 2, 4, 5]
        assert str(found[3]) == "three"

    def test_a_wrong_number_of_answers_leaves_nobody_waiting(self):
        async def run():
            batcher = Batcher(lambda requests: [], size=lambda _: 1)
            found = await asyncio.gather(*(batcher.ask(one) for one in range(3)), return_exceptions=True)
            await batcher.close()
            return found

        assert [type(one) for one in asyncio.run(run())] == [ValueError] * 3

    def test_a_full_queue_refuses_at_once(self):
        async def run():
            batcher = Batcher(lambda requests: requests, size=lambda _: 1, max_waiting=5)
            found = await asyncio.gather(*(batcher.ask(one) for one in range(20)), return_exceptions=True)
            await batcher.close()
            return found

        assert sum(isinstance(one, ServiceFailed) for one in asyncio.run(run())) == 15

    def test_a_client_that_hung_up(self):
        async def run():
            batcher = Batcher(lambda requests: requests, size=lambda _: 1)
            gone = asyncio.create_task(batcher.ask(1))
            await asyncio.sleep(0)
            gone.cancel()
            found = await batcher.ask(2)
            await batcher.close()
            return found

        assert asyncio.run(run()) == 2


def test_answers_that_are_no_numbers_are_null():
    table = pd.DataFrame(
        {
            "p": [np.nan, np.inf, 1.0],
            "t": pd.to_datetime(["2013-01-01", None, None]),
            "n": pd.array([1, None, 2], dtype="Int64"),
        }
    )
    assert msgspec.json.decode(msgspec.json.encode(plain_rows(table)))[:2] == [
        {"p": None, "t": "2013-01-01T00:00:00", "n": 1},
        {"p": None, "t": None, "n": None},
    ]
    assert plain_rows(table.head(0)) == []


def test_a_model_without_classes_or_names(tmp_path):
    model = DummyRegressor().fit(ROWS.to_numpy(), range(20))
    predictor = Predictor.from_registry(register(tmp_path, "regression", model=model, params={}), "demo")
    assert predictor.schema["required"].all()
    assert predictor.predict(ROWS)["prediction"].tolist() == [9.5] * 20
