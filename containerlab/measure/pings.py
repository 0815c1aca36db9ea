"""Ping a list of addresses from a place with the system's ping, and count what came back."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from containerlab.measure.place import Place, ProbeError

COUNT = 3
_INTERVAL_S = 0.05
_WAIT_S = 2
# All at once; each writes its few lines in one piece when it ends.
_SCRIPT = f"""
for address do ping -n -q -c {COUNT} -i {_INTERVAL_S} -W {_WAIT_S} "$address" & done
wait
"""
_STATISTICS = re.compile(
    r"--- (\S+) ping statistics ---\n(\d+) packets transmitted, (\d+) received"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PingResult:
    """What one ping sent and got back."""

    source: str
    address: str
    sent: int
    received: int

    @property
    def lost(self) -> int:
        """Requests without an answer; all of them where ping could not run."""
        return max(COUNT, self.sent) - self.received


def ping_all(source: Place, addresses: Sequence[str]) -> tuple[PingResult, ...]:
    """Ping every address COUNT times, at once; the first packet counts like the others."""
    process = source.popen(
        ["sh", "-c", _SCRIPT, "sh", *addresses],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    text, complaint = process.communicate(timeout=30)
    counts = {match[1]: (int(match[2]), int(match[3])) for match in _STATISTICS.finditer(text)}
    if not counts:
        raise ProbeError(f"ping at {source.name}: {complaint.strip() or text.strip()}")
    return tuple(
        PingResult(
            source=source.name,
            address=address,
            sent=counts.get(address, (0, 0))[0],
            received=counts.get(address, (0, 0))[1],
        )
        for address in addresses
    )
