"""Plain-text templates over what a run handed over: the sentences of the model card, the steps of the lineage."""

from functools import partial
from pathlib import Path
from typing import Any

from nbkit import lifecycle
from nbkit.report.scraps import read_or, read_rows
from nbkit.report.shell import make_environment
from nbkit.wording import describe, format_count, format_estimate


def render_facts(name: str, folder: Path, **more: Any) -> list[str]:
    """Render a template as lines.

    Parameters
    ----------
    name
        Of the template, which calls `value` and `rows` with a stage and a name, `count`, `estimate` and `describe`.
    folder
        The run.
    more
        What else it needs.
    """
    reading = {"value": partial(read_or, folder), "rows": partial(read_rows, folder)}
    words = {"count": format_count, "estimate": format_estimate, "describe": describe, **vars(lifecycle)}
    text = make_environment().overlay(autoescape=False)  # plain, as the pages that print it escape it
    return text.get_template(name).render({**words, **reading, **more}).splitlines()
