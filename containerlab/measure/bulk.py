"""Bulk: a lot over one TCP connection between two places, both ways."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from containerlab.measure.place import PROBES, PYTHON, Place, Probe, ProbeError

PORT = 5007


@contextmanager
def echo_server(place: Place) -> Iterator[None]:
    """Run a server at a place for the time of the block."""
    probe = Probe(place, "tcp_bulk", "serve", str(PORT))
    try:
        probe.wait_ready()
        yield
    finally:
        probe.abandon()


def transfer(asker: Place, address: str, *, size: int, timeout_s: float) -> tuple[int, int]:
    """Send *size* bytes and have them sent back; return the bytes that came and the segment size.

    Both directions must work for anything to come back. Raises ProbeError if it cannot be tried.
    """
    plan = {"address": address, "port": PORT, "bytes": size, "timeout_s": timeout_s}
    process = asker.popen(
        [PYTHON, "-I", "-S", str(PROBES / "tcp_bulk.py"), "ask", json.dumps(plan)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    text, complaint = process.communicate(timeout=timeout_s + 10)
    if process.returncode:
        raise ProbeError(f"tcp_bulk ask at {asker.name}: {complaint.strip()}")
    said = json.loads(text)
    return int(said["received"]), int(said["segment"])
