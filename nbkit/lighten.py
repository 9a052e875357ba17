"""Keeps a costly import that hardly anybody needs out of the way until somebody does."""

import contextlib
import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from typing import Any

GRAMMAR = "rfc3987_syntax"  # compiles a grammar of IRIs for a second and more; comes with JupyterLab


@contextlib.contextmanager
def defer_grammar() -> Iterator[None]:
    """Let what is imported meanwhile (jsonschema, by way of nbformat) load its grammar when it first checks an IRI.

    Nothing else changes: whoever imports the grammar's module afterwards gets the real one.

    Examples
    --------
    >>> with defer_grammar():
    ...     import jsonschema
    """
    if GRAMMAR in sys.modules or importlib.util.find_spec(GRAMMAR) is None:
        yield
        return

    def is_valid_syntax(*arguments: Any) -> Any:
        return importlib.import_module(GRAMMAR).is_valid_syntax(*arguments)

    stand_in: Any = types.ModuleType(GRAMMAR)
    stand_in.is_valid_syntax = is_valid_syntax
    sys.modules[GRAMMAR] = stand_in
    try:
        yield
    finally:
        sys.modules.pop(GRAMMAR, None)
