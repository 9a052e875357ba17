import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import entry_points
from pathlib import Path

import psutil
import pytest
from conftest import make_notebook
from kernel_helpers import execute, is_gone, list_left, make_temporary, run_code, start_kernel, start_run, wait_until

from nbkit.errors import NoWarmKernel
from nbkit.kernels import client, make_environment, use_server
from nbkit.kernels.client import Forked, _find_server, _servers, fork_kernel
from nbkit.kernels.provisioner import make_kernel_folder

pytestmark = pytest.mark.slow
IMPORTS = "import numpy, pandas"
ROOT = Path(__file__).parents[1]
INSTALLED = bool(entry_points(group="jupyter_client.kernel_provisioners", name="nbkit"))


@pytest.fixture
def temporary(monkeypatch):
    """A folder for temporary files of our own, which must be empty in the end."""
    folder = make_temporary()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    assert not _servers
    assert wait_until(lambda: not any(folder.glob("nbkit-*"))), list(folder.rglob("*"))
    folder.rmdir()


@pytest.fixture
def stages(project, temporary):
    """A project of one notebook that imports pandas, and a held server for it."""
    make_notebook(project / "notebooks" / "01_first.ipynb", IMPORTS)
    return project / "notebooks"


@pytest.fixture
def server(stages):
    with use_server(sorted(stages.glob("*.ipynb"))) as server:
        yield server


FACTS = r"""
import os, sys, signal, threading, multiprocessing, random, json, resource, gc, warnings
facts = dict(
    path=sys.path, argv0=sys.argv[0], hash=hash("a"), folder=os.getcwd(), flags=str(sys.flags), main=__name__,
    environment=sorted(n for n in os.environ if n not in ("NBKIT_WARM", "JPY_PARENT_PID")),
    signals=[str(signal.getsignal(s)).split(" at ")[0] for s in (2, 13, 15, 17)], mask=str(signal.pthread_sigmask(0, [])),
    leader=os.getpgid(0) == os.getpid() == os.getsid(0), standard_input=os.read(0, 9).decode(), umask=os.umask(18),
    ours=[n for n in sys.modules if n.startswith("nbkit")], file="__file__" in globals(), gc=gc.isenabled(),
    limits=[resource.getrlimit(n) for n in range(8)], start=multiprocessing.get_start_method(),
    process=multiprocessing.current_process().name, dunders=sorted(n for n in globals() if n.startswith("__")),
)
import matplotlib, matplotlib.pyplot
facts.update(backend=matplotlib.get_backend(), hook=str(matplotlib.pyplot._REPL_DISPLAYHOOK))
print(json.dumps(facts))
"""


def test_a_forked_kernel_is_like_one_that_was_started_cold(server, stages):
    seen = "import sys; print('pandas' in sys.modules)"
    warm = run_code(seen, FACTS, folder=stages)
    cold = run_code(seen, FACTS, folder=stages, warm=False)
    assert (warm.forked, warm.texts[0].strip()) == (True, "True")
    assert (cold.forked, cold.texts[0].strip()) == (False, "False")
    assert json.loads(warm.texts[1]) == json.loads(cold.texts[1])


def test_two_kernels_share_neither_random_numbers_nor_values(server, stages):
    code = "import random, numpy, os; print(random.random(), numpy.random.rand(), os.getpid(), 'x' in globals()); x = 1"
    first, second = (run_code(code, folder=stages).texts[0].split() for _ in range(2))
    assert all(a != b for a, b in zip(first[:3], second[:3], strict=True))
    assert (first[3], second[3]) == ("False", "False")


def test_the_environment_the_backend_and_the_umask_are_those_of_the_kernel(server, stages):
    code = "import os, matplotlib; print(os.environ.get('HERE'), matplotlib.get_backend(), 'NBKIT_STAGE' in os.environ)"
    assert run_code(code, folder=stages, HERE="é\udc80", MPLBACKEND="svg").texts[0].split()[1:] == ["svg", "False"]
    assert run_code("import os; print(os.environ['HERE'])", folder=stages, HERE="é").texts == ["é\n"]
    assert run_code(code, folder=stages).texts[0].split()[0] == "None"


COMPUTE = r"""
import hashlib, io, json, math, warnings
import duckdb, joblib, numba, numpy as np, pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import GridSearchCV
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import shap
from multiprocessing import Pool
rng = np.random.default_rng(0)
X = rng.normal(size=(600, 6))
y = (X[:, 0] + X[:, 1] * X[:, 2] > 0).astype(int)
table = pd.DataFrame(X).add_prefix("c")
buffer = io.BytesIO()
table.to_parquet(buffer)
forest = RandomForestClassifier(20, n_jobs=2, random_state=0).fit(X, y)
with joblib.parallel_config("loky", n_jobs=2):
    grid = GridSearchCV(HistGradientBoostingClassifier(random_state=0, max_iter=5), {"max_depth": [2, 3]}, cv=3).fit(X, y)
@numba.njit
def add(a):
    total = 0.0
    for one in a:
        total += one
    return total
with Pool(2) as pool:
    roots = pool.map(math.sqrt, range(3))
found = [
    rng.normal(size=(300, 300)) @ rng.normal(size=(300, 300)),
    HistGradientBoostingClassifier(random_state=0, max_iter=10).fit(X, y).predict_proba(X),
    forest.predict_proba(X), grid.cv_results_["mean_test_score"], pd.read_parquet(io.BytesIO(buffer.getvalue())).to_numpy(),
    duckdb.sql("select sum(c0), count(*) from 'TABLE' where c1 > 0".replace("'TABLE'", "table_")).df().to_numpy(),
    shap.TreeExplainer(forest).shap_values(X[:9]), np.array([add(X[:, 0])]), np.array(roots),
]
print(json.dumps([hashlib.sha256(np.ascontiguousarray(one).tobytes()).hexdigest()[:8] for one in found]))
""".replace("buffer = io", "table_ = table\nbuffer = io")


def test_what_forked_kernels_compute_is_what_a_cold_one_computes_byte_for_byte(stages):
    make_notebook(stages / "01_first.ipynb", COMPUTE)
    notebooks = sorted(stages.glob("*.ipynb"))
    found: dict[str, object] = {}

    def run(name, **options):
        found[name] = run_code(COMPUTE, folder=stages, **options)

    with use_server(notebooks):
        both = [threading.Thread(target=run, args=(name,)) for name in ("first", "second")]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        run("one thread", OMP_NUM_THREADS="1")
    run("cold", warm=False)
    run("cold, one thread", warm=False, OMP_NUM_THREADS="1")
    assert [ran.forked for ran in found.values()] == [True, True, True, False, False]
    results = {name: json.loads(ran.texts[0].splitlines()[-1]) for name, ran in found.items()}
    assert results["first"] == results["second"] == results["cold"]
    assert results["one thread"] == results["cold, one thread"]


# --- how kernels end


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import os; os._exit(3)", 3),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
        ("import os, signal; os.kill(os.getppid(), signal.SIGKILL); import time; time.sleep(60)", -signal.SIGKILL),
    ],
    ids=["leaves", "killed", "crashes", "kills the server"],
)
def test_a_kernel_that_ends_is_reported_with_its_exit_code(code, expected, server, stages):
    ran = run_code(code, folder=stages)
    assert (ran.forked, ran.code) == (True, expected)
    assert wait_until(lambda: is_gone(ran.pid))
    assert run_code("print(1)", folder=stages).forked


def test_interrupt_restart_and_terminate(server, stages):
    async def act():
        manager, talk = await start_kernel(make_environment(), stages)
        task = asyncio.ensure_future(execute(manager, talk, "import time; print('go', flush=True); time.sleep(60)"))
        await asyncio.sleep(0.3)
        await manager.interrupt_kernel()
        assert "KeyboardInterrupt" in await task
        before = manager.provisioner.pid
        await manager.restart_kernel()
        await talk.wait_for_ready(timeout=60)
        assert await execute(manager, talk, "print(2)") == "2\n"
        assert manager.provisioner.pid != before
        manager.provisioner.process.terminate()
        assert wait_until(lambda: manager.provisioner.process.poll() == -signal.SIGTERM)
        await manager.shutdown_kernel(now=True)
        talk.stop_channels()

    asyncio.run(act())


def test_handlers_of_the_exit_run(server, stages, tmp_path):
    code = f"import atexit, pathlib; atexit.register(pathlib.Path({str(tmp_path / 'left')!r}).touch)"
    run_code(code, folder=stages)
    assert (tmp_path / "left").exists()


@pytest.mark.parametrize(
    "code",
    [
        "import os\nif os.fork() == 0:\n    os._exit(0)\nos.wait()",
        "import threading\nthreads = [threading.Thread(target=print) for _ in range(50)]\n[t.start() for t in threads]",
        "import os\nos.chdir('/'); os.environ.clear(); os.umask(0)",
        "import os\nfor _ in range(100):\n    os.write(1, bytes(range(256)) * 40)",
        "print('x' * 10_000_000)",
        "import os\nos.close(0); os.closerange(3, 10)",
        "import subprocess\nsubprocess.Popen(['sleep', '600'])",
        "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGINT, signal.SIG_IGN)",
    ],
    ids=["forks", "threads", "moves", "binary", "long", "closes", "leaves a process", "ignores signals"],
)
def test_whatever_a_kernel_does_to_itself_the_next_is_fresh(code, server, stages):
    assert run_code(code, folder=stages).forked
    after = run_code("import os; print(os.getcwd(), 'HOME' in os.environ)", folder=stages)
    assert (after.forked, after.texts) == (True, [f"{stages} True\n"])


def test_a_figure_is_shown_at_the_end_of_its_cell(server, stages):
    make_notebook(stages / "01_first.ipynb", "import matplotlib.pyplot as plt")
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nprint(plt.get_backend(), plt.get_fignums())"
    warm, cold = (run_code(code, "print(plt.get_fignums())", folder=stages, warm=warm).texts for warm in (True, False))
    assert warm == cold
    assert warm[1] == "[]\n"


def test_twenty_kernels_leave_nothing(server, stages):
    run_code("1", folder=stages)
    me, it = psutil.Process(), psutil.Process(server.process.pid)
    before = (me.num_fds(), it.num_fds())
    for _ in range(20):
        assert run_code("1", folder=stages).forked
    assert wait_until(lambda: not it.children())
    assert me.num_fds() <= before[0]
    assert it.num_fds() <= before[1]
    assert list_left() == []


# --- servers


def test_what_the_owner_of_a_kernel_left_is_swept_by_the_next_and_nothing_else_is(temporary):
    make = (
        "from nbkit.kernels.provisioner import make_kernel_folder; import os\n"
        "print(make_kernel_folder()[0], flush=True); os._exit(9)"
    )
    told = subprocess.run([sys.executable, "-c", make], capture_output=True, text=True, check=False)
    left = Path(told.stdout.strip())
    assert left.parent == temporary
    fresh, held = make_kernel_folder()
    assert left.is_dir()  # somebody may be about to hold it
    for path in (left, fresh):
        os.utime(path, (0, 0))
    last, handle = make_kernel_folder()
    assert [path.is_dir() for path in (left, fresh, last)] == [False, True, True]
    assert stat.S_IMODE(last.stat().st_mode) == 0o700
    for path, number in ((fresh, held), (last, handle)):
        path.rmdir()
        os.close(number)


def test_a_server_that_was_killed_is_replaced(server, stages):
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    assert run_code("1", folder=stages).forked
    assert [each is server for each in _servers.values()] == [False]


def test_a_server_that_hangs_is_waited_for_once(server, stages, monkeypatch):
    server.status()
    os.kill(server.process.pid, signal.SIGSTOP)
    monkeypatch.setattr(client, "PATIENCE", 1.0)
    kernel = Forked(server.control, 0, server)
    assert not kernel.is_up_to_date()
    monkeypatch.setattr(server, "ask", lambda *request: pytest.fail("it was asked again"))
    assert not kernel.is_up_to_date()
    with pytest.raises(NoWarmKernel, match="hangs"):
        fork_kernel((sys.executable,), {"do": "fork", "env": make_environment()}, [0, 1, 2])
    assert not run_code("1", folder=stages).forked


def test_many_who_start_the_server_at_once_get_the_same(server, stages):
    found = []
    start = threading.Barrier(8)

    def act():
        start.wait()
        found.append(_find_server((sys.executable,), make_environment()))

    threads = [threading.Thread(target=act) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each is server for each in found] == [True] * 8


def test_a_block_within_another_leaves_the_server_to_that(server, stages):
    with use_server(sorted(stages.glob("*.ipynb"))) as again:
        assert again is server
    assert server.process.poll() is None


def test_a_module_that_changed_is_never_served(stages, tmp_path, monkeypatch):
    base = tmp_path / "base"
    home = base / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    home.mkdir(parents=True)
    (home / "mistune.py").write_text("value = 1\n")
    make_notebook(stages / "01_first.ipynb", "import mistune")
    monkeypatch.setenv("PYTHONUSERBASE", str(base))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(home), os.environ.get("PYTHONPATH", "")]))
    code = "import sys; print('mistune' in sys.modules); import mistune; print(mistune.value)"
    with use_server(sorted(stages.glob("*.ipynb"))):
        assert run_code(code, folder=stages).texts == ["True\n1\n"]
        (home / "mistune.py").write_text("value = 22\n")
        assert run_code(code, folder=stages).texts == ["True\n22\n"]


def test_a_module_that_nobody_has_tried_is_left_to_the_kernels(stages):
    make_notebook(stages / "01_first.ipynb", "import duckdb, pandas")
    with use_server(sorted(stages.glob("*.ipynb"))) as server:
        ran = run_code("import sys; print('duckdb' in sys.modules, 'pandas' in sys.modules)", folder=stages)
        assert (ran.forked, ran.texts, server.status()["skipped"]) == (True, ["False True\n"], {})


def test_where_nobody_wants_it_nothing_is_forked_and_nothing_said(stages, monkeypatch, caplog):
    monkeypatch.setenv("NBKIT_WARM", "0")
    with use_server(sorted(stages.glob("*.ipynb"))) as server:
        assert server is None
        assert not run_code("1", folder=stages, warm=False).forked
    assert not caplog.text


def test_garbage_does_not_end_the_server(server, stages):
    server.status()
    for data in (b"", b"\n", b"{}\n", b"[]\n", b"\xff\n", b'{"do": "fork"}\n', b'{"do": "expect"}\n', b"x" * 100_000):
        ours, other = socket.socketpair()
        with ours, other:
            socket.send_fds(server.control, [b"+"], [other.fileno()])
            ours.sendall(data)
    assert run_code("1", folder=stages).forked
    assert server.process.poll() is None


def test_a_kernel_that_cannot_be_forked_says_why(server, stages):
    with pytest.raises(NoWarmKernel):
        fork_kernel((sys.executable,), {"do": "fork", "env": make_environment()}, [0, 1, 2])


def test_a_server_that_is_given_up_at_once_leaves_nothing(stages):
    make_notebook(stages / "01_first.ipynb", "import shap, skops.io")
    for pause in (0.0, 0.05, 0.3, 1.0):
        with use_server(sorted(stages.glob("*.ipynb"))) as server:
            time.sleep(pause)
        assert server.process.returncode is not None
        assert list_left() == []


# --- elsewhere


@pytest.mark.skipif(not INSTALLED, reason="needs nbkit installed with its entry points")
def test_plain_papermill_gets_forked_kernels_by_the_name_of_the_kernel(temporary, project):
    kernels = project / "jupyter" / "kernels" / "nbkit"
    kernels.mkdir(parents=True)
    (kernels / "kernel.json").write_text((ROOT / "kernelspec" / "kernel.json").read_text())
    make_notebook(project / "plain.ipynb", "import sys\nprint('numpy' in sys.modules)\nimport numpy")
    command = [sys.executable, "-m", "papermill", "-k", "nbkit", "--no-progress-bar", "plain.ipynb", "out.ipynb"]
    settings = {**os.environ, "JUPYTER_PATH": str(project / "jupyter")}
    subprocess.run(command, cwd=project, env=settings, check=True, capture_output=True)
    assert json.loads((project / "out.ipynb").read_text())["cells"][-1]["outputs"][0]["text"] == ["True\n"]


# --- runs


def lay_toy(project, *cells):
    (project / "params" / "toy.yaml").write_text("shared: {}\n")
    for number in (1, 2):
        make_notebook(project / "notebooks" / f"{number:02}_step.ipynb", IMPORTS, *cells)


def find_family(pid):
    return [each.pid for each in psutil.Process(pid).children(recursive=True)]


@pytest.mark.parametrize("which", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_leaves_no_process_and_no_file(which, project, temporary):
    lay_toy(
        project,
        "import time, subprocess\nsubprocess.Popen(['sleep', '600'])\nopen('going', 'w').close()\ntime.sleep(600)",
    )
    run = start_run(project, temporary)
    going = project / "notebooks" / "going"
    assert wait_until(going.exists, 60), run.communicate()
    family = find_family(run.pid)
    assert len(family) >= 3
    run.send_signal(which)
    run.communicate()
    assert wait_until(lambda: all(is_gone(pid) for pid in family))
    assert wait_until(lambda: not any(temporary.glob("*"))), list(temporary.rglob("*"))


def test_the_server_killed_between_two_stages_is_replaced(project, temporary):
    lay_toy(project, "import os, signal, sys\nprint(os.getppid(), 'pandas' in sys.modules)")
    killer = "import os, subprocess\nsubprocess.Popen(['sh', '-c', f'sleep 0.4; kill -9 {os.getppid()}'], start_new_session=True)\n"
    make_notebook(project / "notebooks" / "01_step.ipynb", IMPORTS, killer.replace("NBKIT", ""))
    run = start_run(project, temporary)
    said = run.communicate()[0]
    assert run.returncode in (0, 1), said
    again = start_run(project, temporary)
    assert again.wait() in (0, 1)
    again.communicate()
    assert wait_until(lambda: not any(temporary.glob("*"))), list(temporary.rglob("*"))


def test_two_runs_at_once_both_pass_and_leave_nothing(project, temporary):
    lay_toy(project, "x = pandas.Series([1]).sum()")
    runs = [start_run(project, temporary) for _ in range(2)]
    ended = [(run.communicate()[0], run.returncode) for run in runs]
    assert [code for _, code in ended] == [0, 0], ended
    assert wait_until(lambda: not any(temporary.glob("*"))), list(temporary.rglob("*"))
