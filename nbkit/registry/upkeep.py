"""What the registry refers to, and what in its folder nothing refers to any more."""

from pathlib import Path

import sqlalchemy as sa

from nbkit.registry.registry import Registry
from nbkit.registry.tables import FILES, VERSIONS
from nbkit.store import is_settled
from nbkit.values import decode


def list_source_runs(registry: Registry) -> set[str]:
    """Return the names of the runs that registered a version."""
    with registry.read() as connection:
        found = [decode(row.lineage).get("run", "") for row in connection.execute(sa.select(VERSIONS.c.lineage))]
    return {str(run) for run in found if run}


def find_unused_files(registry: Registry) -> list[Path]:
    """Return the files that no version holds: what a registration left that was killed on its way."""
    with registry.read() as connection:
        used = set(connection.execute(sa.select(FILES.c.key)).scalars())
    unused = [path for path in registry.store.list_files() if f"{path.parent.name}/{path.name}" not in used]
    return [path for path in unused if is_settled(path)]
