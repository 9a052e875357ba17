"""A desk without a browser: notebooks, a kernel each (IPython's own shell in this process), and what an author does."""

import atexit
import json
import os
import time
from pathlib import Path

from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.io import capture_output
from traitlets.config import Config

from nbkit import freshness

NO_HISTORY = Config({"HistoryManager": {"enabled": False}})
STATE = (freshness._loads, freshness._modules, freshness._ids, freshness._seen)


class Notebook:
    """A notebook as JupyterLab holds it: what stands in memory, a kernel, and the file."""

    clock = time.time() - 1_000_000  # times of files are given, a second apart, so that none depends on luck

    def __init__(self, folder, stage, sources, root):
        self.path, self.stage, self.root = Path(folder) / f"{stage}.ipynb", stage, root
        self.cells = [self.make_cell(f"{stage}-{place}", source) for place, source in enumerate(sources)]
        self.cells[0]["metadata"]["tags"] = ["parameters"]
        self.restart()
        self.save()

    @staticmethod
    def make_cell(name, source):
        return {
            "cell_type": "code",
            "id": name,
            "metadata": {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }

    def restart(self):
        self.shell, self.state, self.listening = InteractiveShell(config=NO_HISTORY), ({}, {}, {}, set()), []
        atexit.unregister(self.shell.atexit_operations)  # which keeps each shell until the end, and takes its time then
        self.shell.kernel = self  # scrapbook asks whether there is one
        self.shell.InteractiveTB.structured_traceback = lambda *_, **__: []  # nobody reads it, and it takes its time

    def run(self, place, tell_id=True):
        """Run a cell, and return what it printed."""
        cell = self.cells[place]
        cell["outputs"] = []
        said = self.execute(cell["source"], cell["id"] if tell_id else None, cell["outputs"])
        cell["execution_count"] = self.shell.execution_count - 1
        return said

    def run_all(self, **options):
        """Run from top to bottom, up to the first cell that fails."""
        said = ""
        for place in range(len(self.cells)):
            said += self.run(place, **options)
            if self.error:
                break
        return said

    def execute(self, source, name, outputs):
        before, publisher = Path.cwd(), CapturingDisplayPublisher()
        self.shell.display_pub = publisher
        for kept, own in zip(STATE, self.state, strict=True):
            kept.clear()
            kept.update(own)
        freshness._listening[:] = self.listening
        InteractiveShell._instance = self.shell
        os.environ["JPY_SESSION_NAME"] = str(self.path)
        os.chdir(self.path.parent)
        try:
            with capture_output(display=False) as captured:
                result = self.shell.run_cell(source, store_history=True, cell_id=name)
        finally:
            os.chdir(before)
            InteractiveShell._instance = None
            os.environ.pop("JPY_SESSION_NAME", None)
        self.state = tuple(kept.copy() for kept in STATE)
        self.listening = list(freshness._listening)
        for data in publisher.outputs:
            outputs.append({"output_type": "display_data", "data": data["data"], "metadata": data.get("metadata", {})})
        self.error = result.error_in_exec or result.error_before_exec
        self.tick(self.path.parent / "artifacts" / f".{self.stage}.json")
        return captured.stdout

    def save(self):
        content = {"cells": self.cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(content))
        self.tick(self.path)

    @classmethod
    def tick(cls, path):
        if path.is_file():
            cls.clock += 1
            os.utime(path, (cls.clock, cls.clock))


def run_batch(root, name, notebooks, parameters):
    """Execute the files of notebooks, each in a fresh kernel, into a run."""
    from nbkit.cells import digest_notebook
    from nbkit.freshness import _read_defaults

    folder = root / "runs" / name
    record = {"run": name, "root": str(root), "started": name, "status": "passed", "parameters": {}, "defaults": {}}
    record["stages"] = []
    for each in notebooks:
        cells = json.loads(each.path.read_text())["cells"]
        record["defaults"][each.stage] = _read_defaults(cells)
        record["parameters"][each.stage] = record["defaults"][each.stage] | parameters.get(each.stage, {})
    folder.mkdir(parents=True)
    for each in notebooks:
        (folder / "run.json").write_text(json.dumps(record))
        cells = json.loads(each.path.read_text())["cells"]
        given = parameters.get(each.stage, {}) | {"run_dir": str(folder)}
        injected = "\n".join(f"{key} = {value!r}" for key, value in given.items())
        copy = Notebook(
            folder, each.stage, [cells[0]["source"], injected, *(cell["source"] for cell in cells[1:])], root
        )
        copy.cells[1]["metadata"]["tags"] = ["injected-parameters"]
        copy.run_all(tell_id=False)
        assert copy.error is None, copy.error
        copy.save()
        entry = {"stage": each.stage, "status": "passed", "code": digest_notebook(cells)}
        record["stages"].append(entry)
    (folder / "run.json").write_text(json.dumps(record))
