"""JupyterLab as `nbkit lab` starts it, in a real browser: what a person at the desk does and sees."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nbkit.report.pack import find_browser

PATIENCE = 90_000  # milliseconds
HARMLESS = re.compile(r"favicon|WebGL|GPU stall|downloadable font", re.IGNORECASE)  # of the browser, not of the page
IDLE = "() => document.querySelector('.jp-StatusBar-Widget')?.textContent.includes('Idle')"


def require_browser():
    """Return the browser's command; skip, saying in one line what is left out, where there is none."""
    if not (browser := find_browser()):
        pytest.skip("no Chromium or Chrome here: JupyterLab in a real browser is left out")
    return browser


class Desk:
    """A page of JupyterLab, what went wrong on it, and what `nbkit lab` printed."""

    def __init__(self, page, lab, address, said):
        self.page, self.lab, self.address, self.said, self.errors = page, lab, address, said, []
        page.on("pageerror", lambda error: self.errors.append(f"page: {error}"))
        page.on("console", self._note)

    def _note(self, message):
        if message.type == "error" and not HARMLESS.search(f"{message.text} {message.location}"):
            self.errors.append(f"console: {message.text} ({message.location.get('url', '')})")

    def call(self, command, **arguments):
        """Execute a command of JupyterLab, and wait for it."""
        self.page.evaluate(
            "([command, given]) => window.jupyterapp.commands.execute(command, given).then(() => null)",
            [command, arguments],
        )

    def open(self, address):
        """Go to an address, and wait until the notebook and its kernel are there."""
        self.page.goto(address, wait_until="load")
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=PATIENCE)
        self.page.wait_for_function(IDLE, timeout=PATIENCE)

    def go(self, notebook):
        """Go to another notebook of the project, alone."""
        start, _, token = self.address.partition("lab/tree/")
        self.open(f"{start}lab/tree/{notebook}?{token.partition('?')[2].partition('#')[0]}&reset")

    def field(self, name):
        """Return the field of a widget that is labelled so: an input, a list or the handle of a slider."""
        label = self.page.locator(".widget-label").get_by_text(name, exact=True)
        widget = self.page.locator(".jupyter-widgets", has=label).last
        return widget.locator("input:visible, select, textarea, .noUi-handle").first

    def press(self, name):
        """Press a button of a widget, the last one that is called so."""
        self.page.locator(".jp-OutputArea").get_by_role("button", name=name, exact=True).last.click()

    def read(self, words):
        """Wait until words stand in a widget, and return the whole place where they do."""
        place = self.page.locator(".widget-html-content", has_text=words).last
        place.wait_for(timeout=2 * PATIENCE)
        return place.inner_text()

    def active(self):
        """Return source and place of the active cell, and how much of it is in view."""
        return self.page.evaluate(
            """() => { const notebook = window.jupyterapp.shell.currentWidget.content, cell = notebook.activeCell;
            const box = cell.node.getBoundingClientRect(), shown = notebook.node.getBoundingClientRect();
            return {source: cell.model.sharedModel.getSource(), place: notebook.activeCellIndex,
                    seen: box.top < shown.bottom && box.bottom > shown.top}; }"""
        )

    def wait_until_seen(self):
        """Wait until the active cell is in view: outputs above it are drawn one after the other."""
        for _ in range(50):
            if self.active()["seen"]:
                return
            self.page.wait_for_timeout(200)

    def write(self, source):
        """Replace the source of the active cell."""
        self.page.evaluate(
            "source => window.jupyterapp.shell.currentWidget.content.activeCell.model.sharedModel.setSource(source)",
            source,
        )

    def outputs(self):
        """Return what each cell shows below it, as the model holds it."""
        return self.page.evaluate(
            """() => window.jupyterapp.shell.currentWidget.content.widgets
            .map(cell => JSON.stringify(cell.model.toJSON().outputs ?? []))"""
        )

    def trusted(self):
        """Return of each code cell with outputs whether JupyterLab shows all of them."""
        return self.page.evaluate(
            """() => window.jupyterapp.shell.currentWidget.content.widgets
            .filter(cell => cell.model.type === 'code' && cell.model.outputs.length).map(cell => cell.model.trusted)"""
        )

    def kill_kernel(self):
        """Kill the kernel of the open notebook as the system does when memory is short, and wait for the next."""
        pid = self.page.evaluate(
            """() => new Promise(done => { const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const asked = kernel.requestExecute({code: 'import os; print(os.getpid())'});
            asked.onIOPub = message => message.header.msg_type === 'stream' && done(message.content.text); })"""
        )
        os.kill(int(pid), signal.SIGKILL)
        dialog = self.page.locator(".jp-Dialog", has_text="appears to have died")
        dialog.wait_for(timeout=PATIENCE)
        dialog.get_by_role("button").last.click()
        self.page.wait_for_function(IDLE, timeout=PATIENCE)

    def save(self):
        self.call("docmanager:save")


def prepare_settings(folder, scheme):
    """Write settings of JupyterLab that are no person's own: a theme, and no question about news."""
    settings = {"themes": {"theme": f"JupyterLab {scheme.title()}"}, "notification": {"fetchNews": "false"}}
    for name, content in settings.items():
        file = folder / "settings" / "@jupyterlab" / "apputils-extension" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
    return {"JUPYTERLAB_SETTINGS_DIR": f"{folder}/settings", "JUPYTERLAB_WORKSPACES_DIR": f"{folder}/workspaces"}


@contextlib.contextmanager
def open_lab(project, *words, scheme="light"):
    """Start `nbkit lab WORDS --no-browser` in a project, and open the address that it prints in a browser.

    Yields
    ------
    Desk
        Once the notebook and its kernel are there.
    """
    from playwright.sync_api import sync_playwright

    browser = require_browser()
    command = [sys.executable, "-m", "nbkit", "lab", *words, "--no-browser"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
    own = tempfile.TemporaryDirectory(prefix="nbkit-lab-")
    environment = os.environ | {"PYTHONUNBUFFERED": "1"} | prepare_settings(Path(own.name), scheme)
    lab = subprocess.Popen(command, cwd=project, env=environment, **options)
    try:
        said, address = [], ""
        for line in lab.stdout:
            said.append(line)
            if "Ctrl-C" in line:
                break
        (address,) = re.findall(r"^JupyterLab: (\S+)$", "".join(said), flags=re.MULTILINE)
        with sync_playwright() as driver:
            root = ["--no-sandbox"] if os.geteuid() == 0 else []
            chromium = driver.chromium.launch(executable_path=browser, args=root)
            page = chromium.new_page(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
            desk = Desk(page, lab, address, said)
            desk.open(address)
            yield desk
            chromium.close()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(lab.pid, signal.SIGINT)
        lab.wait(60)
        lab.stdout.close()
        own.cleanup()


def run_all(desk, minutes=5):
    """Run all cells of the open notebook, save it, and return the errors of its cells."""
    desk.page.evaluate(
        """ms => Promise.race([window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => null),
        new Promise((_, fail) => setTimeout(() => fail('still running when its time was over'), ms))])""",
        minutes * 60_000,
    )
    desk.save()
    return [each for each in desk.outputs() if '"output_type":"error"' in each]


def find_violations(page, context=None):
    """Return what axe finds on a page, or in the elements that a selector names, against WCAG 2.1 A and AA."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context, {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}).response["violations"]
    return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]


def take_picture(desk, name):
    """Write a screenshot to the folder that NBKIT_PICTURES names, for people to look at; nowhere without it."""
    if folder := os.environ.get("NBKIT_PICTURES"):
        desk.page.screenshot(path=Path(folder) / f"{name}.png")
