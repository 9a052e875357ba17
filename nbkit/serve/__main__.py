"""``python -m nbkit.serve --registry DIR --model NAME@ALIAS``: serve a registered model until told to stop."""

import argparse
import os
import shlex
import signal
import socket
import sys
import threading
from pathlib import Path

import msgspec

from nbkit.errors import NbkitError, Refusal
from nbkit.extend import import_modules
from nbkit.project import find_root
from nbkit.registry import Registry, find_served
from nbkit.serve.access import VARIABLE, check_exposure, read_token
from nbkit.serve.app import create_app
from nbkit.serve.predictor import Predictor
from nbkit.serve.server import Limits, Server
from nbkit.serve.stderr import keep_stderr_short


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM; return the exit code: 2 if the model or the port cannot be had, 3 if it was rejected."""
    options = _read_options(arguments)
    place = Path(options.registry)
    root = find_root(place if place.is_dir() else ".")
    sys.path.insert(1, str(root))  # a model may need the project's own modules
    try:
        listener = _listen(options.host, options.port)
    except OSError as error:
        where = f"{options.host}:{options.port}"
        sys.stderr.write(f"nbkit: {where}: {error.strerror or error}; --port 0 takes a free port\n")
        return 2
    host, port = listener.getsockname()[:2]
    try:
        token = read_token()
        if not options.no_token:
            check_exposure(host, token)
        registry = Registry(options.registry, create=False)
        version = find_served(registry, options.model)
        import_modules([name for name in version.lineage.get("use") or {} if name in options.use], root)
        predictor = Predictor.from_registry(registry, version.reference, changed_use=options.changed_use)
        app = create_app(predictor, log=options.log, token=token)
    except (NbkitError, OSError) as error:
        listener.close()
        sys.stderr.write(f"nbkit: {error}\n")
        return 3 if isinstance(error, Refusal) else 2
    if options.until_stdin_closes:
        threading.Thread(target=_follow_parent, daemon=True).start()
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    served = f"{predictor.name}@{predictor.number} ({predictor.digest[:12]})"
    sys.stdout.write(f"listening on {url} with {served}\n{_explain(url, predictor, has_token=token is not None)}\n")
    sys.stdout.flush()
    keep_stderr_short(sys.stderr)
    linger = 0.0 if options.until_stdin_closes else min(1.0, options.grace / 4)
    limits = Limits(
        options.connections, body=options.timeout, answer=options.timeout, linger=linger, grace=options.grace
    )
    Server(app, limits).run(sockets=[listener])
    return 0


def _read_options(arguments: list[str] | None) -> argparse.Namespace:
    standard = Limits()
    parser = argparse.ArgumentParser(prog="python -m nbkit.serve", description=__doc__)
    parser.add_argument("--registry", default="registry", help="folder or database URL")
    parser.add_argument("--model", required=True, help="NAME@ALIAS, NAME@NUMBER, or NAME for production")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--log", default=None, help="folder of the request log")
    parser.add_argument("--no-token", action="store_true", help=f"listen beyond this machine without {VARIABLE}")
    parser.add_argument("--timeout", type=float, default=standard.body, help="seconds a client has to send its body")
    parser.add_argument("--connections", type=int, default=standard.connections, help="how many at a time")
    parser.add_argument("--grace", type=float, default=standard.grace, help="seconds from SIGTERM to the end at most")
    parser.add_argument("--use", action="append", default=[], help="module of the project that a version may need")
    parser.add_argument("--changed-use", action="store_true", help="serve though such a module has changed since")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when the starting process is gone")
    return parser.parse_args(arguments)


def _explain(url: str, predictor: Predictor, *, has_token: bool) -> str:
    """Say how the service is asked, with a row of the golden examples."""
    facts = predictor.describe()
    needed = [column["column"] for column in facts["schema"] if column["required"]]
    row = {name: (facts["example"] or {}).get(name) for name in needed}
    body = msgspec.json.encode({"rows": [row]}, enc_hook=str).decode()
    token = f' -H "Authorization: Bearer ${VARIABLE}"' if has_token else ""
    return (
        f"ask it: curl -s {url}/predict -H 'Content-Type: application/json'{token} -d {shlex.quote(body)}\n"
        f"what it takes: GET {url}/model; how it fares: /health, /ready, /metrics"
    )


def _listen(host: str, port: int) -> socket.socket:
    """Open the port; asyncio switches Nagle's algorithm off, worth 40 ms a request, only if the protocol is named."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, socket.IPPROTO_TCP)
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen(256)
    return listener


def _follow_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
