"""A page served on this machine alone, which can be replaced while people look at it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from klimit._errors import ArgumentError

LOOPBACK = "127.0.0.1"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",  # beside the page's own
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Shown:
    """What is served now.

    Attributes
    ----------
    html : the page
    version : changes with the page, which compares it with its own
    status : a line on how things stand
    """

    html: str
    version: str
    status: str


@dataclass
class Stand:
    """Where the page is put; it is replaced at once, nobody sees half of two."""

    shown: Shown


@contextmanager
def serve(stand: Stand, *, port: int) -> Iterator[str]:
    """Serve a stand on the loopback address; gives the address to type.

    Raises
    ------
    ArgumentError
        Where the port is taken.
    """
    try:
        server = ThreadingHTTPServer((LOOPBACK, port), _handler(stand))
    except OSError as problem:
        why = (problem.strerror or str(problem)).lower()
        raise ArgumentError(
            f"port {port} of this machine cannot be served on: {why}. Give another, or --port 0 for one "
            "that is free."
        ) from None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(stand: Stand) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Two addresses, and only for those who call this machine by its own name."""

        server_version, sys_version = "klimit", ""
        timeout = 10

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            shown = stand.shown
            code, kind, said = HTTPStatus.NOT_FOUND, "text/plain", "nothing here\n"
            if not self._called_by_name():
                # a foreign name that was pointed here would let its pages read this one
                code, said = HTTPStatus.MISDIRECTED_REQUEST, "not here\n"
            elif self.path == "/":
                code, kind, said = HTTPStatus.OK, "text/html", shown.html
            elif self.path == "/version":
                told = {"version": shown.version, "status": shown.status}
                code, kind, said = HTTPStatus.OK, "application/json", json.dumps(told)
            self._send(code, kind, said.encode("utf-8", "replace"), body=body)

        def _called_by_name(self) -> bool:
            assert isinstance(self.server, ThreadingHTTPServer)
            port = self.server.server_port
            return self.headers.get("Host", "") in (f"{LOOPBACK}:{port}", f"localhost:{port}")

        def _send(self, code: HTTPStatus, kind: str, content: bytes, *, body: bool) -> None:
            self.send_response(code)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing: what people look at is no news."""

        def handle(self) -> None:
            """Answer; a reader who leaves early is no error."""
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True

    return Handler
