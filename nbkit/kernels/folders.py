"""The private folder in which servers and kernels meet: short paths, for this user only, swept of what died."""

import contextlib
import os
import shutil
import socket
import stat
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

LONGEST = 60  # characters of the folder's path: a socket's whole path may have 104 on macOS


def find_home() -> Path:
    """Return the folder that the user's servers and kernels share; it need not exist.

    Raises
    ------
    OSError
        If there is no folder whose path is short enough for sockets.
    """
    for place in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - a folder of ours in it, checked before use
        home = Path(place, f"nbkit-{os.getuid()}")
        if len(os.fsencode(home)) <= LONGEST and Path(place).is_dir():
            return home
    raise OSError(f"the path of the temporary folder is too long for sockets: {tempfile.gettempdir()}")


@contextlib.contextmanager
def lock_runtime_dir() -> Iterator[Path]:
    """Make the folder and keep every other process that starts or ends a server out meanwhile.

    Raises
    ------
    OSError
        If somebody else owns it, or may look into it.
    """
    home = find_home()
    while True:
        with contextlib.suppress(FileExistsError):
            home.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            handle = _lock(home)
            break
    try:
        yield home
    finally:
        with contextlib.suppress(OSError):
            home.rmdir()  # the last one leaves nothing
        os.close(handle)


def make_kernel_folder() -> tuple[Path, int]:
    """Make the folder of one kernel's sockets and connection file; it is swept once the returned handle is closed."""
    import fcntl

    with lock_runtime_dir() as home:
        sweep_kernel_folders()  # a cold kernel's owner that was killed has no server to do so
        folder = home / uuid.uuid4().hex[:8]
        folder.mkdir(mode=0o700)
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_SH)
    return folder, handle


def remove_kernel_folder(folder: Path) -> None:
    """Remove what a kernel left, and the shared folder if it was the last."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def sweep(home: Path) -> None:
    """Remove the sockets and folders of servers and kernels that were killed; under `lock_runtime_dir` only."""
    for path in home.glob("*.sock"):
        if not answers(path):
            remove_socket(path)
    sweep_kernel_folders()


def sweep_kernel_folders() -> None:
    """Remove the folders of kernels whose owner is gone; to be called while `lock_runtime_dir` holds."""
    import fcntl

    for path in [each for each in find_home().iterdir() if each.is_dir()]:
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(handle)


def remove_socket(path: Path) -> None:
    """Remove a server's socket and log."""
    path.unlink(missing_ok=True)
    path.with_suffix(".log").unlink(missing_ok=True)


def answers(path: Path) -> bool:
    """Tell whether a server listens at a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except TimeoutError:
            return True
        except OSError:
            return False
    return True


def _lock(home: Path) -> int:
    """Return a handle that locks the folder, once it is ours; FileNotFoundError if it was removed meanwhile."""
    import fcntl

    found = os.lstat(home)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{home} is not a folder for this user alone: remove it")
    handle = os.open(home, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        if os.fstat(handle).st_ino == home.stat().st_ino:
            return handle
    except FileNotFoundError:
        pass
    os.close(handle)
    raise FileNotFoundError(home)
