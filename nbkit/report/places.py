"""Paths of the machine that ran a run, made short: they tell a reader elsewhere nothing but how it is laid out."""

import html
import json
import re
import tempfile
from pathlib import Path

KNOWN = re.compile(r"(?<![\w.:/])(?:/[\w.@+-]+)*/(?:runs/(?P<run>[\w.-]*\w)|site-packages|python3\.\d+)(?![\w-])")


def forget_places(text: str, folder: Path) -> str:
    """Put ``.`` for the folder of a run, also of an earlier one, and short names for other places of the machine.

    Parameters
    ----------
    text
        Of a page, or of a notebook as JSON.
    folder
        The run.

    Examples
    --------
    >>> forget_places("/srv/us/runs/b/x.csv, /srv/us/runs/a/y.csv and /srv/us/params/p.yaml", Path("/srv/us/runs/b"))
    './x.csv, ./y.csv and params/p.yaml'
    >>> forget_places("/opt/py/lib/python3.11/site-packages/pandas/io.py; https://x.org/runs/7", Path("/srv/us/runs/b"))
    '…/pandas/io.py; https://x.org/runs/7'
    """
    folder, root = folder.resolve(), folder.resolve().parents[1]
    for spell in (str, html.escape, lambda path: json.dumps(path, ensure_ascii=False)[1:-1]):
        text = text.replace(spell(str(folder)), ".")
    text = KNOWN.sub(lambda found: "." if found["run"] else "…", text).replace(f"{root}/", "")
    for place, short in {str(root): ".", tempfile.gettempdir(): "tmp", str(Path.home()): "~"}.items():
        text = re.sub(rf"(?<![\w.:/]){re.escape(place)}(?![\w-])", short, text) if len(place) > 2 else text
    return text
