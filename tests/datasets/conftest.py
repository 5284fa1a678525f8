"""A machine without data, and a web server on it."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

CONTENT = b"the true content" * 100


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """No data root, an empty cache of its own, and no proxy."""
    for name in ("GENBENCH_DATA", "GENBENCH_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server():
    """A web server on this machine. `served` maps paths to bodies; /truncated/... breaks off half-way."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            name = self.path.removeprefix("/truncated")
            if name not in self.server.served:
                return self.send_error(404)
            body = self.server.served[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if name != self.path else body)

        def log_message(self, *args):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.served, httpd.asked = {"/good": CONTENT, "/other": b"something else"}, []
    httpd.url = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield httpd
    httpd.shutdown()
    thread.join()
    httpd.server_close()
