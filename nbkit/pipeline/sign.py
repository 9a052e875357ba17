"""Signs executed notebooks: JupyterLab shows no chart of a notebook that it does not trust."""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

LIVE = re.compile(r"(?i)<\s*(?:script|iframe|object|embed|form)\b|<[^>]*\son\w+\s*=|javascript:")
DRAWN = {"image/svg+xml", "text/html", "text/markdown"}


def sign_notebook(path: Path, *, own: bool = True) -> bool:
    """Sign a notebook that this machine has executed, or one from elsewhere whose outputs hold nothing that runs.

    A signature is a comfort: where none can be made, nothing is raised.

    Parameters
    ----------
    path
        The notebook.
    own
        Whether it was executed here.

    Returns
    -------
    bool
        Whether it was signed.
    """
    with contextlib.suppress(Exception):
        import nbformat
        from nbformat.sign import NotebookNotary

        notebook = nbformat.read(path, as_version=4)
        notary = NotebookNotary()
        notary.log.disabled = True
        try:
            if own or _is_still(notebook):
                notary.sign(notebook)
            return bool(notary.check_signature(notebook))
        finally:
            notary.store.close()
    return False


def _is_still(notebook: Any) -> bool:
    """Tell whether no output of a notebook could run anything in a browser."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            for mime, content in output.get("data", {}).items():
                if "javascript" in mime or "widget" in mime:
                    return False
                if mime in DRAWN and LIVE.search(content if isinstance(content, str) else json.dumps(content)):
                    return False
    return True
