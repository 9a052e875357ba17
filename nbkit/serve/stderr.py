"""What the service says on stderr: one line for a fault, and only a few of a kind, however many requests fail."""

import logging
import time
from typing import TextIO

from nbkit.wording import format_count

MOST, SECONDS, WIDTH = 5, 60.0, 400  # lines from one place of the code, in how many seconds; characters of a line


class OneLiner(logging.Handler):
    """Writes each record as one line, without a traceback.

    Parameters
    ----------
    stream
        Where to.
    most, seconds
        Lines from one place of the code in that time; the rest is counted and said with the next line.
    """

    def __init__(self, stream: TextIO, *, most: int = MOST, seconds: float = SECONDS) -> None:
        super().__init__()
        self.stream, self.most, self.seconds = stream, most, seconds
        self._seen: dict[tuple[str, int], tuple[float, int]] = {}  # place: since when, how many
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it."""
        place, now = (record.pathname, record.lineno), time.monotonic()
        since, count = self._seen.get(place, (now, 0))
        since, count = (now, 0) if now - since >= self.seconds else (since, count)
        self._seen[place] = since, count + 1
        if count >= self.most:
            self._left_out += 1
            return
        said = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            said += f": {type(error).__name__}: {error}"
        more = f" ({format_count(self._left_out, 'line')} like earlier ones left out)" if self._left_out else ""
        self._left_out = 0
        try:
            self.stream.write(f"nbkit: {' '.join(said.split())[:WIDTH]}{more}\n")
            self.stream.flush()
        except (OSError, ValueError):  # nobody reads it any more
            pass


def keep_stderr_short(stream: TextIO) -> None:
    """Send all warnings and errors of this process's logging through `OneLiner`."""
    logging.captureWarnings(capture=True)
    logging.basicConfig(level=logging.WARNING, handlers=[OneLiner(stream)], force=True)
