"""``python -m nbkit`` is ``nbkit``."""

from nbkit._leave import leave
from nbkit.cli import main


def run() -> None:
    """Run the command line."""
    try:
        main()
    except SystemExit as leaving:
        if isinstance(leaving.code, int):
            leave(leaving.code)
        raise


if __name__ == "__main__":
    run()
