"""What one kernel costs, forked and cold, and whether a hundred runs in a row leave anything behind."""

import asyncio
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness import Options, Row, Skip, compare
from benchmarks.projects import lay_project
from nbkit.kernels import make_environment, use_server
from nbkit.pipeline import execute_plan, plan_run
from nbkit.pipeline.kernel import OwnKernelManager

RUNS, KERNELS = 100, 10
IMPORTS = "import pandas, sklearn.ensemble"


def measure(options: Options) -> list[Row]:
    """Measure kernels one by one, then runs in a row in this process."""
    if not hasattr(os, "fork"):
        raise Skip("nothing is forked on this system")
    lay_project(options.folder, 1)
    found: dict[str, list[dict[str, float]]] = {"cold": [], "forked": []}
    notebooks = sorted((options.folder / "notebooks").glob("*.ipynb"))
    with use_server(notebooks):
        asyncio.run(run_kernel(options.folder / "notebooks", "1"))  # the server's own start
        for _ in range(KERNELS):
            for name, warm in (("cold", "0"), ("forked", "1")):
                found[name].append(asyncio.run(run_kernel(options.folder / "notebooks", warm)))
    rows = []
    for what in ("start", "imports", "end"):
        cold, forked = (Row("kernels", f"{what}, {name}", tuple(each[what] for each in found[name])) for name in found)
        rows += [cold, compare(forked, cold)]
    left = list_left(options.folder)
    return [
        *rows,
        Row("kernels", f"left by {RUNS} runs" + "".join(f", {each}" for each in left), (len(left),), "", at_most=0),
    ]


async def run_kernel(folder: Path, warm: str) -> dict[str, float]:
    """Start a kernel, import, end it; return the seconds of each."""
    began = time.perf_counter()
    manager = OwnKernelManager()
    await manager.start_kernel(env=make_environment(NBKIT_WARM=warm), cwd=str(folder), stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)
    started = time.perf_counter()
    await client.execute_interactive(IMPORTS, allow_stdin=False)
    imported = time.perf_counter()
    await manager.shutdown_kernel()
    client.stop_channels()
    return {"start": started - began, "imports": imported - started, "end": time.perf_counter() - imported}


def list_left(root: Path) -> list[str]:
    """Run the project many times; return what is there afterwards and was not after the first time."""

    def run() -> None:
        status = execute_plan(plan_run(root, [root / "params" / "toy.yaml"], reuse="nothing"))[1].status
        if status != "passed":
            raise SystemExit(f"a run ended as {status}")

    run()
    before = look()
    for _ in range(RUNS):
        run()
    after = look()
    return [f"{what}: {after[what] - before[what]}" for what in after if after[what] - before[what]]


def look() -> dict[str, Any]:
    """List this process's children and open files, the temporary folder."""
    here = psutil.Process()
    temporary = {path.name for path in Path(tempfile.gettempdir()).iterdir()}
    return {
        "processes": {child.pid for child in here.children(recursive=True)},
        "descriptors": {f"{number}" for number in range(here.num_fds())},
        "temporary files": temporary,
    }
