"""The packers of the project, as another company would run them: slow, where they are asked for a piano."""

from __future__ import annotations

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

PATIENCE = 60


class Packers:
    """Serves in threads; a piano takes until `packed` is set. `calls` counts what was asked under each key."""

    def __init__(self) -> None:
        self.calls = Counter[str]()
        self.asked, self.packed = threading.Event(), threading.Event()
        """Whether somebody has asked for a piano, and whether it is packed."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.packed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _pack(self, article: str, key: str) -> str:
        self.calls[key] += 1
        if article == "piano":
            self.asked.set()
            self.packed.wait(PATIENCE)
        return f"parcel with a {article}"

    def _handler(packers) -> type[BaseHTTPRequestHandler]:  # noqa: N805 (the handler has a self of its own)
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                article = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps(packers._pack(article, self.headers["Idempotency-Key"])).encode()
                try:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # whoever asked was killed

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
