"""A form that starts runs, each a process of its own, and watches them."""

import contextlib
import datetime as dt
import html
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psutil

from nbkit import observe
from nbkit.desk.face import Face, _find_widgets, guard, tell
from nbkit.desk.form import Form
from nbkit.desk.twin import write_table
from nbkit.errors import BadParameter, NbkitError
from nbkit.freshness import CHOSEN
from nbkit.pipeline import Chosen, plan_run
from nbkit.pipeline.runs import is_held
from nbkit.project import find_notebooks, find_root
from nbkit.record import RunRecord, StageRecord, iterate_runs, read_record
from nbkit.report.scraps import read_front
from nbkit.stages import read_stages
from nbkit.stages.params import SHARED, read_params

LOOK = 0.5  # seconds between two looks at a run
MARKS = {"pending": "○", "running": "…", "passed": "✓", "refused": "■", "failed": "✗", "interrupted": "◼"}
OF_THIS_KERNEL = (
    "JPY_",
    "VSCODE_",
    "MPLBACKEND",
    "NBKIT_STAGE",
    observe.VARIABLE,
    observe.ROOT,
    observe.THREADS,
    CHOSEN,
)
# `python -m nbkit`, for whom Ctrl-C counts also where a kernel ignores it
START = """import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("nbkit", run_name="__main__", alter_sys=True)"""


class Launcher(Face):
    """Starts ``nbkit run`` with what stands in a form, and shows how far it is; the run outlives the kernel.

    Parameters
    ----------
    root
        The project, or anything below it.
    file
        The params file to begin with, by its name without ``.yaml``; by default that of the latest run.

    Attributes
    ----------
    form
        The parameters; None where no params file can be read.
    folder
        The run that is watched; None before there is one.

    Examples
    --------
    In a notebook::

        nbkit.desk.Launcher("..")
    """

    def __init__(self, root: str | os.PathLike[str] = ".", file: str = "") -> None:
        super().__init__()
        self.root = find_root(root)
        self.projects, self.overrides = list_params(self.root)
        if file and file not in self.projects:
            raise BadParameter(f"there is no params/{file}.yaml; there are {', '.join(self.projects) or 'none'}")
        recent = [record.project for _, record in iterate_runs(self.root) if record.project in self.projects]
        self.project, self.override = file or next(iter([*recent, *self.projects]), ""), ""
        self.form: Form | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.folder: Path | None = None
        self.pid, self._stopping = 0, False
        self._heard: IO[bytes] = io.BytesIO()  # what the process says
        for folder, record in iterate_runs(self.root):
            if record.status == "running" and is_held(folder):
                self.folder, self.pid = folder, record.pid
                break

    @property
    def files(self) -> list[Path]:
        """The params files that are chosen."""
        chosen = [self.project, *([self.override] if self.override else [])]
        return [self.root / "params" / f"{name}.yaml" for name in chosen if name]

    def html(self) -> str:
        """Return the projects, how each is run, and what is at work."""
        if not self.project:
            return tell(self._explain_nothing())
        at_work = f"{self.folder.name} is at work." if self.folder and self.at_work else "No run is at work."
        rows = [(name, f"nbkit run params/{name}.yaml") for name in self.projects]
        table = write_table("Launcher: what can be run", ["project", "in a terminal"], rows)
        return f"{table}<p>{html.escape(at_work)} In JupyterLab this is a form that starts a run.</p>"

    def _explain_nothing(self) -> str:
        where = self.root / "params"
        return f"there is no params file in {where}: `nbkit new NAME --data FILE --target COLUMN` writes one"

    # --- the form

    def build(self) -> Any:
        """Return the form, the buttons, and a place of fixed height for how the run goes."""
        widgets = _find_widgets()
        if not self.project:
            return widgets.HTML(self.html())
        known = read_stages(find_notebooks(self.root)).values()
        stages = [stage.name for stage in known if stage.cadence == "run"]
        told = {"style": {"description_width": "9rem"}, "layout": {"width": "min(34rem, 100%)"}}
        self.choose_project = widgets.Dropdown(
            options=self.projects, value=self.project, description="params file", **told
        )
        self.choose_override = widgets.Dropdown(
            options=[("nothing", ""), *_pair(self.overrides)], value="", description="overridden by", **told
        )
        ends = [("the beginning, only what changed", ""), *_pair(stages)], [("the end", ""), *_pair(stages)]
        self.first = widgets.Dropdown(options=ends[0], description="from", **told)
        self.last = widgets.Dropdown(options=ends[1], description="until", **told)
        self.name = widgets.Text(description="name of the run", placeholder="project and time", **told)
        self.section = widgets.Dropdown(description="parameters", **told)
        self.rows = widgets.VBox(layout={"height": "19em", "overflow": "auto"})
        self.changed = widgets.HTML(layout={"height": "4.5em", "overflow": "auto"})
        self.run_button = widgets.Button(description="Run", button_style="primary", disabled=self.at_work)
        self.cancel_button = widgets.Button(description="Cancel", disabled=not self.at_work)
        self.said = widgets.HTML(layout={"height": "4.5em", "overflow": "auto"})
        self.progress = widgets.HTML(layout={"height": f"{1.6 * len(stages) + 1.5}em", "overflow": "auto"})
        self.run_button.on_click(guard(self.said, lambda _: self.run()))
        self.cancel_button.on_click(guard(self.said, lambda _: self.cancel()))
        self.section.observe(lambda _: self._open(), "value")
        for each in (self.choose_project, self.choose_override):
            each.observe(guard(self.said, lambda _: self._choose()), "value")
        guard(self.said, self._choose)()
        if self.folder:
            self._follow()
        choices = [self.choose_project, self.choose_override, self.first, self.last, self.name]
        buttons = widgets.HBox([self.run_button, self.cancel_button])
        return widgets.VBox([*choices, self.section, self.rows, self.changed, buttons, self.said, self.progress])

    def _choose(self) -> None:
        """Read the params files that are chosen; what was changed in the form is forgotten."""
        self.project, self.override, self.form = self.choose_project.value, self.choose_override.value, None
        self.section.options, self.changed.value = (), ""
        every = read_stages(find_notebooks(self.root))
        self.form = Form(self.files, every)
        counts = {name: len(parameters) for name, parameters in self.form.sections.items()}
        shown = [name for name in counts if counts[name] and (name == SHARED or every[name].cadence == "run")]
        self.section.options = [(f"{name} ({counts[name]})", name) for name in shown]
        self.section.value = shown[0]
        self.progress.value = _show([StageRecord(name, "pending") for name in shown if name != SHARED])
        self.said.value = tell(f"{' and '.join(path.name for path in self.files)}: nothing is changed")

    def _open(self) -> None:
        """Show the fields of the section that is chosen."""
        found = []
        if self.form and self.section.value:
            found = self.form.open(self.section.value, guard(self.said, self._show_changes))
        self.rows.children = found

    def _show_changes(self, _: Any = None) -> str:
        assert self.form
        self.changed.value = "".join(f"<div>{html.escape(each)}</div>" for each in self.form.describe_changes())
        return f"{len(list(self.form.list_changes()))} changed against {self.files[-1].name}"

    # --- the run

    @property
    def at_work(self) -> bool:
        """Whether the run that is watched is being executed, or its report written."""
        return self.process.poll() is None if self.process else _is_alive(self.pid)

    def run(self) -> str | None:
        """Start the run, unless there is nothing to do; what ``nbkit run`` refuses is refused with its words."""
        if self.at_work:
            raise BadParameter(f"{self.folder.name if self.folder else 'a run'} is at work: wait for it, or cancel it")
        self.said.value = tell("working: the params and the notebooks are read…")
        if self.form is None:
            self._choose()
        assert self.form
        settings, name = self.form.list_settings(), self.name.value.strip()
        chosen = Chosen(self.first.value, self.last.value)
        plan = plan_run(self.root, self.files, settings, stages=chosen, name=name)
        if plan.nothing_to_do and plan.folder:
            self.folder, self.pid, self.process = plan.folder, 0, None
            self.tick()
            return f"nothing to do: nothing has changed since {plan.folder.name}"
        name = name or _name_run(self.root, plan.project)
        self._start(["run", *map(str, self.files), *_list_options(settings, chosen), "--name", name])
        self.folder = self.root / "runs" / name
        self.progress.value = _show([StageRecord(step.stage.name, "pending") for step in plan.steps])
        self.said.value = tell(f"{name} is being started…")
        self._follow()
        return None

    def _start(self, words: list[str]) -> None:
        self._heard = tempfile.TemporaryFile()  # noqa: SIM115 - the process may outlive us
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OF_THIS_KERNEL)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, *words], cwd=self.root, env=inherited, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=self._heard, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.pid, self._stopping = self.process.pid, False

    def cancel(self) -> str:
        """Interrupt the run as Ctrl-C would: what has passed is kept, and ``nbkit resume`` goes on from there."""
        if not self.at_work:
            raise BadParameter("no run is at work: there is nothing to cancel")
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGINT)
        self._stopping = True
        return "it is asked to stop, which takes a moment; a second time breaks it off"

    def _follow(self) -> None:
        """Watch the run until it ends, in a thread."""
        self.run_button.disabled, self.cancel_button.disabled = True, False

        def watch() -> None:
            while self.tick():
                time.sleep(LOOK)

        threading.Thread(target=watch, daemon=True, name="nbkit-launcher").start()

    def tick(self) -> bool:
        """Look once at the run and show it; return whether it is still at work."""
        at_work, record = self.at_work, read_record(self.folder) if self.folder else RunRecord()
        if self.process and record.pid != self.pid:
            record = RunRecord()  # another run of that name, or none yet
        if record.stages:
            self.progress.value = _show(record.stages)
        running = next((each for each in record.stages if each.status == "running"), None)
        if not at_work:
            self.said.value = self._conclude(record)
            self._heard.close()
            self.run_button.disabled, self.cancel_button.disabled = False, True
        elif record.status == "running":
            cell = f", cell {running.cell} of {running.cells}" if running and running.cells else ""
            words = f"{record.run}: {running.stage}{cell}" if running else record.run
            words += ", asked to stop" if self._stopping else ""
            self.said.value = tell(words)
        elif record.status:
            self.said.value = tell(f"{record.run} {record.status}: its report is being written…")
        return at_work

    def _conclude(self, record: RunRecord) -> str:
        """Say how the run ended, in HTML: its verdict and where its report lies, or what went wrong."""
        if not record.status or not self.folder:
            self._heard.seek(0)
            lines = self._heard.read().decode(errors="replace").splitlines()
            words = [line.removeprefix("nbkit: ") for line in lines if line.startswith("nbkit: ")] or lines[-1:]
            return tell(" ".join(words) or "the run ended before it began", bad=True)
        name, page = self.folder.name, self.folder / "report" / "index.html"
        verdict = str(read_front(self.folder).get("verdict", ""))
        said = f"{name} {'was interrupted' if record.status in ('running', 'interrupted') else record.status}"
        if record.stopped:
            cell = f", code cell {record.stopped.cell}" if record.stopped.cell else ""
            said += (
                f" at {record.stopped.stage}{cell}: {record.stopped.message.rstrip('.')}; `nbkit resume {name}` goes on"
            )
        elif verdict:
            said += f": {verdict}"
        told = tell(said, bad=record.status in ("failed", "refused"))
        link = (
            f'<p><a href="{html.escape(link_to(page))}" target="_blank">Open the report of {html.escape(name)}</a></p>'
        )
        return told + (link if page.is_file() else "")


def list_params(root: Path) -> tuple[list[str], list[str]]:
    """List the params files of a project by their names: those that name one, and those that only override.

    One that cannot be read is among the first: whoever chooses it is told what is wrong.
    """
    projects: list[str] = []
    overrides: list[str] = []
    for path in sorted((root / "params").glob("*.yaml")):
        if path.name.endswith(".contract.yaml"):
            continue
        try:
            named = any((entry.section, entry.key) == (SHARED, "name") for entry in read_params(path))
        except NbkitError:
            named = True
        (projects if named else overrides).append(path.stem)
    return (projects, overrides) if projects else (overrides, [])


def link_to(path: Path) -> str:
    """Return the address of a file at the Jupyter server that started this kernel, else on this machine."""
    for server in _list_servers():
        root = Path(server["root_dir"])
        if path.resolve().is_relative_to(root):
            return f"{server['base_url']}files/{path.resolve().relative_to(root).as_posix()}"
    return path.resolve().as_uri()


def _list_servers() -> Iterator[dict[str, Any]]:
    with contextlib.suppress(ImportError):
        from jupyter_server.serverapp import list_running_servers

        own = os.environ.get("JPY_PARENT_PID", "")
        yield from sorted(list_running_servers(), key=lambda server: str(server["pid"]) != own)


def _name_run(root: Path, project: str) -> str:
    """Name a run as `nbkit run` does: after its project and the time, the next free number where that is taken."""
    base, number = f"{project}-{dt.datetime.now(dt.UTC):%Y%m%dT%H%MZ}", 1
    while (root / "runs" / (name := base if number == 1 else f"{base}-{number}")).exists():
        number += 1
    return name


def _is_alive(pid: int) -> bool:
    try:
        return bool(pid and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _list_options(settings: list[str], chosen: Chosen) -> list[str]:
    given = [*(("--set", each) for each in settings), ("--from", chosen.first), ("--until", chosen.last)]
    return [word for option, value in given if value for word in (option, value)]


def _show(stages: list[StageRecord]) -> str:
    """Return the stages as a list: how each stands, how long it took, and where it is."""
    rows = []
    for each in stages:
        cell = f"cell {each.cell} of {each.cells}" if each.status == "running" and each.cells else ""
        took = f"{each.seconds:.1f} s" if each.seconds is not None and not each.borrowed else ""
        where = f"taken from {each.borrowed}" if each.borrowed else cell or took
        rows.append(f"<li>{MARKS.get(each.status, '?')} {each.stage} {each.status} {html.escape(where)}</li>")
    return f'<ol style="list-style: none; padding: 0; margin: 0" aria-label="stages">{"".join(rows)}</ol>'


def _pair(names: list[str]) -> list[tuple[str, str]]:
    return [(name, name) for name in names]
