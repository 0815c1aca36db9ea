"""All twenty situations."""

from __future__ import annotations

from containerlab.situations import nodes, peers
from containerlab.situations.situation import Situation

SITUATIONS: tuple[Situation, ...] = (*peers.SITUATIONS, *nodes.SITUATIONS)
