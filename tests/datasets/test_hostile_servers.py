"""Servers that stall, drip, lie, break off, send elsewhere or send bombs: each is left in time, and the next asked."""

import gzip
import hashlib
import socket
import socketserver
import threading
import time

import pytest

from genbench.datasets import _download
from genbench.datasets._download import Remote, fetch
from genbench.environment import forget_peak, memory_status
from genbench.errors import GenbenchError

CONTENT = bytes(range(256)) * 40
OK = b"HTTP/1.1 200 OK\r\n"


def head(length=256 * 40, status=OK, *more):
    return status + b"".join(b"%s\r\n" % line for line in (b"Content-Length: %d" % length, *more)) + b"\r\n"


def stall(say):
    time.sleep(30)


def drip(say, data=b"x" * 10_000):
    for i in range(len(data)):
        say(data[i : i + 1])
        time.sleep(0.1)


def say_all(*parts):
    return lambda say: [say(part) for part in parts]


def then(*steps):
    def run(say):
        for step in steps:
            step(say) if callable(step) else say(step)

    return run


def elsewhere(where):
    return say_all(head(0, b"HTTP/1.1 302 Found\r\n", b"Location: " + where.encode()))


def continue_for_ever(say):
    for _ in range(100_000):
        say(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.001)


SERVERS = {
    "stalls before it answers": (stall, "timed out|no whole answer came"),
    "stalls in its head": (then(OK + b"Content-Len", stall), "timed out|no whole answer came"),
    "stalls in its body": (then(head(), CONTENT[:100], stall), "timed out|only 100 bytes came"),
    "drips its head": (then(OK + b"X: ", drip), "no whole answer came in 1 s"),
    "continues for ever": (continue_for_ever, "no whole answer came in 1 s"),
    "drips its body": (then(head(), drip), "only .* bytes came in"),
    "drips the length of a chunk": (
        then(OK + b"Transfer-Encoding: chunked\r\n\r\n", lambda say: drip(say, b"0" * 10_000)),
        "only 0 bytes came in 1 s",
    ),
    "says more than it sends": (then(head(), CONTENT[:100]), "IncompleteRead"),
    "says less than it sends": (then(head(100), CONTENT), "its sha256 is"),
    "says more than it should have": (then(head(10**12), CONTENT), "1,000,000,000,000 bytes, more than 10,240"),
    "sends more than it should have": (say_all(OK + b"\r\n", CONTENT, CONTENT), "more than 10,240 bytes"),
    "says a length below nothing": (then(head(-5), CONTENT + b"x"), "more than 10,240 bytes"),
    "breaks off without a length": (say_all(OK + b"\r\n", CONTENT[:-1]), "its sha256 is"),
    "sends something else": (then(head(), CONTENT[::-1]), "its sha256 is"),
    "sends nothing": (say_all(), "closed connection without response"),
    "is no web server": (say_all(b"220 ready\r\n"), "220 ready"),
    "sends a head without end": (say_all(OK, b"X: " + b"x" * 100_000), "header line|got more than 65536"),
    "sends in a circle": (elsewhere("/sends%20in%20a%20circle"), "redirect error that would lead to an infinite loop"),
    "sends to a file": (elsewhere("file:///etc/passwd"), "302"),
}


@pytest.fixture
def bad(monkeypatch):
    """A server whose answer to a path is what the path names; its patience and ours are short."""
    monkeypatch.setattr(_download, "TIMEOUT", 0.8)
    monkeypatch.setattr(_download, "PATIENCE", 1.0)
    ways = dict({name: run for name, (run, _) in SERVERS.items()}, good=say_all(head(), CONTENT))

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            asked = self.request.recv(10_000).split()[1].decode()
            self.server.asked.append(asked)
            try:
                ways[asked.strip("/").replace("%20", " ")](self.request.sendall)
                self.request.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it was left

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads, block_on_close = True, False

    with Server(("127.0.0.1", 0), Handler) as server:
        server.asked, server.ways = [], ways
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def remote(server, *names, content=CONTENT, path="a/b.bin"):
    urls = tuple(f"{server.url}/{name.replace(' ', '%20')}" for name in names)
    return Remote(path, urls, "sha256", hashlib.sha256(content).hexdigest(), len(content))


@pytest.mark.parametrize("way", SERVERS)
def test_a_bad_server_is_left_in_time_and_the_next_one_gives_the_file(way, alone, bad):
    began = time.monotonic()
    with pytest.raises(GenbenchError, match=SERVERS[way][1]) as caught:
        fetch(remote(bad, way))
    assert time.monotonic() - began < 8
    assert len(str(caught.value).splitlines()) == 2
    assert fetch(remote(bad, way, "good")) == CONTENT
    assert [path.name for path in alone.rglob("*") if path.is_file()] == ["b.bin"]


def test_a_server_that_sends_to_another_is_followed(alone, bad):
    bad.ways["moved"] = elsewhere(f"{bad.url}/good")
    assert fetch(remote(bad, "moved")) == CONTENT


def test_ten_megabytes_that_inflate_to_seven_gigabytes_are_refused_in_little_memory(alone, bad):
    """By their size where that is known of the file, else as soon as they are more than the content should be."""
    one = gzip.compress(bytes(100 << 20), 9)
    bomb = one * 70
    assert len(bomb) < 10 << 20
    bad.ways["bomb"] = say_all(head(len(bomb)), bomb)
    forget_peak()
    before = memory_status("VmHWM")
    for most, said in ((1000, "bytes, more than"), (20 << 20, "unpacks to more than 20,971,520 bytes")):
        remote = Remote("a/b.gz", (f"{bad.url}/bomb",), "sha256", "0" * 64, most)
        with pytest.raises(GenbenchError, match=said):
            fetch(remote)
    assert memory_status("VmHWM") - before < 150 << 20
    assert not [path for path in alone.rglob("*") if path.is_file()]
