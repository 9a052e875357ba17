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
import uvicorn

from nbkit.errors import NbkitError, Refusal
from nbkit.project import find_root
from nbkit.serve.app import create_app
from nbkit.serve.predictor import Predictor


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM; return the exit code: 2 if the model or the port cannot be had, 3 if it was rejected."""
    parser = argparse.ArgumentParser(prog="python -m nbkit.serve", description=__doc__)
    parser.add_argument("--registry", default="registry", help="folder or database URL")
    parser.add_argument("--model", required=True, help="NAME@ALIAS or NAME@NUMBER")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--log", default=None, help="folder of the request log")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when the starting process is gone")
    options = parser.parse_args(arguments)
    place = Path(options.registry)
    sys.path.insert(1, str(find_root(place if place.is_dir() else ".")))  # a model may need the project's own modules
    try:
        listener = _listen(options.host, options.port)
    except OSError as error:
        where = f"{options.host}:{options.port}"
        sys.stderr.write(f"nbkit: {where}: {error.strerror or error}; --port 0 takes a free port\n")
        return 2
    try:
        predictor = Predictor.from_registry(options.registry, options.model)
        app = create_app(predictor, log=options.log)
    except (NbkitError, OSError) as error:
        listener.close()
        sys.stderr.write(f"nbkit: {error}\n")
        return 3 if isinstance(error, Refusal) else 2
    if options.until_stdin_closes:
        threading.Thread(target=_follow_parent, daemon=True).start()
    host, port = listener.getsockname()[:2]
    sys.stdout.write(f"listening on http://{host}:{port}\n{_explain(f'http://{host}:{port}', predictor)}\n")
    sys.stdout.flush()
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5)
    uvicorn.Server(config).run(sockets=[listener])
    return 0


def _explain(url: str, predictor: Predictor) -> str:
    """Say how the service is asked, with a row of the golden examples."""
    facts = predictor.describe()
    needed = [column["column"] for column in facts["schema"] if column["required"]]
    row = {name: (facts["example"] or {}).get(name) for name in needed}
    body = msgspec.json.encode({"rows": [row]}, enc_hook=str).decode()
    return (
        f"ask it: curl -s {url}/predict -d {shlex.quote(body)}\n"
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
