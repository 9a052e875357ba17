"""The command line: reads arguments, calls, prints."""


def main() -> None:
    """Run the command line."""
