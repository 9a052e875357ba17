"""What `nbkit lab` does with the process of JupyterLab, without a browser."""

import subprocess
import sys

import psutil

SCRIPT = """
import sys
from pathlib import Path
from nbkit.desk import lab
from nbkit.desk.lab import Place, open_lab

def interrupt(process):
    while not Path("ready").exists():
        time.sleep(0.05)
    raise KeyboardInterrupt

import time
lab.PARTING, lab._wait_for = 0.2, interrupt
sys.executable = sys.argv[1]
sys.exit(open_lab(Path.cwd(), Place("notebooks/00_desk.ipynb"), browser=False, tell=print))
"""
DEAF = """#!{python}
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open("ready", "w").write(str(os.getpid()))
time.sleep(120)
"""


def test_a_jupyterlab_that_does_not_end_is_killed(tmp_path):
    deaf = tmp_path / "deaf"
    deaf.write_text(DEAF.format(python=sys.executable))
    deaf.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", SCRIPT, deaf], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    pid = int((tmp_path / "ready").read_text())
    assert not psutil.pid_exists(pid)
