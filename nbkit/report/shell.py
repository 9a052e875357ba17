"""The shell of every page: its templates, the marks they print, and the one script that they may run."""

import base64
import hashlib
import re
from functools import cache
from html import escape
from pathlib import Path

import jinja2
import pandas as pd

from nbkit.report.marks import mark, speak, tone


@cache
def make_environment() -> jinja2.Environment:
    """Return what renders the templates of this folder; a name that is not there is an error, and no empty space."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"mark": mark, "tone": tone, "spoken": speak, "missing": pd.isna, "css": _keep_plain}
    environment.filters["told"] = tell
    script = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")
    environment.globals |= {"script": script, "script_hash": hash_script(script)}
    return environment


def find_template(name: str) -> jinja2.Template:
    """Return a template of this folder."""
    return make_environment().get_template(name)


def tell(text: object) -> str:
    r"""Write a text as HTML: what stands in backticks as code, and each of its lines on a line.

    Examples
    --------
    >>> tell("2 things:\nstate `rule`: why;\nstate `<b>`")
    '2 things:<br>state <code>rule</code>: why;<br>state <code>&lt;b&gt;</code>'
    """
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escape(str(text))).replace("\n", "<br>")


def _keep_plain(text: object) -> str:
    """Keep what may stand in a string of a style sheet."""
    return re.sub(r"[^\w .:@-]", "", str(text))


def hash_script(script: str) -> str:
    """Return the hash of an inline script, by which the policy of a page allows it.

    Examples
    --------
    >>> hash_script("")
    'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
    """
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
