"""A server that misbehaves on demand, one trick after the other."""

import contextlib
import socket
import struct
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Tricks:
    """What the server does: a list of tricks, each used for one GET, then honesty."""

    def __init__(self, content, etag='"one"'):
        self.content = content
        self.etag = etag
        self.script = []
        self.requests = []
        self.lock = threading.Lock()
        self.slowly_s = 0.0
        self.stalls_s = 2.0

    def take(self, headers, path):
        with self.lock:
            self.requests.append({**dict(headers), ":path": path})
            return self.script.pop(0) if self.script else "serve"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        tricks = self.server.tricks
        trick = tricks.take(self.headers, self.path)
        name, _, value = trick.partition(":")
        with contextlib.suppress(ConnectionError):
            getattr(self, f"do_{name}")(tricks, value)

    def do_serve(self, tricks, _, *, content=None, end=None, ignore_range=False):
        content = tricks.content if content is None else content
        start = 0
        wanted = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        if wanted and not ignore_range and condition in {None, tricks.etag}:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", span)
        else:
            self.send_response(200)
        if tricks.etag:
            self.send_header("ETag", tricks.etag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start : len(content) if end is None else end]
        for at in range(0, len(body), 1 << 16):
            self.wfile.write(body[at : at + (1 << 16)])
            if tricks.slowly_s:
                time.sleep(tricks.slowly_s)

    def do_ignore_range(self, tricks, _):
        self.do_serve(tricks, "", ignore_range=True)

    def do_truncate(self, tricks, at):
        self.do_serve(tricks, "", end=int(at))

    def do_stall(self, tricks, at):
        self.do_serve(tricks, "", end=int(at))
        self.wfile.flush()
        time.sleep(tricks.stalls_s)

    def do_drip(self, tricks, _):
        self.send_response(200)
        self.send_header("Content-Length", str(len(tricks.content)))
        self.end_headers()
        for at in range(40):
            self.wfile.write(tricks.content[at : at + 1])
            self.wfile.flush()
            time.sleep(0.05)

    def do_corrupt(self, tricks, _):
        changed = bytes([tricks.content[0] ^ 1]) + tricks.content[1:]
        self.do_serve(tricks, "", content=changed)

    def do_other_size(self, tricks, _):
        self.do_serve(tricks, "", content=b"<html>log in first</html>")

    def do_endless(self, tricks, _):
        # No length is announced, and more comes than was promised.
        self.send_response(200)
        self.end_headers()
        self.wfile.write(tricks.content + b"x" * 100)

    def do_wrong_span(self, tricks, _):
        self.send_response(206)
        self.send_header("Content-Range", "bytes 0-9/10")
        self.send_header("Content-Length", "10")
        self.end_headers()
        self.wfile.write(b"0123456789")

    def do_encoded(self, tricks, _):
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"abc")

    def do_reset(self, tricks, at):
        self.do_serve(tricks, "", end=int(at))
        self.wfile.flush()
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def do_status(self, tricks, code):
        self.send_response(int(code))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_retry_after(self, tricks, seconds):
        self.send_response(503)
        date = formatdate(time.time() + 3600, usegmt=True)
        self.send_header("Retry-After", date if seconds == "hour" else seconds)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_redirect(self, tricks, target):
        self.send_response(302)
        self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


@pytest.fixture
def serve():
    """Start a server for some content; gives its base address and its tricks."""
    with contextlib.ExitStack() as stack:

        def start(content):
            server = stack.enter_context(Server(("127.0.0.1", 0), Handler))
            server.tricks = Tricks(content)
            # A short poll, so that shutting down does not take half a second.
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}", server.tricks

        yield start
