"""Whom a stage's end takes along."""

import subprocess
import sys
import time

import psutil
import pytest

from nbkit.pipeline.watch import end_orphans


@pytest.mark.parametrize(("mode", "ends"), [("a", True), ("r", False)])
def test_who_writes_to_a_kernels_log_is_its_orphan_and_who_reads_it_is_not(tmp_path, mode, ends):
    log = tmp_path / "01.log"
    log.touch()
    since = time.time()
    code = f"import time; file = open({str(log)!r}, {mode!r}); print('open', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "open\n"
        try:
            found = psutil.Process(process.pid)
            end_orphans("no such token", str(log), since)
            assert found.is_running() is not ends
        finally:
            process.kill()
