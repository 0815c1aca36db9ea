"""What each peer is announced, with which attributes. PURE."""

from __future__ import annotations

from dataclasses import replace

from bgp.advertisement import advertised
from bgp.export import PLAIN, Export, going_away
from bgp.filtering import exporting
from bgp.nlri import Prefix
from bgp.peer import PeerSettings
from bgp.speaker_config import SpeakerConfig


def exports(config: SpeakerConfig, peer: PeerSettings) -> dict[Prefix, Export]:
    """Give what the peer shall have from us, sorted by prefix."""
    networks = config.networks_for(peer)
    if config.advertisements:
        found = advertised(config.advertisements, peer, networks)
    else:
        found = dict.fromkeys(networks, PLAIN)
    if peer.export_filter is not None:
        found = exporting(peer.export_filter, peer, found)
    if config.going_away:
        found = {
            prefix: going_away(
                export,
                local_asn=peer.local_asn,
                is_internal=peer.is_internal,
                prepend=config.prepend,
            )
            for prefix, export in found.items()
        }
    if (other := config.next_hops.get(peer.name)) is not None:
        found |= {
            prefix: replace(export, next_hop=other)
            for prefix, export in found.items()
            if prefix.family == other.version
        }
    return found
