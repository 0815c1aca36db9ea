"""The fake API server as a process: `python -m containerlab.fakeapi --address A --port P`.

Its first line of output is JSON with its url. Then it answers one JSON command per line of
input with one JSON line: {"do": "down" | "up" | "cut" | "compact" | "clear"},
{"do": "fail", "rule": {...}}, {"do": "requests"}. Objects are made through the API. It ends
with its input.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from containerlab.fakeapi.faults import rule_of
from containerlab.fakeapi.server import FakeApi
from containerlab.fakeapi.tls import make_certificates


def main() -> int:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(prog="fake_api", description=__doc__)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", type=Path, help="directory for a CA and a certificate")
    parser.add_argument("--name", action="append", default=[], help="more certificate names")
    parser.add_argument("--token", action="append", default=[], metavar="TOKEN=USER")
    parser.add_argument("--bookmark-s", type=float, default=60.0)
    options = parser.parse_args()
    names = [options.address, "kubernetes.default.svc", *options.name]
    certificates = make_certificates(options.tls, names) if options.tls else None
    tokens = dict(pair.split("=", 1) for pair in options.token) or None
    with FakeApi(
        address=options.address,
        port=options.port,
        certificates=certificates,
        tokens=tokens,
        bookmark_s=options.bookmark_s,
    ) as api:
        _say({"url": api.url, "ca": str(certificates.ca) if certificates else None})
        for line in sys.stdin:
            if line.strip():
                _say(_obey(api, json.loads(line)))
    return 0


def _obey(api: FakeApi, command: dict[str, Any]) -> Any:
    what = command.get("do")
    if what == "requests":
        return [asdict(entry) for entry in api.requests()]
    if what == "fail":
        api.faults.add(rule_of(command["rule"]))
    elif what == "clear":
        api.faults.clear()
    elif what in ("down", "up", "cut", "compact"):
        getattr(api, what)()
    else:
        return {"error": f"unknown command {what!r}"}
    return {"done": what}


def _say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
