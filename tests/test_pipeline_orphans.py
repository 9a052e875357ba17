"""Whom a stage's end takes along."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from nbkit.pipeline.kernel import end_orphans


@pytest.mark.skipif(sys.platform != "linux", reason="nobody else says who holds a pipe")
@pytest.mark.parametrize("ends", [True, False])
def test_who_holds_the_pipe_into_a_kernels_log_is_its_orphan(ends):
    reader, writer = os.pipe()
    since = time.time()
    code = "import time; print('open', flush=True); time.sleep(60)"
    passed = (writer,) if ends else ()
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, pass_fds=passed) as process:
        assert process.stdout.readline() == "open\n"
        try:
            found = psutil.Process(process.pid)
            end_orphans("no such token", os.fstat(writer).st_ino, since)
            assert found.is_running() is not ends
        finally:
            process.kill()
            os.close(reader)
            os.close(writer)
