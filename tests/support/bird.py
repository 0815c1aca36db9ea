"""Bird: a real BIRD 2 in a namespace; its files live in the namespace's own /run."""

from __future__ import annotations

import re
import subprocess
from typing import Any

from tests.support.netns import Namespace
from tests.support.router import Neighbor, RouterConfig, Seen
from tests.support.wait import wait_until

CONFIG = "/run/bird.conf"
CONTROL = "/run/bird.ctl"


class Bird:
    """A `ForeignRouter`; one protocol `n<index>` for each neighbor."""

    def __init__(self, namespace: Namespace, config: RouterConfig) -> None:
        self._namespace = namespace
        self._config = config
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start bird and return once it answers."""
        self._namespace.run(["sh", "-c", f"cat > {CONFIG}"], input=self._render())
        self._process = self._namespace.popen(
            ["bird", "-f", "-c", CONFIG, "-s", CONTROL],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(
            lambda: self._show("status", check=False).startswith("BIRD"),
            deadline_s=10,
            what=f"bird in {self._namespace.name}",
        )

    def stop(self) -> None:
        """Kill the daemon; idempotent."""
        if self._process is not None:
            if self._process.poll() is None:
                self._namespace.kill(self._process)
            self._process.wait(timeout=5)
            self._process = None

    def wait_established(self, address: str, deadline_s: float = 15) -> None:
        """Wait until the session with the neighbor is established."""
        wait_until(
            lambda: "Established" in self._show(f"protocols {self._protocol(address)}"),
            deadline_s=deadline_s,
            what=f"{self._namespace.name}: session with {address}",
        )

    def received(self, address: str) -> dict[str, str]:
        """Return prefix -> next hop of what the neighbor announced, stale paths included."""
        text = self._show(f"route protocol {self._protocol(address)}")
        found = re.findall(r"^(\S+/\d+)\s.*\n\s+via (\S+)", text, re.MULTILINE)
        return dict(found)

    def is_stale(self, prefix: str) -> bool:
        """Tell whether the path to the prefix is kept over a graceful restart."""
        # BIRD marks no route, only the protocol that it came from.
        return any(
            "Neighbor graceful restart active" in self._show(f"protocols all {protocol}")
            for protocol in re.findall(r"\[(n\d+) ", self._show(f"route {prefix}"))
        )

    def seen(self, prefix: str) -> Seen:
        """Return the attributes of the first path to the prefix."""
        text = self._show(f"route {prefix} all")

        def words(name: str) -> list[str]:
            match = re.search(rf"BGP\.{name}: (.*)", text)
            return match.group(1).replace(", ", ",").split() if match else []

        def groups(name: str) -> tuple[Any, ...]:
            return tuple(tuple(map(int, w.strip("()").split(","))) for w in words(name))

        return Seen(
            as_path=tuple(map(int, words("as_path"))),
            med=next(map(int, words("med")), None),
            communities=groups("community"),
            large_communities=groups("large_community"),
        )

    def bfd(self, address: str) -> list[str]:
        """Return the words of `show bfd sessions` about one: address, interface, state, since."""
        lines = map(str.split, self._show("bfd sessions").splitlines())
        return next((words for words in lines if words[:1] == [address]), [])

    def since(self, address: str) -> list[str]:
        """Return the words of `show protocols` about one neighbor, its last change included."""
        return self._show(f"protocols {self._protocol(address)}").splitlines()[-1].split()

    def shut_down(self, address: str, message: str = "") -> None:
        """Disable the protocol, with a text as of RFC 9003."""
        name = self._protocol(address)
        self._control(f'disable {name} "{message}"' if message else f"disable {name}")

    def bring_up(self, address: str) -> None:
        """Undo `shut_down`."""
        self._control(f"enable {self._protocol(address)}")

    def reset(self, address: str) -> None:
        """Restart the protocol (cease, 6/4)."""
        self._control(f"restart {self._protocol(address)}")

    def _protocol(self, address: str) -> str:
        index = [n.address for n in self._config.neighbors].index(address)
        return f"n{index}"

    def _show(self, what: str, *, check: bool = True) -> str:
        return self._control(f"show {what}", check=check)

    def _control(self, command: str, *, check: bool = True) -> str:
        argv = ["birdc", "-s", CONTROL, *command.split(" ")]
        return self._namespace.run(argv, check=check).stdout

    def _render(self) -> str:
        config = self._config
        parts = [
            f"router id {config.router_id};",
            "protocol device { scan time 1; }",
            "protocol kernel { ipv4 { export all; }; }",
            "protocol kernel { ipv6 { export all; }; }",
        ]
        for interval_ms in {n.bfd_interval_ms for n in config.neighbors} - {None}:
            timers = f"interval {interval_ms} ms; multiplier 3;"
            parts.append(f'protocol bfd {{ interface "*" {{ {timers} }}; }}')
        for family, sign in (("ipv4", "."), ("ipv6", ":")):
            routes = "".join(f"route {n} blackhole; " for n in config.networks if sign in n)
            parts.append(f"protocol static {{ {family}; {routes}}}")
        parts += [self._neighbor(i, neighbor) for i, neighbor in enumerate(config.neighbors)]
        return "\n".join(parts) + "\n"

    def _neighbor(self, index: int, neighbor: Neighbor) -> str:
        family = "ipv6" if ":" in neighbor.address else "ipv4"
        bfd = "" if neighbor.bfd_interval_ms is None else "bfd on; "
        password = f'password "{neighbor.password}"; ' if neighbor.password else ""
        return (
            f"protocol bgp n{index} {{ local as {self._config.asn};"
            f" neighbor {neighbor.address} as {neighbor.remote_asn};"
            f" hold time {neighbor.hold_time_s}; connect delay time 1; connect retry time 2;"
            f" graceful restart {'on' if neighbor.graceful_restart else 'off'}; {password}{bfd}"
            f"{family} {{ import all; export where source = RTS_STATIC; next hop self; }}; }}"
        )
