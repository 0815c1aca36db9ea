"""The topology as the rest of the runner sees it: validated, inherited, resolved. PURE.

Only what the runner gives a meaning to is kept; keys that have none here (`image-pull-policy` and
the like) end at the parser. Words are containerlab's: node, link, endpoint, bind.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """One entry of `binds`: a file or folder of this machine shown inside the node."""

    source: Path
    target: PurePosixPath
    read_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One end of a link; written `node:interface` in the file."""

    node: str
    interface: str

    def __str__(self) -> str:
        return f"{self.node}:{self.interface}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A point-to-point Ethernet link; `mtu` in bytes, the same at both ends."""

    a: Endpoint
    b: Endpoint
    mtu: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """One node after inheritance (defaults < kind < group < node) and expansion."""

    name: str
    image: str
    hostname: str
    binds: tuple[Bind, ...]
    exec: tuple[tuple[str, ...], ...]
    env: tuple[tuple[str, str], ...]
    sysctls: tuple[tuple[str, str], ...]
    is_bridge: bool = False
    """Of kind `bridge`: a switch between its links, nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """A whole `*.clab.yml`; `nodes` in file order, which is also the start order."""

    name: str
    path: Path
    nodes: tuple[NodeSpec, ...]
    links: tuple[Link, ...]
