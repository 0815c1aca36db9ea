"""The real shim under sanitizers, called by a hostile runtime, answered by a hostile server.

PRODUCT EXECUTIONS SEED PROGRESS_FILE; prints one JSON object. The other fuzzer of the shim
(``shim/``) is a thousand times faster, but its system calls are not the kernel's; these are.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.fuzz.campaign import build_sanitized_shim
from tests.support.fuzz.mutate import Mutator
from tests.support.fuzz.progress import Progress
from tests.support.fuzz.target import require

_LONGEST_S: Final = 15
_STDIN: Final = (b'{"cniVersion":"1.0.0","name":"podroute","type":"podroute"}', b"")
_REPLIES: Final = (
    struct.pack("<II", 0, 2) + b"{}",
    struct.pack("<II", 1, 30) + b'{"cniVersion":"1.0.0","code":7',
    struct.pack("<II", 0, 0xFFFFFFFF),
    struct.pack("<II", 300, 0),
    b"\0\0",
)
_COMMANDS: Final = ("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION", "", "X" * 2000)
_NETNS: Final = ("/proc/self/ns/net", "/nowhere", "/", "/dev/null", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """What one execution is made of. ``at_once``: the server answers before it reads."""

    environment: dict[str, str]
    stdin: bytes
    reply: bytes
    at_once: bool

    @classmethod
    def draw(cls, chance: random.Random, mutator: Mutator) -> _Call:
        environment = {
            "CNI_COMMAND": chance.choice(_COMMANDS),
            "CNI_CONTAINERID": "c" * int(10 ** (chance.random() * 4)),
            "CNI_NETNS": chance.choice(_NETNS),
            "CNI_IFNAME": chance.choice(("eth0", "", "\udcff" * 3)),
        }
        return cls(
            environment={key: value for key, value in environment.items() if chance.random() < 0.9},
            stdin=mutator.mutate(_STDIN),
            reply=mutator.mutate(_REPLIES),
            at_once=chance.random() < 0.2,
        )

    @property
    def data(self) -> bytes:
        return b"\0".join((repr(self.environment).encode(), self.stdin, self.reply))


def main() -> int:
    """Fuzz; raise at the first broken promise."""
    product, executions, seed, progress_file = sys.argv[1:]
    chance = random.Random(int(seed))
    mutator = Mutator(chance, (b'"cniVersion":"', b"\0\0\0\0", b"1.0.0"), is_json=False)
    progress = Progress(Path(progress_file))
    with tempfile.TemporaryDirectory() as directory:
        shim = build_sanitized_shim(Path(product), Path(directory))
        with _listening(Path(directory) / "run") as listener:
            for number in range(1, int(executions) + 1):
                call = _Call.draw(chance, mutator)
                progress.record(number, call.data)
                _execute(shim, call, listener)
                shutil.rmtree(Path(directory) / "run/spool", ignore_errors=True)
    sys.stdout.write(json.dumps({"executions": int(executions)}) + "\n")
    return 0


@contextlib.contextmanager
def _listening(run_dir: Path) -> Iterator[socket.socket]:
    run_dir.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(run_dir / "cni.sock"))
        listener.listen(8)
        yield listener


def _execute(shim: Path, call: _Call, listener: socket.socket) -> None:
    environment = {key: os.fsencode(value) for key, value in call.environment.items()}
    reader, writer = os.pipe()
    # An input is smaller than what a pipe holds.
    os.write(writer, call.stdin)
    os.close(writer)
    process = subprocess.Popen(
        [shim],
        env={**environment, "ASAN_OPTIONS": b"detect_leaks=0"},
        stdin=reader,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.close(reader)
    _serve(process, call, listener)
    output, errors = process.communicate(timeout=_LONGEST_S)
    require(not errors, errors.decode("utf-8", "replace"))
    require(0 <= process.returncode < 256, f"ended with {process.returncode}")
    size = struct.unpack_from("<I", call.reply, 4)[0] if len(call.reply) >= 8 else 0
    if process.returncode and output != call.reply[8 : 8 + size]:
        require(json.loads(output)["code"] > 0, "neither the server's answer nor an error")


def _serve(process: subprocess.Popen[bytes], call: _Call, listener: socket.socket) -> None:
    """Answer the shim, if it comes."""
    ended = os.pidfd_open(process.pid)
    try:
        ready, _, _ = select.select([listener.fileno(), ended], [], [], _LONGEST_S)
        require(bool(ready), "neither asked nor ended")
        if listener.fileno() not in ready:
            return
        connection, _ = listener.accept()
        with connection, contextlib.suppress(ConnectionError, TimeoutError):
            connection.settimeout(1)
            if not call.at_once:
                connection.recv(1 << 20)
            connection.sendall(call.reply)
    finally:
        os.close(ended)


if __name__ == "__main__":
    sys.exit(main())
