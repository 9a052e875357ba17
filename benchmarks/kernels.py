"""What one kernel costs, forked and cold, and whether many in a row leave anything behind.

``python benchmarks/kernels.py [--kernels 100] [--json FILE]`` starts and ends kernels that have pandas and scikit-learn
imported, prints the medians of their seconds and their memory, and what is left; its exit code is 1 if something is.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from nbkit.kernels import find_servers, folders, make_environment, start_server
from nbkit.pipeline.engine import OwnKernelManager

IMPORTS = "import pandas, sklearn.ensemble"


async def run_kernel(folder: Path, warm: str) -> dict[str, float]:
    """Start a kernel, import, end it; return the seconds of each and the megabytes that are the kernel's alone."""
    began = time.perf_counter()
    manager = OwnKernelManager()
    await manager.start_kernel(env=make_environment(NBKIT_WARM=warm), cwd=str(folder), stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)
    started = time.perf_counter()
    await client.execute_interactive(IMPORTS, allow_stdin=False)
    imported = time.perf_counter()
    memory = psutil.Process(manager.provisioner.pid).memory_full_info()
    alone = getattr(memory, "uss", memory.rss) / 1e6
    ending = time.perf_counter()
    await manager.shutdown_kernel()
    client.stop_channels()
    ended = time.perf_counter()
    return {"start": started - began, "imports": imported - started, "end": ended - ending, "MB": alone}


def list_left(before: set[int], pid: int) -> dict[str, Any]:
    """Return what outlives kernels: processes, file descriptors, files."""
    children = {each.pid for each in psutil.Process().children(recursive=True)} - before - {pid}
    home = folders.find_home()
    files = [path.name for path in home.iterdir() if path.suffix not in (".sock", ".log")] if home.is_dir() else []
    return {"processes": sorted(children), "files": files, "descriptors": psutil.Process().num_fds()}


def main() -> int:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernels", type=int, default=100)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        notebook = {"cells": [{"cell_type": "code", "source": IMPORTS}]}
        (folder / "first.ipynb").write_text(json.dumps(notebook))
        cold = [asyncio.run(run_kernel(folder, "0")) for _ in range(max(given.kernels // 20, 3))]
        with start_server([folder / "first.ipynb"], folder, make_environment()) or sys.exit(
            "nothing is forked here"
        ) as lease:
            first = asyncio.run(run_kernel(folder, "1"))
            server = psutil.Process(dict(find_servers())[lease.place]["pid"])
            held, before = server.num_fds(), list_left(set(), server.pid)
            warm = [asyncio.run(run_kernel(folder, "1")) for _ in range(given.kernels)]
            after = list_left(set(), server.pid)
            grown = max(server.num_fds() - held, 0) + max(after["descriptors"] - before["descriptors"], 0)
    left = {**after, "descriptors": grown, "home": folders.find_home().exists()}
    medians = {
        name: {key: round(statistics.median(each[key] for each in rows), 3) for key in rows[0]}
        for name, rows in (("cold", cold), ("forked", warm))
    }
    print(f"first, with the server's start: {first}")
    for name, values in medians.items():
        print(f"{name:7} {values}")
    print(f"left after {given.kernels} kernels: {left}")
    if given.json:
        given.json.write_text(
            json.dumps({"cores": os.cpu_count(), "medians": medians, "first": first, "left": left}, indent=1)
        )
    return int(any(left.values()))


if __name__ == "__main__":
    sys.exit(main())
