"""Names of a package that are imported when first asked for (PEP 562)."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def attach(
    package: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make ``__getattr__``, ``__dir__`` and ``__all__`` for a package whose names live in its modules.

    Parameters
    ----------
    package
        The package's ``__name__``.
    names
        Module (relative to the package) to the names it defines. An empty sequence exports the module itself.

    Returns
    -------
    tuple
        ``__getattr__``, ``__dir__``, ``__all__``.

    Examples
    --------
    >>> getter, lister, names = attach("json", {"decoder": ["JSONDecoder"]})
    >>> getter("JSONDecoder").__name__, names
    ('JSONDecoder', ['JSONDecoder'])
    """
    owner = {name: module for module, exported in names.items() for name in exported}
    known = sorted([*owner, *(module for module, exported in names.items() if not exported)])

    def __getattr__(name: str) -> Any:  # noqa: N807
        if name in owner:
            return getattr(importlib.import_module(f"{package}.{owner[name]}"), name)
        if name in names:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}; it offers {', '.join(known)}")

    return __getattr__, lambda: known, known
