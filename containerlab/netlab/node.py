"""One node of a running lab, and its interfaces: what tests and people do to them."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from containerlab.netlab.errors import LabError, NodeError
from containerlab.netlab.namespaces import File, Init
from containerlab.netlab.topology import Endpoint

GONE_S = 10.0


class Node:
    """Run programs in a node, cut its links, stop it."""

    def __init__(self, name: str, init: Init, env: Mapping[str, str]) -> None:
        """Wrap a node whose namespaces `init` holds; `env` is what its programs get."""
        self.name = name
        self.env = dict(env)
        self._init = init
        self._interfaces: dict[str, Interface] = {}

    def __repr__(self) -> str:
        return f"Node({self.name!r}, pid={self.pid})"

    @property
    def pid(self) -> int:
        """The pid of the node's init as this machine counts (for nsenter -t, /proc)."""
        return self._init.pid

    @property
    def is_running(self) -> bool:
        """Tell whether the node still exists."""
        return self._init.is_running

    def popen(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        stdin: File = subprocess.DEVNULL,
        stdout: File = None,
        stderr: File = None,
        new_session: bool = True,
    ) -> subprocess.Popen[str]:
        """Start a program inside; the handle is the program's own (kill, wait, send_signal).

        It gets the node's environment plus `env`, starts in `/` and dies with the node at the
        latest. A program that does not exist ends with status 127, as in a shell.
        """
        return self._init.popen(
            [str(word) for word in argv],
            env={**self.env, **(env or {})},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            new_session=new_session,
        )

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        check: bool = True,
        timeout_s: float = 10,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside to its end; NodeError with its output if `check` and it fails.

        A timeout (seconds) kills the program and raises NodeError, `check` or not.
        """
        command = [str(word) for word in argv]
        child = self.popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with child:
            try:
                stdout, stderr = child.communicate(input, timeout=timeout_s)
            except subprocess.TimeoutExpired as error:
                child.kill()
                _close_pipes(child)
                said = error.output.decode(errors="replace") if error.output else ""
                what = f"{' '.join(command)}: not done after {timeout_s:g} s"
                raise NodeError(self.name, what, said) from None
        if check and child.returncode:
            what = f"{' '.join(command)}: {_status(child.returncode)}"
            raise NodeError(self.name, what, f"{stdout}{stderr}")
        return subprocess.CompletedProcess(command, child.returncode, stdout, stderr)

    def foreground(self, argv: Sequence[str]) -> int:
        """Run a program on our own terminal, standard input and outputs; return a shell's status.

        It stays in our session, so the terminal's signals reach it; a SIGTERM to us is passed on,
        and if we are killed it goes too (PDEATHSIG, safe here: our only thread starts it).
        """
        env = {"TERM": os.environ["TERM"]} if "TERM" in os.environ else {}
        child = self.popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *argv],
            env=env,
            stdin=None,
            new_session=False,
        )
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        status = child.wait()
        return 128 - status if status < 0 else status

    def interface(self, name: str) -> "Interface":
        """Return the link end `name` of the topology; LabError if there is none."""
        if name not in self._interfaces:
            known = ", ".join(sorted(self._interfaces)) or "none"
            raise LabError(f"node {self.name} has no link {name!r} (it has {known})")
        return self._interfaces[name]

    @property
    def interfaces(self) -> Mapping[str, "Interface"]:
        """All link ends of the topology, by name."""
        return dict(self._interfaces)

    def stop(self) -> None:
        """End the node as a power cut: its processes die, its links vanish at both ends."""
        self._init.kill()
        self._init.wait_gone(GONE_S)

    @staticmethod
    def join(nodes: Mapping[str, "Node"], ends: Mapping[Endpoint, Endpoint]) -> None:
        """Give every node its interfaces, each knowing the one at the other end."""
        for end in ends:
            nodes[end.node]._interfaces[end.interface] = Interface(nodes[end.node], end.interface)
        for end, other in ends.items():
            peer = nodes[other.node].interface(other.interface)
            nodes[end.node].interface(end.interface).attach(peer)


class Interface:
    """One end of a link."""

    def __init__(self, node: Node, name: str) -> None:
        """Name an end; `attach` then tells the other one."""
        self.node = node
        self.name = name
        self._other: Interface | None = None

    def __repr__(self) -> str:
        return f"Interface({self.node.name}:{self.name})"

    def attach(self, other: "Interface") -> None:
        """Say which end is at the other side."""
        self._other = other

    @property
    def other(self) -> "Interface":
        """The end at the other side of the link."""
        if self._other is None:
            raise LabError(f"{self!r} is not joined to another end")
        return self._other

    def down(self) -> None:
        """Set this end administratively down; the other end loses its carrier."""
        self.node.run(["ip", "link", "set", "dev", self.name, "down"])

    def up(self) -> None:
        """Set this end up again."""
        self.node.run(["ip", "link", "set", "dev", self.name, "up"])

    def drop(self) -> None:
        """Silently drop what arrives here; both carriers stay up. Idempotent.

        One direction only: for a silently dead link, drop at `other` too. A netdev ingress chain
        sees every packet before the stack does (nf_tables, NFPROTO_NETDEV), tcpdump aside.
        """
        rules = (
            f"{self._forget}"
            f"table netdev {self._table} {{\n"
            "  chain arriving {\n"
            f'    type filter hook ingress device "{self.name}" priority -500; policy drop;\n'
            "  }\n"
            "}\n"
        )
        self.node.run(["nft", "-f", "-"], input=rules)

    def heal(self) -> None:
        """End `drop`. Idempotent."""
        self.node.run(["nft", "-f", "-"], input=self._forget)

    @property
    def _forget(self) -> str:
        # Adding what exists is no error to nft, deleting what is not there is one.
        return f"add table netdev {self._table}\ndelete table netdev {self._table}\n"

    @property
    def _table(self) -> str:
        return "netlab_drop_" + "".join(c if c.isalnum() else "_" for c in self.name)


def _close_pipes(child: subprocess.Popen[Any]) -> None:
    """Close our ends now: a background child of the program may hold the others open for ever."""
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe:
            pipe.close()


def _status(returncode: int) -> str:
    return f"killed by signal {-returncode}" if returncode < 0 else f"exit {returncode}"
