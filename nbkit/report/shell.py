"""The shell of every page: its templates, the marks they print, and the one script that they may run."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

import jinja2
import pandas as pd

from nbkit.report.marks import mark, speak, tone


@cache
def find_template(name: str) -> jinja2.Template:
    """Return a template of this folder."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"mark": mark, "tone": tone, "spoken": speak}
    environment.filters |= {"missing": pd.isna, "css": lambda text: re.sub(r"[^\w .:@-]", "", str(text))}
    script = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")
    environment.globals |= {"script": script, "script_hash": hash_script(script)}
    return environment.get_template(name)


def hash_script(script: str) -> str:
    """Return the hash of an inline script, by which the policy of a page allows it.

    Examples
    --------
    >>> hash_script("")
    'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
    """
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
