"""Memory of one kernel that has imported pandas and scikit-learn: shared pages counted by share (PSS), and its own."""

import importlib.util
import itertools
import json
import statistics
from pathlib import Path

from benchmarks.harness import Options, Row, Skip, compare, time_nbkit
from benchmarks.projects import lay_project

SMAPS = Path("/proc/self/smaps_rollup")
FIELDS = {"PSS": ("Pss",), "its own": ("Private_Clean", "Private_Dirty")}
NOTE = f"""
from pathlib import Path
lines = [line.split() for line in Path("{SMAPS}").read_text().splitlines()]
run.save("memory", {{line[0].rstrip(":"): int(line[1]) for line in lines if line[-1] == "kB"}})
"""


def measure(options: Options) -> list[Row]:
    """Let the kernels themselves note what they hold, in runs with cold and with warm kernels."""
    if not SMAPS.is_file():
        raise Skip("this system has no /proc/self/smaps_rollup")
    lay_project(options.folder, 2, last=NOTE)
    modes = {"cold": "0", "warm": "1"} if importlib.util.find_spec("nbkit.kernels") else {"cold": "0"}
    counter, taken = itertools.count(), {(mode, field): [] for mode in modes for field in FIELDS}
    for _ in range(options.rounds):
        for mode, warm in modes.items():
            name = f"run{next(counter)}"
            time_nbkit(options.folder, "run", "params/toy.yaml", "--force", "--name", name, NBKIT_WARM=warm)
            held = [read_memory(path) for path in (options.folder / "runs" / name).glob("0*.ipynb")]
            for field, parts in FIELDS.items():
                taken[mode, field].append(statistics.mean(sum(each[part] for part in parts) for each in held) / 1000)
    rows = {key: Row("memory", f"{key[0]} kernel, {key[1]}", tuple(values), "MB") for key, values in taken.items()}
    peers = [row if mode == "cold" else compare(row, rows["cold", field]) for (mode, field), row in rows.items()]
    return peers


def read_memory(notebook: Path) -> dict[str, int]:
    """Read what a kernel noted, in kB."""
    for cell in json.loads(notebook.read_text())["cells"]:
        for output in cell.get("outputs", []):
            for payload in output.get("data", {}).values():
                if isinstance(payload, dict) and payload.get("name") == "memory":
                    return dict(payload["data"])
    raise SystemExit(f"{notebook} notes no memory")
