"""Rows of measurements, cases that take turns, and the machine that they ran on."""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
PACKAGES = ("nbkit", "papermill", "scrapbook", "pandas", "scikit-learn")


class Skip(Exception):
    """What a benchmark needs is not there; the message says what."""


@dataclass(frozen=True)
class Options:
    """What a benchmark is told.

    Attributes
    ----------
    folder
        An empty folder of its own.
    rounds
        How often each case is measured.
    params
        The params files of the lifecycle that it may run.
    """

    folder: Path
    rounds: int
    params: tuple[Path, ...]


@dataclass(frozen=True)
class Row:
    """One case of a benchmark.

    Attributes
    ----------
    benchmark, case
        What was measured.
    values, unit
        One value a round.
    peer, ratio
        What the median is divided by, and the quotient.
    at_most, at_least
        The limit of the ratio (of the median, if there is no peer), where there is one.
    """

    benchmark: str
    case: str
    values: tuple[float, ...]
    unit: str = "s"
    peer: str = ""
    ratio: float | None = None
    at_most: float | None = None
    at_least: float | None = None

    @property
    def median(self) -> float:
        """The median of the values."""
        return statistics.median(self.values)

    @property
    def holds(self) -> bool:
        """Whether the limit is kept."""
        judged = self.median if self.ratio is None else self.ratio
        return (self.at_most is None or judged <= self.at_most) and (self.at_least is None or judged >= self.at_least)

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return asdict(self) | {"median": self.median, "holds": self.holds}


def compare(row: Row, peer: Row, *, at_most: float | None = None, at_least: float | None = None) -> Row:
    """Return a row with its ratio to a peer, and the ratio's limit."""
    ratio = row.median / peer.median
    return Row(row.benchmark, row.case, row.values, row.unit, peer.case, ratio, at_most, at_least)


def take_turns(benchmark: str, cases: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Row]:
    """Measure every case once in each round, so that what else the machine does hits all of them alike.

    Parameters
    ----------
    benchmark
        The name of the rows.
    cases
        Name to a function that returns seconds.
    rounds
        How often.
    """
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, measure in cases.items():
            taken[name].append(measure())
    return {name: Row(benchmark, name, tuple(values)) for name, values in taken.items()}


def time_command(words: Sequence[str], folder: Path, **environment: str) -> float:
    """Run a command as from the shell and return its wall time; a command that fails ends the benchmark."""
    environ = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled, and so shall be what stands here
    start = time.perf_counter()
    done = subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} in {folder} exited with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return seconds


def time_nbkit(folder: Path, *words: str, **environment: str) -> float:
    """Run an nbkit command as from the shell and return its wall time."""
    return time_command([sys.executable, "-m", "nbkit", *words], folder, **environment)


def describe_machine() -> dict[str, Any]:
    """Return what the numbers were measured on."""
    cpu = next((line.split(":")[1].strip() for line in _read_cpuinfo() if line.startswith("model name")), "")
    return {
        "cpu": cpu or platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }


def _read_cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []


@contextmanager
def watch_others() -> Iterator[dict[str, float]]:
    """Measure the share of the machine that others use meanwhile: ``["others"]``, 0 to 1, once the block has ended."""
    found: dict[str, float] = {}
    before, own, start = psutil.cpu_times(), os.times(), time.perf_counter()
    yield found
    after, mine = psutil.cpu_times(), os.times()
    idle = sum(getattr(after, name, 0) - getattr(before, name, 0) for name in ("idle", "iowait"))
    ours = sum(mine[:4]) - sum(own[:4])
    total = (time.perf_counter() - start) * (os.cpu_count() or 1)
    found["others"] = round(max(0.0, (total - idle - ours) / total), 2)
