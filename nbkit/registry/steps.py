"""The steps of a version before production: admitted as candidate, put on staging, or stopped."""

from pathlib import Path

import pandas as pd

from nbkit.errors import BadModel, GateClosed, UnknownVersion
from nbkit.extend import imported
from nbkit.registry.registry import Registry
from nbkit.registry.versions import Version

WATCHED = ("production", "staging", "candidate")


def make_candidate(registry: Registry, version: Version, closed: pd.DataFrame) -> None:
    """Point the alias ``candidate`` to a version that no gate keeps from it.

    Parameters
    ----------
    registry, version
        Where and which.
    closed
        The blocking gates that are not passed; they keep it from being a candidate, also in a trial.
    """
    if not len(closed) and version.state in ("draft", "candidate"):
        registry.set_alias(version.name, version.number, "candidate", why="no gate that stops a run is closed")


def move_to_staging(registry: Registry, reference: str, gates: pd.DataFrame) -> None:
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


def find_influence(place: str, name: str) -> tuple[str, pd.DataFrame | None]:
    """Return the version of a model in production, and how much each column influences it; "" and None if none is.

    Parameters
    ----------
    place
        Folder or URL of the registry; a folder that is not there holds no version.
    name
        Of the model.
    """
    if "://" not in place and not Path(place).is_dir():
        return "", None
    registry = Registry(place)
    try:
        version = registry.get(f"{name}@production")
    except UnknownVersion:
        return "", None
    kept = "importance" in {Path(path).stem for path in version.files["path"]}
    return version.reference, registry.load(version, "importance") if kept else None


def check_use(version: Version, *, strict: bool = True) -> list[str]:
    """Check that the project's modules which a version was made with are imported here, and are still the same.

    Nothing is imported because a version says so: who serves or watches it does that, by `use` in the params or with
    ``--use``. A service refuses a module that has changed, as nobody has judged what it does now; a monitor says it and
    goes on, as nothing would be watched otherwise.

    Parameters
    ----------
    version
        Whose lineage names the modules.
    strict
        Whether one that has changed is refused.

    Returns
    -------
    list of str
        A sentence for each module that has changed.

    Raises
    ------
    BadModel
        If a module was not imported, or has changed.
    """
    here, before = imported, dict(version.lineage.get("use") or {})
    if missing := [name for name in before if name not in here]:
        raise BadModel(
            f"{version.reference} was made with {', '.join(missing)} of its project, which is not in use here: lay it "
            f"in the project's root and name it, by `shared: {{use: {missing}}}` in the params or --use {missing[0]}"
        )
    changed = [name for name, digest in before.items() if here[name] != digest]
    said = [f"{name} is not what it was when {version.reference} was registered" for name in changed]
    if said and strict:
        raise BadModel(f"{'; '.join(said)}: bring it back, register again, or accept it with --changed-use")
    return said


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
    raise UnknownVersion(f"no {name} is in production: say which to serve; {registry.describe_versions(name)}")
