"""A registered model served until told to stop: the port, the model, the words on stdout, and the end."""

import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from nbkit.errors import BadParameter
from nbkit.extend import import_from, import_modules
from nbkit.project import find_root
from nbkit.registry import Registry, find_served
from nbkit.serve.access import VARIABLE
from nbkit.serve.app import create_app
from nbkit.serve.predictor import Predictor
from nbkit.serve.server import Limits, Server
from nbkit.serve.stderr import keep_stderr_short


def listen(host: str, port: int) -> socket.socket:
    """Open a port.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes a free one.

    Raises
    ------
    BadParameter
        The address cannot be had.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # asyncio switches Nagle's algorithm off, worth 40 ms a request, only if the protocol is named
        listener = socket.socket(family, kind, socket.IPPROTO_TCP)
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise BadParameter(f"{host}:{port}: {error.strerror or error}; --port 0 takes a free port") from error
    listener.listen(256)
    return listener


def find_predictor(place: str, reference: str, use: Sequence[str], *, changed_use: bool = False) -> Predictor:
    """Load the version to serve, with those of the project's modules that it was made with.

    Parameters
    ----------
    place
        Folder or URL of the registry.
    reference
        ``NAME@ALIAS``, ``NAME@NUMBER``, or ``NAME`` for the one in production.
    use
        The modules that a version may name; no other is imported.
    changed_use
        Whether it is served though such a module has changed since it was registered.
    """
    root = find_root(place if Path(place).is_dir() else ".")
    import_from(root)
    registry = Registry(place, create=False)
    version = find_served(registry, reference)
    import_modules([name for name in version.lineage.get("use") or {} if name in use], root)
    return Predictor.from_registry(registry, version.reference, changed_use=changed_use)


def serve(
    predictor: Predictor,
    listener: socket.socket,
    limits: Limits,
    *,
    token: str | None = None,
    log: str | Path | None = None,
    until_stdin_closes: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT, after a line on stdout that says where and what.

    Parameters
    ----------
    predictor
        What answers.
    listener
        From `listen`.
    limits
        Of clients, and of stopping.
    token, log
        As for `nbkit.serve.create_app`.
    until_stdin_closes
        Whether to stop as well when the process that started this one is gone.
    """
    host, port = listener.getsockname()[:2]
    app = create_app(predictor, log=log, token=token)
    if until_stdin_closes:
        threading.Thread(target=_follow_parent, daemon=True).start()
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    served = f"{predictor.name}@{predictor.number} ({predictor.digest[:12]})"
    sys.stdout.write(f"listening on {url} with {served}\n{_explain(url, predictor, has_token=token is not None)}\n")
    sys.stdout.flush()
    keep_stderr_short(sys.stderr)
    Server(app, limits).run(sockets=[listener])


def _explain(url: str, predictor: Predictor, *, has_token: bool) -> str:
    """Describe how the service is asked, with a row of the golden examples."""
    facts = predictor.describe()
    needed = [column["column"] for column in facts["schema"] if column["required"]]
    row = {name: (facts["example"] or {}).get(name) for name in needed}
    body = msgspec.json.encode({"rows": [row]}, enc_hook=str).decode()
    token = f' -H "Authorization: Bearer ${VARIABLE}"' if has_token else ""
    return (
        f"ask it: curl -s {url}/predict -H 'Content-Type: application/json'{token} -d {shlex.quote(body)}\n"
        f"what it takes: GET {url}/model; its health: /health, /ready, /metrics"
    )


def _follow_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
