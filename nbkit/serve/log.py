"""The request log: one JSON line per answered request, the same for monitoring, replay and comparison."""

import datetime as dt
import logging
import os
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

log = logging.getLogger("nbkit.serve")


class RequestLog:
    """Appends to ``requests-<UTC day>.jsonl`` in a folder.

    Parameters
    ----------
    folder
        Made if need be, also when it was removed since.

    Attributes
    ----------
    lost
        Requests that could not be written, such as on a full disk. They were answered all the same.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lost = 0
        self._is_failing = False

    def append(self, request: str, digest: str, inputs: Any, outputs: Any, latency_ms: float) -> bool:
        """Add one request: its id, the model's digest, inputs and outputs as rows, and the latency.

        Returns
        -------
        bool
            Whether it was written. That it was not is said once, until one is written again.
        """
        now = dt.datetime.now(dt.UTC)
        line = {
            "time": now.isoformat(timespec="milliseconds"),
            "request": request,
            "model": digest,
            "latency_ms": round(latency_ms, 3),
            "inputs": inputs,
            "outputs": outputs,
        }
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _append_line(self.folder / f"requests-{now:%Y-%m-%d}.jsonl", msgspec.json.encode(line, enc_hook=str))
        except OSError as error:
            self.lost += 1
            if not self._is_failing:
                log.error(
                    "the request log in %s cannot be written (%s): requests are answered but not logged; "
                    "nbkit_log_lines_lost_total in /metrics counts them",
                    self.folder,
                    error.strerror or error,
                )
            self._is_failing = True
            return False
        self._is_failing = False
        return True


def _append_line(path: Path, line: bytes) -> None:
    """Append a line, on a line of its own even if the one before was cut off."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line + b"\n")


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
        gets ``answer: `` before it, and one of the first four ``request: ``). A line that was cut off by a crash or a
        full disk is left out.
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
                about = {f"request: {key}" if key in given else key: value for key, value in facts.items()}
                rows.append({**about, **given, **named})
    return pd.DataFrame(rows)
