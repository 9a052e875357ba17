"""The service as a process: started, tried out, never left behind."""

import os
import socket
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from model_helpers import make_recipe
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline

from nbkit.errors import BadCriterion, ServiceFailed
from nbkit.problem import Problem
from nbkit.registry import Registry, make_golden
from nbkit.serve import (
    Predictor,
    Service,
    bad_requests,
    compare_answers,
    judge_requirements,
    judge_service,
    measure_latency,
    read_log,
)
from nbkit.serve.command import listen
from nbkit.serve.tryout import ask_service

RNG = np.random.default_rng(0)
ROWS = pd.DataFrame(
    {
        "hour": RNG.integers(0, 24, 400),
        "temp": np.where(RNG.random(400) < 0.1, np.nan, RNG.normal(size=400)),
        "carrier": pd.Series(RNG.choice(["UA", "AA", "ñ"], 400), dtype="str"),
        "when": pd.date_range("2013-01-01", periods=400, freq="h"),
    }
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("registry")
    recipe = make_recipe(["hour", "temp"], ["carrier"])
    model = make_pipeline(recipe, HistGradientBoostingClassifier(max_iter=5)).fit(ROWS, ROWS["hour"] > 12)
    bundle = {"model": model, "golden": make_golden(model, ROWS, Problem("y", positive=True))}
    Registry(folder).register("flights", bundle, params={"task": "binary", "positive": True, "threshold": 0.4})
    Registry(folder).set_alias("flights", 1, "candidate")
    return folder


OWN = """
from sklearn.base import BaseEstimator, TransformerMixin


class Double(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X[["temp"]].fillna(0) * 2
"""


def test_a_model_may_need_a_module_of_its_project(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "trusted.txt").write_text("servedown.Double\n")
    (tmp_path / "servedown.py").write_text(OWN)
    monkeypatch.chdir(tmp_path / "notebooks")  # where kernels work
    with monkeypatch.context() as path:
        path.syspath_prepend(str(tmp_path))
        from servedown import Double

        model = make_pipeline(Double(), HistGradientBoostingClassifier(max_iter=5)).fit(ROWS, ROWS["hour"] > 12)
        bundle = {"model": model, "golden": make_golden(model, ROWS, Problem("y", positive=True))}
        registry = tmp_path / "registry"
        Registry(registry).register("own", bundle, params={"task": "binary", "positive": True, "threshold": 0.4})
    with Service(registry, "own@1") as service:
        assert f"listening on {service.url} with own@1 (" in service.said()


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_the_try_out(registry, tmp_path):
    predictor = Predictor.from_registry(registry, "flights@candidate")
    with Service(registry, "flights@candidate", log=tmp_path / "log", token="secret") as service:
        pid = service.pid
        assert 0 < service.seconds < 60
        same = compare_answers(service, ROWS, predictor.predict(ROWS), chunk=150).iloc[0]
        assert (same["rows"], same["different"], same["equal"]) == (400, 0, True)
        wrong = predictor.predict(ROWS).assign(prediction=False)
        assert compare_answers(service, ROWS, wrong).at[0, "different"] == (predictor.predict(ROWS)["prediction"]).sum()
        cases = bad_requests(service)
        assert cases["ok"].all(), cases.to_string()
        assert len(cases) > 15
        assert cases.set_index("case").loc[["no token", "a wrong token", "a good row"], "status"].tolist() == [
            401,
            401,
            200,
        ]
        assert not cases["expected"].str.contains("|", regex=False).any()
        measured = measure_latency(service, ROWS, requests=60, clients=[1, 4])
        assert measured["clients"].tolist() == [1, 4]
        answers = pd.DataFrame(measured.attrs["answers"], columns=["clients", "ms"])
        assert answers.groupby("clients")["ms"].median().tolist() == pytest.approx(
            measured["p50_ms"].tolist(), abs=0.01
        )
        assert (measured["errors"] == 0).all()
        assert (measured["p50_ms"] <= measured["p99_ms"]).all()
        steady = measure_latency(service, ROWS, requests=40, clients=2, rate=40)
        assert 25 < steady.at[0, "throughput_rps"] < 50
        with pytest.raises(ServiceFailed, match="status 422"):
            ask_service(service, ROWS.drop(columns="hour"))
    assert not is_alive(pid)
    assert len(read_log(tmp_path / "log")) > 800
    with pytest.raises(ServiceFailed, match="does not answer"):
        ask_service(service.url, ROWS)


def test_answers_do_not_wait_for_nagles_algorithm():
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # without it asyncio leaves the algorithm on: 40 ms a request


@pytest.mark.slow
def test_nothing_is_left_behind_after_an_exception(registry):
    service = Service(registry, "flights@1")

    def cell():
        with service:
            pids.append(service.pid)
            raise KeyError("the cell failed")

    pids = []
    with pytest.raises(KeyError):
        cell()
    assert not is_alive(pids[0])
    service.stop()  # harmless


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kills by signal")
def test_it_ends_with_the_process_that_started_it(registry):
    code = (
        f"from nbkit.serve import Service; import os; s = Service({str(registry)!r}, 'flights@1').start(); "
        "print(s.pid, flush=True); os._exit(1)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90)
    pid = int(told.stdout)
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(pid)


@pytest.mark.slow
def test_why_it_does_not_start(registry, tmp_path):
    with pytest.raises(ServiceFailed, match="did you mean 'flights'"):
        Service(registry, "flihgts").start()
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ServiceFailed, match="in use"):
        Service(registry, "flights@1", port=taken.getsockname()[1]).start()
    with pytest.raises(ServiceFailed, match=r"not ready after 0\.01 s"):
        Service(registry, "flights@1", timeout=0.01).start()


def test_a_try_out_in_words_and_gates():
    agreement = pd.DataFrame({"rows": [500], "max_difference": [0.0], "different": [2], "equal": [False]})
    bad = pd.DataFrame({"case": ["no JSON"], "status": [500], "expected": ["400"], "ok": [False]})
    latency = pd.DataFrame(
        {
            "clients": [1, 4],
            "p50_ms": [5.0, 9.0],
            "p95_ms": [6.0, 12.0],
            "throughput_rps": [180.0, 400.0],
            "errors": [0, 0],
        }
    )
    required = judge_requirements(latency, {"latency_p95_ms": 10, "throughput_rps": 50})
    gates = judge_service(agreement, bad, required)
    assert gates["passed"].tolist() == [False, False, False]
    assert gates["detail"].tolist()[1] == (
        "0 of 1 faulty or unusual requests are met as they should be, 0 of them refused; no JSON: 500"
    )
    assert gates["detail"].tolist()[2].startswith("95 % of the responses within (ms) 12 (limit 10); requests a second")
    assert judge_service(agreement, bad, judge_requirements(latency, {}))["passed"].tolist() == [False, False, True]


def test_requirements():
    measured = pd.DataFrame({"p95_ms": [20.0, np.nan], "throughput_rps": [90.0, 400.0], "errors": [0, 1]})
    table = judge_requirements(measured, {"throughput_rps": 80, "latency_p95_ms": 50, "errors": 0})
    assert table["passed"].tolist() == [True, False, False]  # what was not measured has not passed
    assert table["measured"].tolist()[0] == 400  # what it can carry
    with pytest.raises(BadCriterion, match="did you mean 'latency_p95_ms'"):
        judge_requirements(measured, {"latency_p95": 1})
    with pytest.raises(ServiceFailed):
        measure_latency("http://127.0.0.1:9", ROWS.head(0))
