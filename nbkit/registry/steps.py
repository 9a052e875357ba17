"""The steps of a version before production: admitted as candidate, put on staging, or stopped."""

import pandas as pd

from nbkit.errors import GateClosed, UnknownVersion
from nbkit.registry.registry import Registry
from nbkit.registry.versions import Version

WATCHED = ("production", "staging", "candidate")


def admit(registry: Registry, version: Version, closed: pd.DataFrame) -> None:
    """Point the alias ``candidate`` to a version whose gates are open.

    Parameters
    ----------
    registry, version
        Where and which.
    closed
        The blocking gates that are not passed; they keep it from being a candidate, also in a trial.
    """
    if not len(closed) and version.state in ("draft", "candidate"):
        registry.set_alias(version.name, version.number, "candidate", why="its gates are open")


def stage(registry: Registry, reference: str, gates: pd.DataFrame) -> None:
    """Record what was seen of the service as gates, and point ``staging`` to a candidate for which all of them hold."""
    version = registry.record_gates(reference, gates)
    if gates["passed"].all() and version.state in ("candidate", "staging"):
        registry.set_alias(version.name, version.number, "staging", why="the service held in the test environment")


def stop_if_closed(version: Version, closed: pd.DataFrame, *, enforce: bool = True) -> None:
    """Let the run go on unless a gate is closed.

    Raises
    ------
    GateClosed
        Naming each closed gate and why; not if `enforce` is False.
    """
    if enforce and len(closed):
        told = "; ".join(f"{gate.gate}: {gate.detail}" for gate in closed.itertuples())
        raise GateClosed(f"{version.reference} may not move on. {told}")


def find_watched(registry: Registry, name: str, version: str = "") -> Version:
    """Return the version that a monitor looks at: the one named, else production, staging, candidate, or the newest.

    Raises
    ------
    UnknownVersion
        If there is none.
    """
    if version:
        return registry.get(f"{name}@{version}")
    for alias in WATCHED:
        try:
            return registry.get(f"{name}@{alias}")
        except UnknownVersion:
            continue
    return registry.get(name)


def find_served(registry: Registry, reference: str) -> Version:
    """Return the version to serve: the one named, else the one in production.

    Raises
    ------
    UnknownVersion
        If there is none, or only a name is given and none of its versions is in production.
    """
    name, _, version = reference.partition("@")
    if version:
        return registry.get(reference)
    if "production" in set(registry.list(name)["state"]):
        return registry.get(f"{name}@production")
    raise UnknownVersion(f"no version of {name} is in production: say which to serve; {say_versions(registry, name)}")


def say_versions(registry: Registry, name: str) -> str:
    """Say which versions of a model there are, and the state of each."""
    rows = registry.list(name).sort_values("number").itertuples()
    return f"there are {', '.join(f'{name}@{row.number} ({row.state})' for row in rows)}"
