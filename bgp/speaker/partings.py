"""Partings: peers that leave get one last NOTIFICATION before the reload that removes them. PURE.

ExaBGP closes the session of a removed peer without a word, and a peer with graceful restart then
keeps our routes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bgp.ending import Ending
from bgp.ends import Remote
from bgp.speaker import commands
from bgp.speaker_config import SpeakerConfig


class Partings:
    """Who leaves, and who was told so and has not gone yet."""

    def __init__(self) -> None:
        self._endings: dict[Remote, Ending] = {}
        self._told: set[Remote] = set()

    def take(self, leaving: Iterable[Remote], config: SpeakerConfig) -> None:
        """Take who leaves; one that is not kept down was removed from the configuration."""
        endings = {p.remote: config.kept_down.get(p.name) for p in config.peers}
        self._endings = {remote: endings.get(remote) or Ending.removed() for remote in leaving}
        self._told &= self._endings.keys()

    def tell(self, is_up: Callable[[Remote], bool]) -> bytes:
        """Give what is to be said now; to each peer once, as long as it has a session."""
        now = [a for a in self._endings if a not in self._told and is_up(a)]
        self._told.update(now)
        return b"".join(commands.notify(remote, self._endings[remote]) for remote in now)

    def ended(self, remote: Remote) -> None:
        """Note that a session ended."""
        self._told.discard(remote)

    @property
    def are_over(self) -> bool:
        """Tell whether everybody who was told has gone."""
        return not self._told

    def clear(self) -> None:
        """Note that nobody leaves any more."""
        self._endings.clear()
        self._told.clear()
