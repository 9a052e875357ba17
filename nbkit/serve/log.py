"""The request log: one JSON line per answered request, the same for monitoring, replay and comparison."""

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd


class RequestLog:
    """Appends to ``requests-<UTC day>.jsonl`` in a folder.

    Parameters
    ----------
    folder
        Made if need be.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def append(self, request: str, digest: str, inputs: Any, outputs: Any, latency_ms: float) -> None:
        """Add one request: its id, the model's digest, inputs and outputs as rows, and the latency."""
        now = dt.datetime.now(dt.UTC)
        line = {
            "time": now.isoformat(timespec="milliseconds"),
            "request": request,
            "model": digest,
            "latency_ms": round(latency_ms, 3),
            "inputs": inputs,
            "outputs": outputs,
        }
        with (self.folder / f"requests-{now:%Y-%m-%d}.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")


def read_log(folder: str | Path) -> pd.DataFrame:
    """Read a request log as one row per answered row.

    Parameters
    ----------
    folder
        As given to the service.

    Returns
    -------
    DataFrame
        time, request, model, latency_ms, then the input columns and the output columns (an output whose name is taken
        gets ``answer: `` before it). A last line that was cut off by a crash is left out.
    """
    rows = []
    for path in sorted(Path(folder).glob("requests-*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                entry = msgspec.json.decode(line)
            except msgspec.DecodeError:
                continue
            facts = {key: entry[key] for key in ("time", "request", "model", "latency_ms")}
            for given, said in zip(entry["inputs"], entry["outputs"], strict=True):
                named = {f"answer: {key}" if key in given else key: value for key, value in said.items()}
                rows.append({**facts, **given, **named})
    return pd.DataFrame(rows)
