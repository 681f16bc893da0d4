"""A server on this machine that misbehaves as told, for the tests of downloads."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


class Handler(BaseHTTPRequestHandler):
    """Serves `files`; breaks off after `limit` bytes; goes on from the middle where `ranges` is set."""

    files: ClassVar[dict[str, bytes]] = {}
    moved: ClassVar[dict[str, str]] = {}
    limit: int | None = None
    ranges = True
    sized = True
    asked: ClassVar[list[str]] = []

    def do_GET(self):
        if self.path in self.moved:
            self.send_response(302)
            self.send_header("Location", self.moved[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = self.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        wanted = self.headers.get("Range") if self.ranges else None
        first = int(re.search(r"\d+", wanted).group()) if wanted else 0
        Handler.asked.append(self.headers.get("Range", "all"))
        if wanted and first >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        if self.sized:
            self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        self.wfile.write(content[first:][: self.limit])

    def log_message(self, *parts):
        pass


@contextmanager
def serving() -> Iterator[str]:
    """Run the server, well-behaved and empty, and give its address."""
    Handler.files, Handler.moved, Handler.limit, Handler.asked = {}, {}, None, []
    Handler.ranges = Handler.sized = True
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
        thread.join()
