"""The status page under clients that mean it no good, over real sockets in a namespace."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.netns import Namespace
from tests.support.page_process import PageProcess, page_process

pytestmark = pytest.mark.netns
ROOT = Path(__file__).resolve().parents[2]

CLIENT = """
import json, socket, sys, time
ADDRESS = ("127.0.0.1", 9180)

def connect():
    return socket.create_connection(ADDRESS, timeout=10)

def say(data, connection=None):
    with connection or connect() as s:
        s.sendall(data)
        return listen(s)

def listen(s):
    received = b""
    try:
        while part := s.recv(65536):
            received += part
    except ConnectionResetError:
        received += b" RESET"
    return received.decode("latin-1")

def get(path, host="localhost", method="GET", more=""):
    began = time.monotonic()
    answer = say(f"{method} {path} HTTP/1.1\\r\\nHost: {host}\\r\\n{more}\\r\\n".encode())
    head, _, body = answer.partition("\\r\\n\\r\\n")
    return {"status": int(head.split()[1]), "head": head, "body": body,
            "took_s": time.monotonic() - began}

"""


@pytest.fixture
def host(make_namespace: Callable[[str], Namespace]) -> Iterator[PageProcess]:
    with page_process(make_namespace("page")) as made:
        yield made


def run(host: PageProcess, script: str) -> Any:
    """Run a client beside the page, which prints JSON."""
    done = host.node.run([sys.executable, "-c", CLIENT + script], timeout_s=40)
    return json.loads(done.stdout)


def test_what_is_answered_and_what_is_not(host: PageProcess) -> None:
    seen = run(
        host,
        """
print(json.dumps({
    "page": get("/"),
    "head": get("/", method="HEAD"),
    "absent": get("/nothing"),
    "post": get("/v1/overview", method="POST", more="Content-Length: 200000\\r\\n"),
    "posted": say(b"POST / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n" + b"x" * 50000),
    "rebound": get("/v1/overview", host="evil.example.org:9180"),
    "large": say(b"GET / HTTP/1.1\\r\\nX: " + b"x" * 20000),
    "tls": say(b"\\x16\\x03\\x01\\x00\\xa5\\r\\n\\r\\n"),
}))
""",
    )
    assert seen["page"]["status"] == 200
    assert "<!doctype html>" in seen["page"]["body"]
    assert (seen["head"]["status"], seen["head"]["body"]) == (200, "")
    assert seen["absent"]["status"] == 404
    assert seen["post"]["status"] == 405
    assert "Allow: GET, HEAD" in seen["post"]["head"]
    assert seen["posted"].startswith("HTTP/1.1 405 ")
    assert seen["rebound"]["status"] == 421
    assert "sessions" not in seen["rebound"]["body"]
    assert seen["large"].startswith("HTTP/1.1 431 ")
    assert seen["tls"].startswith("HTTP/1.1 400 ")


def test_silent_and_slow_clients_keep_nobody_out(host: PageProcess) -> None:
    seen = run(
        host,
        """
silent = [connect() for _ in range(100)]
slow = [connect() for _ in range(10)]
for s in slow:
    s.sendall(b"GET / HTT")
print(json.dumps([get("/v1/overview") for _ in range(3)]))
""",
    )
    assert [each["status"] for each in seen] == [200, 200, 200]
    assert max(each["took_s"] for each in seen) < 3


def test_who_dribbles_is_cut_off_in_time(host: PageProcess) -> None:
    seen = run(
        host,
        """
s, began, answer = connect(), time.monotonic(), ""
try:
    for letter in b"GET / HTTP/1.1\\r\\nX: " + b"y" * 1000:
        s.sendall(bytes([letter]))
        s.settimeout(0.25)
        try:
            answer = s.recv(1000).decode()
            break
        except TimeoutError:
            pass
except OSError:
    pass
print(json.dumps({"answer": answer, "took_s": time.monotonic() - began}))
""",
    )
    assert seen["answer"].startswith("HTTP/1.1 408 ")
    assert seen["took_s"] < 8


def test_many_askers_do_not_hold_the_loop(host: PageProcess) -> None:
    crowd = host.node.popen(
        [
            sys.executable,
            "-c",
            CLIENT
            + """
import threading
answered = []
def ask():
    for _ in range(10):
        for path in ("/v1/overview", "/v1/routes", "/"):
            try:
                answered.append(get(path)["status"])
            except (OSError, IndexError):
                pass  # turned away
threads = [threading.Thread(target=ask) for _ in range(40)]
[t.start() for t in threads]
[t.join() for t in threads]
sys.exit(answered.count(200) < 100)
""",
        ]
    )
    longest = 0.0
    while crowd.poll() is None:
        longest = max(longest, host.tell("nothing"))
    assert crowd.returncode == 0
    assert longest < 2


def test_an_agent_that_hangs_is_said_so(host: PageProcess) -> None:
    host.tell("hang 8")
    seen = run(host, 'print(json.dumps([get("/v1/overview"), get("/")]))')
    assert [each["status"] for each in seen] == [503, 200]
    assert "did not answer in time" in seen[0]["body"]
    assert seen[0]["took_s"] < 5


def test_where_no_thread_can_be_started_the_next_caller_is_served(
    make_namespace: Callable[[str], Namespace],
) -> None:
    node = make_namespace("page")
    script = """
import threading
from router.agent.page.door import page_door
from router.agent.page.wire import Reply
start, left = threading.Thread.start, ["once"]
def refused(self):
    if self.name == "page-request" and left:
        left.clear()
        raise RuntimeError("can't start new thread")
    start(self)
threading.Thread.start = refused
page_door(lambda request: Reply(body=b"here")).want(ADDRESS)
print(json.dumps([say(b"GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n"), get("/")["status"]]))
"""
    done = node.run(["env", f"PYTHONPATH={ROOT}", sys.executable, "-c", CLIENT + script])
    first, status = json.loads(done.stdout)
    assert first in {"", " RESET"}
    assert status == 200
