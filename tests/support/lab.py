"""Small labs for tests of the runner, and what a lab must not leave behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from containerlab.netlab import Lab

PAIR = """
name: pair
topology:
  defaults: {kind: linux, network-mode: none, image: alpine}
  nodes:
    a:
      binds: ["file:/etc/lab/file:ro"]
      env: {COLOUR: blue}
      sysctls: {net.ipv4.ip_forward: 1, net.ipv6.conf.default.accept_dad: 0}
      exec: ["ip addr add 10.9.0.0/31 dev eth1", "ip addr add fd00:9::/127 dev eth1"]
    b:
      hostname: second
      sysctls: {net.ipv6.conf.default.accept_dad: 0}
      exec: ["ip addr add 10.9.0.1/31 dev eth7", "ip addr add fd00:9::1/127 dev eth7"]
  links:
    - {endpoints: ["a:eth1", "b:eth7"], mtu: 1500}
"""


def write_pair(folder: Path, text: str = PAIR) -> Path:
    """Write the two-node topology (or *text*) with its bind source; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "file").write_text("from outside\n")
    path = folder / "pair.clab.yml"
    path.write_text(text)
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class RootState:
    """What a lab must not touch: the mounts and links of our own namespaces, named namespaces."""

    mounts: tuple[str, ...]
    links: frozenset[str]
    named: frozenset[str]

    @classmethod
    def read(cls) -> RootState:
        """Read it now."""
        named = Path("/run/netns")
        return cls(
            mounts=tuple(Path("/proc/self/mountinfo").read_text().splitlines()),
            links=frozenset(path.name for path in Path("/sys/class/net").iterdir()),
            named=frozenset(p.name for p in named.iterdir()) if named.is_dir() else frozenset(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """The namespaces of a running lab, to look for any process still in them later."""

    namespaces: frozenset[str]

    @classmethod
    def of(cls, lab: Lab) -> Traces:
        """Take the network, mount, pid, UTS and IPC namespaces of all nodes."""
        return cls.of_pids([node.pid for node in lab.nodes.values()])

    @classmethod
    def of_pids(cls, pids: list[int]) -> Traces:
        """Take the namespaces of the given inits."""
        kinds = ("net", "mnt", "pid", "uts", "ipc")
        found = {str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for pid in pids for kind in kinds}
        ours = {str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in kinds}
        assert not found & ours, "the lab shares a namespace with us"
        return cls(namespaces=frozenset(found))

    def holders(self) -> dict[int, str]:
        """Return each process of this machine that is in one of them, zombies included."""
        holders = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                inside = {str(path.readlink()) for path in (entry / "ns").iterdir()}
                if inside & self.namespaces:
                    holders[int(entry.name)] = (entry / "comm").read_text().strip()
            except OSError:
                continue  # it ended while we looked
        return holders
