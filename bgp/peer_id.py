"""PeerId: what a peer is called everywhere."""

from __future__ import annotations

from typing import NewType

PeerId = NewType("PeerId", str)
"""Name of a peer in our configuration; its address when no name is given."""
