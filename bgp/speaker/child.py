"""Child: one ExaBGP process from its start to its burial. SHELL."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path

from bgp.nlri import BITS, IPV4, IPAddress
from bgp.speaker.launch import Installation, LaunchError, SpeakerProcessSettings
from bgp.speaker.output import Output
from bgp.speaker.sockets import local_address, unacknowledged_bytes

LAST_BREATH_S = 0.1
"""How long a speaker may live on after its relay before we take it for left behind."""
BURIAL_S = 0.5
"""How long `status` waits at most for a killed child."""


class Child:
    """Started by the constructor."""

    def __init__(
        self,
        installation: Installation,
        settings: SpeakerProcessSettings,
        text: str,
        wake: Callable[[], None],
    ) -> None:
        """`text` is the configuration in the file now; see `text`."""
        self._process = subprocess.Popen(
            installation.command(settings),
            env=installation.environment(settings),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101  PIPE was asked for
        self.output = Output(self._process.stdout, wake)
        self.text = text
        """The configuration it has loaded at its start, or an older one than that."""
        self.has_loaded = False
        """Whether it confirmed its first configuration."""
        self.is_serving = False
        """Whether it has also connected its relay: from now on it can be signalled."""
        self._verdict = ""

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def reload(self) -> None:
        """Ask it to read its configuration again (SIGHUP would end it)."""
        self._process.send_signal(signal.SIGUSR1)

    def end(self, verdict: str) -> None:
        """Kill it for the reason given; the first reason counts."""
        self._verdict = self._verdict or verdict
        self._process.kill()

    def outlives_its_relay(self) -> bool:
        """Tell whether it still runs a moment after its relay has gone.

        A dying process closes its files shortly before it can be waited for.
        """
        try:
            self._process.wait(timeout=LAST_BREATH_S)
        except subprocess.TimeoutExpired:
            return True
        return False

    def status(self) -> int | None:
        """Give the exit status, minus the signal if one ended it; None while it lives.

        Waits a moment for a child that was killed: it is gone within milliseconds unless the
        kernel holds it.
        """
        if self._verdict:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(timeout=BURIAL_S)
        return self._process.poll()

    def explain(self, status: int) -> str:
        """Say in words why it ended."""
        if self._verdict:
            return f"killed: {self._verdict}"
        if status < 0:
            return f"ended by signal {signal.Signals(-status).name}"
        return f"exited with status {status}"

    def kill(self, deadline_s: float) -> None:
        """Kill it and wait. Raises LaunchError if it is still there after `deadline_s`."""
        self._process.kill()
        try:
            self._process.wait(timeout=deadline_s)
        except subprocess.TimeoutExpired as error:
            raise LaunchError(f"process {self.pid} does not die") from error

    def unacknowledged_bytes(self, remotes: AbstractSet[tuple[IPAddress, int]]) -> int:
        """Count bytes written to the connections with these addresses and ports, on their way."""
        tables = [self.socket_table(family) for family in BITS]
        return sum(unacknowledged_bytes(table, remotes) for table in tables)

    def socket_table(self, family: int) -> str:
        """Give the kernel's TCP table of the network namespace it runs in; "" when it is gone."""
        table = "tcp" if family == IPV4 else "tcp6"
        try:
            return Path(f"/proc/{self.pid}/net/{table}").read_text()
        except OSError:
            return ""

    def local_end(self, address: IPAddress, port: int) -> IPAddress | None:
        """Give our end of the connection to this address and port, if there is one."""
        return local_address(self.socket_table(address.version), (address, port))
