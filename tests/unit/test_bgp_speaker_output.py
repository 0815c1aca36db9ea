"""What the speaker prints, and what the kernel says of its sockets."""

from __future__ import annotations

from ipaddress import ip_address

from bgp.nlri import Prefix
from bgp.peer_id import PeerId
from bgp.secret import Secret
from bgp.speaker.output import Answer, RateLimit, classify, redact
from bgp.speaker.sockets import local_address, unacknowledged_bytes

PEER = PeerId("tor1")
TOR, NODE = ip_address("10.0.1.2"), ip_address("10.0.1.3")
ONE, TWO = Prefix.parse("10.244.1.0/24"), Prefix.parse("10.244.9.0/24")


TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0301000A:C350 0201000A:00B3 01 00000013:00000000 01:00000018 00000000 61179        0 1 2
   1: 0301000A:C351 0209000A:00B3 01 00000100:00000000 01:00000018 00000000 61179        0 1 2
   2: 00000000:00B3 0201000A:00B3 0A 00000001:00000000 00:00000000 00000000     0        0 1 1
   3: 0301000A:C352 0201000A:00B3 04 00000040:00000000 01:00000018 00000000 61179        0 1 2
   4: nonsense
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue
   0: 000000FD000001000000000003000000:C350 000000FD000001000000000002000000:00B3 01 0000000A:0
"""


class TestSockets:
    def test_send_queues_towards_the_peers(self) -> None:
        # Not those of one that was closed (FIN_WAIT1): on a dead link it stays for minutes.
        assert unacknowledged_bytes(TCP, {(TOR, 179)}) == 0x13
        assert unacknowledged_bytes(TCP, {(TOR, 1179)}) == 0
        v6 = ip_address("fd00:0:1::2")
        raw = "".join(v6.packed[i : i + 4][::-1].hex().upper() for i in range(0, 16, 4))
        table = TCP6.replace("000000FD000001000000000002000000", raw)
        assert unacknowledged_bytes(table, {(v6, 179)}) == 10

    def test_own_address(self) -> None:
        assert local_address(TCP, (TOR, 179)) == NODE
        assert local_address(TCP, (NODE, 179)) is None


class TestOutput:
    def test_answers(self) -> None:
        assert classify("reactor         loaded new configuration successfully") is Answer.LOADED
        assert classify("configuration   could not load/reload configuration") is Answer.REFUSED
        assert classify("reactor         SIGUSR1 received") is None

    def test_redaction(self) -> None:
        secret = Secret("hunter2")
        for line in ("x hunter2 y", f"x {secret.base64()} y", "md5-password other;"):
            shown = redact(line, [secret])
            assert "***" in shown
            assert "hunter2" not in shown
            assert "other" not in shown

    def test_rate_limit(self) -> None:
        limit = RateLimit(2, 1.0)
        assert [limit.allows(0), limit.allows(0), limit.allows(0)] == [True, True, False]
        assert limit.allows(1.0)
        assert not limit.allows(1.5)
