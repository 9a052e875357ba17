"""Which model files may be loaded: every type in a file is checked by its exact name before anything is built.

skops resolves ``module.name`` and, depending on the node, calls it with arguments from the file. So a name is allowed
for one use only: a class of the lists below is created empty and gets its attributes; what is called with arguments
is on a short list of names that were read. There are no prefixes.
"""

import importlib
import io
import json
import keyword
import os
import sys
import types
import zipfile
from collections.abc import Iterator
from functools import cache
from typing import Any

from nbkit.errors import BadParameter, CorruptArtifact, UntrustedType
from nbkit.project import find_root
from nbkit.vetted import NBKIT, PARTS, USES

TRUSTED_FILE = "params/trusted.txt"
OLDEST_PROTOCOL = 2  # older skops files hide a function's name from a check of names


def load_model(content: bytes) -> Any:
    """Load a model from a skops file after every type in it was checked.

    Parameters
    ----------
    content
        The file.

    Returns
    -------
    object
        The model.

    Raises
    ------
    UntrustedType
        The file holds a type, a function or a kind of node that neither nbkit nor this project vouches for; nothing
        was imported, built or called.
    CorruptArtifact
        It is not a skops file, or its parts do not fit together.

    Examples
    --------
    >>> load_model(b"PK")
    Traceback (most recent call last):
    nbkit.errors.CorruptArtifact: this is not a model file: File is not a zip file
    """
    names = check_model(content)
    from skops import io as skops_io
    from skops.io.exceptions import UntrustedTypesFoundException

    from nbkit.trees import check_trees

    try:
        model = skops_io.loads(content, trusted=names)
    except UntrustedTypesFoundException as error:
        raise UntrustedType(f"the model holds more than its parts say: {error}") from error
    except Exception as error:  # whatever a file with allowed types and wrong parts leads to
        raise CorruptArtifact(f"the model cannot be built: {type(error).__name__}: {error}") from error
    if not (hasattr(model, "get_params") and hasattr(model, "fit")):
        raise CorruptArtifact(f"this is not a model but a {type(model).__name__}")
    check_trees(model)
    return model


def check_model(content: bytes) -> list[str]:
    """Check each type in a skops file and return their names; classes are resolved, nothing is built or called.

    Raises
    ------
    UntrustedType, CorruptArtifact
        As in `load_model`.
    """
    schema = _read_schema(content)
    found: set[tuple[str, str]] = set()
    try:
        for node in _iterate_nodes(schema):
            found.add(_name_node(node))
    except RecursionError:
        raise CorruptArtifact("this is not a model file: its parts are nested too deeply") from None
    own = trusted_names()
    refused = {name: why for loader, name in sorted(found) if (why := _refuse(loader, name, own))}
    if refused:
        raise UntrustedType("; ".join(f"the model holds {name}: {why}" for name, why in refused.items()))
    return sorted({name for _, name in found})


def trusted_names() -> frozenset[str]:
    """Return the classes and functions of this project's own that may be loaded.

    They are the lines of ``params/trusted.txt`` and the names in the environment variable ``NBKIT_TRUSTED`` (comma
    between them): exact dotted names. A class is created empty and gets its attributes; a function is applied to rows,
    with options that the file may choose, so that only functions which compute on what they are given belong there.
    What a file wants to load never counts.

    Raises
    ------
    BadParameter
        A line is not a dotted name, or names something of Python's standard library.
    """
    own = [(name, "NBKIT_TRUSTED") for name in os.environ.get("NBKIT_TRUSTED", "").split(",")]
    path = find_root() / TRUSTED_FILE
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        own += [(line.split("#")[0], f"{TRUSTED_FILE}, line {number}") for number, line in enumerate(lines, 1)]
    return frozenset(_check_line(name.strip(), where) for name, where in own if name.strip())


def _check_line(name: str, where: str) -> str:
    parts = name.split(".")
    if len(parts) < 2 or not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise BadParameter(
            f"{where}: {name!r} is not the exact dotted name of a class or function, such as churn.features.Clean; "
            "a prefix or a pattern vouches for code that nobody has read"
        )
    if parts[0] in sys.stdlib_module_names:
        raise BadParameter(f"{where}: {name!r} is part of Python; a model needs no such class, and it can run code")
    return name


def _read_schema(content: bytes) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            schema = json.loads(archive.read("schema.json"))
    except Exception as error:  # zipfile, zlib and json each have errors of their own
        raise CorruptArtifact(f"this is not a model file: {error}") from error
    if len(set(names)) != len(names):
        raise CorruptArtifact("this is not a model file: it holds two members of one name")
    protocol = schema.get("protocol") if isinstance(schema, dict) else None
    if type(protocol) is not int or protocol < OLDEST_PROTOCOL:
        raise UntrustedType(f"the model was written with protocol {protocol!r} of skops; register it anew from its run")
    return dict(schema)


def _iterate_nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every dict that skops could take for a node, wherever it stands."""
    if isinstance(schema, list):
        for item in schema:
            yield from _iterate_nodes(item)
    elif isinstance(schema, dict):
        if {"__loader__", "__class__", "__module__"} & schema.keys():
            yield schema
        is_dict = schema.get("__loader__") == "DictNode" and isinstance(schema.get("content"), dict)
        for key, item in schema.items():  # what a dict holds stands under the user's keys, `__class__` among them
            yield from _iterate_nodes(list(item.values()) if is_dict and key == "content" else item)


def _name_node(node: dict[str, Any]) -> tuple[str, str]:
    loader, module, name = (node.get(key) for key in ("__loader__", "__module__", "__class__"))
    if not (isinstance(loader, str) and isinstance(module, str) and isinstance(name, str)):
        raise CorruptArtifact("this is not a model file: a node of it has no kind, module or class")
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise UntrustedType(f"the model holds {module}.{name}: this is not the name of a class in a module")
    return loader, f"{module}.{name}"


def _refuse(loader: str, name: str, own: frozenset[str]) -> str:
    """Return why a name may not stand in a node of a kind; empty if it may."""
    if loader == "ObjectNode":
        if name in NBKIT or name in PARTS or name in own:
            return _refuse_class(name, estimator=name in NBKIT)
        if name in _estimators():
            return _refuse_class(name, estimator=True)
        return f"read that code, and if you vouch for it, add the line {name} to {TRUSTED_FILE}"
    if loader not in USES:
        return f"a {loader} is not among the parts that a model may have"
    if name in USES[loader]:
        return ""
    if loader == "FunctionNode":
        if name in own:
            return _refuse_function(name)
        return f"read that function, and if it only computes on what it is given, add the line {name} to {TRUSTED_FILE}"
    if name in own:
        return (
            f"{TRUSTED_FILE} names it, but a line vouches for a class of objects that a model holds, or for a function "
            "that it applies, for nothing else"
        )
    return f"as a {loader} it is not on the list of reviewed names"


@cache
def _estimators() -> frozenset[str]:
    """Return the exact names of scikit-learn's estimators, which skops lists by importing its public modules."""
    from skops.io._trusted_types import SKLEARN_ESTIMATOR_TYPE_NAMES

    return frozenset(SKLEARN_ESTIMATOR_TYPE_NAMES)


def _refuse_function(name: str) -> str:
    """Resolve a listed name and return why it is not a function of the module that it says; empty if it is."""
    module, _, attribute = name.rpartition(".")
    try:
        found = vars(importlib.import_module(module)).get(attribute)
    except Exception as error:  # the module is the project's own and may fail as it likes
        return f"its module cannot be imported: {type(error).__name__}: {error}"
    if not isinstance(found, types.FunctionType):
        return "it is not a function that is written in Python"
    if (found.__module__, found.__qualname__) != (module, attribute):
        return f"the function is defined as {found.__module__}.{found.__qualname__}; name it so"
    return ""


def _refuse_class(name: str, *, estimator: bool) -> str:
    """Resolve a listed name and return why it is not the class that it says; empty if it is."""
    module, _, attribute = name.rpartition(".")
    try:
        found = vars(importlib.import_module(module)).get(attribute)
    except Exception as error:  # the module is the project's own and may fail as it likes
        return f"its module cannot be imported: {type(error).__name__}: {error}"
    if not isinstance(found, type):
        return "it is not a class"
    if (found.__module__, found.__qualname__) != (module, attribute) and name not in PARTS:
        return f"the class is defined as {found.__module__}.{found.__qualname__}; name it so"
    if estimator:
        from sklearn.base import BaseEstimator

        return "" if issubclass(found, BaseEstimator) else "it is not an estimator"
    return ""
