"""Shared fixtures: a project folder with small notebooks of its own, made without kernels."""

import json
from pathlib import Path

import pytest


def make_notebook(path: Path, *cells, parameters: str = 'run_dir: str = "."  # folder of this run', **metadata):
    """Write a notebook: a heading, a parameters cell, and the given code cells."""
    heading = {"cell_type": "markdown", "id": "head", "metadata": {}, "source": [f"# {path.stem}\n", "\n", "A question?"]}
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
