"""The log of a stage: what its kernel, C libraries and subprocesses write past Python, without secrets."""

import contextlib
import os
import threading
from pathlib import Path

from nbkit.scrub import Scrubber

CHUNK = 65536  # bytes read at once
PATIENCE = 5.0  # seconds to wait for what is still in the pipe


class StageLog:
    """A pipe into a file: what is written into it is cleaned before it is added to the file.

    Parameters
    ----------
    path
        The file; its folder is made if need be.
    scrubber
        Takes secrets out. What may be the start of one is held back until more comes, or the end.

    Attributes
    ----------
    writer
        The descriptor to write to.
    inode
        Identifies the pipe among those that processes have open.
    """

    def __init__(self, path: Path, scrubber: Scrubber) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._reader, self.writer = os.pipe()
        self.inode = os.fstat(self.writer).st_ino
        self._thread = threading.Thread(target=self._copy, args=(path, scrubber), daemon=True, name="nbkit-log")
        path.touch()
        self._thread.start()

    def close(self) -> None:
        """Close it, and wait until what was written is in the file."""
        os.close(self.writer)
        self._thread.join(PATIENCE)

    def _copy(self, path: Path, scrubber: Scrubber) -> None:
        held = b""
        with path.open("ab", buffering=0) as file:
            while content := os.read(self._reader, CHUNK):
                clean, held = scrubber.split(held + content)
                with contextlib.suppress(OSError):  # a full disk: the kernel must not wait for it
                    file.write(clean)
            with contextlib.suppress(OSError):
                file.write(scrubber.clean_bytes(held))
        os.close(self._reader)
