"""Situations between a node and its ToR: what either is told wrongly of the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from containerlab.demo.tor import Tor
from containerlab.situations.scene import Scene, by_shell, tell
from containerlab.situations.situation import Situation

NODE1 = "10.0.1.3"
"""node1 as tor1 knows it, IPv4."""
PEER = "tor1-v4"
TOR1 = "router bgp 65101"
_UNICAST = "address-family ipv4 unicast"
_DENY = "FROM-NODE seq 5 deny 10.244.1.0/24"
_WORD_FILE = "/run/tor1.password"


@contextmanager
def _edited(tor: Tor, node: str, break_: tuple[str, ...], mend: tuple[str, ...]) -> Iterator[None]:
    """Change a ToR's configuration by these lines, each time with new sessions to a node."""
    clear = ["vtysh", "-c", f"clear bgp {node}"]
    tell(tor, *break_)
    tor.node.run(clear)
    try:
        yield
    finally:
        tell(tor, *mend)
        tor.node.run(clear)


def _told(
    *, break_: tuple[str, ...], mend: tuple[str, ...]
) -> Callable[[Scene], AbstractContextManager[None]]:
    """Return a situation made by lines of tor1's configuration."""
    return lambda scene: _edited(scene.tors[0], NODE1, break_, mend)


def rejecting(tors: int) -> Callable[[Scene], AbstractContextManager[None]]:
    """Return a situation in which so many ToRs reject node1's IPv4 pod CIDR."""

    @contextmanager
    def apply(scene: Scene) -> Iterator[None]:
        line = f"ip prefix-list {_DENY}"
        with ExitStack() as edited:
            for tor, node in zip(scene.tors[:tors], (NODE1, "10.0.2.3"), strict=False):
                edited.enter_context(_edited(tor, node, (line,), (f"no {line}",)))
            yield

    return apply


def _peer(**changes: Any) -> Callable[[Scene], AbstractContextManager[None]]:
    """Return a situation in which node1 is told something else of tor1."""
    return lambda scene: scene.configured(scene.hosts[0], peers=scene.peers(**changes))


@contextmanager
def _wrong_password(scene: Scene) -> Iterator[None]:
    scene.hosts[0].node.run(["sh", "-c", f"umask 077; echo node > {_WORD_FILE}"])
    tell(scene.tors[0], TOR1, f"neighbor {NODE1} password tor")
    try:
        with _peer(password_file=_WORD_FILE)(scene):
            yield
    finally:
        tell(scene.tors[0], TOR1, f"no neighbor {NODE1} password")


@contextmanager
def _bfd(scene: Scene) -> Iterator[None]:
    """Watch a path by BFD whose other end has none."""
    scene.bfd.start()
    try:
        with _peer(bfd={})(scene):
            yield
    finally:
        scene.bfd.terminate()


def _small_mtu(scene: Scene) -> AbstractContextManager[None]:
    command = "ip link set eth1 mtu"
    return by_shell(scene.tors[0].node, f"{command} 1400", f"{command} 1500")


SITUATIONS = (
    Situation(
        name="wrong_md5",
        broken="node and ToR have different TCP MD5 passwords",
        apply=_wrong_password,
        finding="peer-md5",
        words=(PEER, "another TCP MD5 password"),
        fast=True,
    ),
    Situation(
        name="wrong_asn",
        broken="the node expects another AS than the ToR's",
        apply=_peer(remote_asn=65999),
        finding="peer-asn",
        words=(PEER, "bad peer AS"),
    ),
    Situation(
        name="ttl",
        broken="the ToR wants TTL 255 (GTSM), the node is not told so",
        apply=_told(
            break_=(TOR1, f"neighbor {NODE1} ttl-security hops 1"),
            mend=(TOR1, f"no neighbor {NODE1} ttl-security hops 1"),
        ),
        finding="peer-ttl",
        words=(PEER, "TTL 255"),
        fast=True,
    ),
    Situation(
        name="as_loop",
        broken="the ToR's paths to other nodes carry the node's own AS",
        apply=_told(
            break_=(
                "route-map LOOP permit 10",
                "set as-path prepend 65201",
                "exit",
                TOR1,
                _UNICAST,
                f"neighbor {NODE1} route-map LOOP out",
            ),
            mend=(
                TOR1,
                _UNICAST,
                f"no neighbor {NODE1} route-map LOOP out",
                "exit",
                "exit",
                "no route-map LOOP",
            ),
        ),
        finding="as-loop",
        words=(PEER, "own ASN in AS path", "65201"),
    ),
    Situation(
        name="tor_filter",
        broken="the import filters of both ToRs reject the node's pod CIDR",
        apply=rejecting(2),
        finding="announcement-refused",
        words=(PEER, "10.244.1.0/24", "network unreachable"),
    ),
    Situation(
        name="max_prefix",
        broken="the ToR takes fewer prefixes from the node than it announces",
        apply=_told(
            break_=(TOR1, _UNICAST, f"neighbor {NODE1} maximum-prefix 1"),
            mend=(TOR1, _UNICAST, f"no neighbor {NODE1} maximum-prefix 1"),
        ),
        finding="peer-limit",
        words=(PEER, "maximum number of prefixes"),
    ),
    Situation(
        name="mtu",
        broken="the ToR's port takes smaller packets than the node's",
        apply=_small_mtu,
        finding="tor-mtu-smaller",
        words=(PEER, "none of 1500 bytes"),
    ),
    Situation(
        name="bfd_down",
        broken="the node watches a path by BFD, the ToR does not",
        apply=_bfd,
        finding="bfd-down",
        words=(PEER, "BFD is down, BGP is established"),
    ),
    Situation(
        name="half_family",
        broken="the node wants both families on a session, the ToR has IPv4 only",
        apply=_peer(families=["ipv4", "ipv6"]),
        finding="family-not-offered",
        words=(PEER, "IPv6"),
    ),
)
