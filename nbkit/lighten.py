"""Keeps costly imports that hardly anybody needs out of the way until somebody does."""

import contextlib
import functools
import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from typing import Any

# what papermill and nbformat import at once and call seldom: module to the functions and classes
COSTLY = {
    "boto3.session": ("Session",),  # papermill's, for notebooks on S3
    "pyarrow.fs": ("FileSelector", "HadoopFileSystem"),  # the same for HDFS
    "rfc3986_validator": ("validate_rfc3986",),  # jsonschema's, if JupyterLab is there
    "rfc3987_syntax": ("is_valid_syntax",),  # the same: compiles a grammar for a second
}


class StandIn(types.ModuleType):
    """Stands for a module: what is called of it loads the real one first, and whatever else is asked of it as well."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        vars(self).update({each: functools.partial(self._call, each) for each in COSTLY[name]})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        return self.__getattr__(name)(*arguments, **options)


@contextlib.contextmanager
def defer_imports(wanted: str = "") -> Iterator[None]:
    """Let what is imported meanwhile load some costly modules only when it first calls something of them.

    Nothing else changes: whoever imports such a module afterwards gets the real one.

    Parameters
    ----------
    wanted
        The module that is to be imported: nothing is done if it is there already.

    Examples
    --------
    >>> with defer_imports("jsonschema"):
    ...     import jsonschema
    """
    if wanted in sys.modules:
        yield
        return
    there = [name for name in COSTLY if importlib.util.find_spec(name.partition(".")[0])]
    stand_ins = {name: StandIn(name) for name in there if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]
