"""The pure parts around the process: what to say, when to act, what to show."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path, PurePosixPath

import pytest

from bgp.event import Sent
from bgp.nlri import Prefix
from bgp.peer import PeerError, PeerId, SpeakerConfig
from bgp.secret import Secret
from bgp.speaker import commands
from bgp.speaker.adjribout import AdjRibOut
from bgp.speaker.launch import Installation, LaunchError, SpeakerProcessSettings, write
from bgp.speaker.output import Answer, RateLimit, classify, redact
from bgp.speaker.render import render
from bgp.speaker.sockets import local_address, unacknowledged_bytes
from bgp.speaker.supervision import Backoff, Heartbeat, Reload

PEER = PeerId("tor1")
TOR, NODE = ip_address("10.0.1.2"), ip_address("10.0.1.3")
ONE, TWO = Prefix.parse("10.244.1.0/24"), Prefix.parse("10.244.9.0/24")


class TestCommands:
    def test_announce_and_withdraw(self) -> None:
        assert commands.announce(TOR, NODE, [TWO, ONE]) == (
            b"neighbor 10.0.1.2 announce attributes next-hop 10.0.1.3"
            b" nlri 10.244.1.0/24 10.244.9.0/24\n"
        )
        assert commands.withdraw(TOR, NODE, [ONE]) == (
            b"neighbor 10.0.1.2 withdraw attributes next-hop 10.0.1.3 nlri 10.244.1.0/24\n"
        )
        assert commands.announce(TOR, NODE, []) == b""

    def test_long_lists_are_cut(self) -> None:
        many = [Prefix(4, (11 << 24) + (i << 8), 24) for i in range(1000)]

        lines = commands.announce(TOR, NODE, many).splitlines()

        assert [line.count(b"/24") for line in lines] == [400, 400, 200]
        assert max(map(len, lines)) < 16384

    def test_end_of_rib(self) -> None:
        assert commands.end_of_rib(TOR, 6) == b"neighbor 10.0.1.2 announce eor ipv6 unicast\n"


def sent(*announced: Prefix, withdrawn: tuple[Prefix, ...] = (), end: int | None = None) -> Sent:
    return Sent(peer=PEER, announced=announced, withdrawn=withdrawn, end_of_rib=end)


class TestAdjRibOut:
    def want(self, out: AdjRibOut, *prefixes: Prefix) -> bytes:
        return out.want({TOR: (frozenset({4}), frozenset(prefixes))})

    def test_says_nothing_to_a_peer_that_is_down(self) -> None:
        out = AdjRibOut()

        assert self.want(out, ONE) == b""
        assert out.is_settled()

    def test_new_session_gets_everything_and_end_of_rib_last(self) -> None:
        out = AdjRibOut()
        self.want(out, ONE)

        assert out.session_up(TOR, NODE) == commands.announce(
            TOR, NODE, [ONE]
        ) + commands.end_of_rib(TOR, 4)
        assert not out.is_settled()
        out.confirm(TOR, sent(ONE))
        assert not out.is_settled(TOR)
        out.confirm(TOR, sent(end=4))
        assert out.is_settled()

    def test_changes_are_differences(self) -> None:
        out = AdjRibOut()
        self.want(out, ONE)
        out.session_up(TOR, NODE)

        assert self.want(out, ONE) == b""
        assert self.want(out, TWO) == commands.withdraw(TOR, NODE, [ONE]) + commands.announce(
            TOR, NODE, [TWO]
        )
        out.confirm(TOR, sent(ONE))
        out.confirm(TOR, sent(end=4))
        out.confirm(TOR, sent(TWO, withdrawn=(ONE,)))
        assert out.is_settled()

    def test_what_exabgp_would_repeat_is_withdrawn(self) -> None:
        out = AdjRibOut()
        self.want(out, ONE)
        out.session_up(TOR, NODE)
        out.session_down(TOR)

        assert self.want(out, TWO) == b""
        said = out.session_up(TOR, NODE)

        assert said.startswith(commands.withdraw(TOR, NODE, [ONE]))
        assert commands.announce(TOR, NODE, [TWO]) in said

    def test_removed_peer_is_withdrawn_from(self) -> None:
        out = AdjRibOut()
        self.want(out, ONE)
        out.session_up(TOR, NODE)
        out.confirm(TOR, sent(ONE))

        assert out.want({}) == commands.withdraw(TOR, NODE, [ONE])
        assert not out.is_settled(TOR)
        out.confirm(TOR, sent(withdrawn=(ONE,)))
        assert out.is_settled(TOR)
        out.forget(TOR)
        assert out.is_settled(TOR)
        out.confirm(TOR, sent(ONE))

    def test_death_of_the_speaker_forgets_what_was_said(self) -> None:
        out = AdjRibOut()
        self.want(out, ONE)
        out.session_up(TOR, NODE)
        out.reset()

        assert out.session_up(TOR, NODE).startswith(commands.announce(TOR, NODE, [ONE]))


class TestBackoff:
    def test_grows_and_is_forgiven(self) -> None:
        backoff = Backoff()
        delays = []
        for now in range(0, 70, 10):
            backoff.started(now)
            delays.append(backoff.ended(now + 1) - now - 1)
        assert delays == [0, 1, 2, 4, 8, 10, 10]
        backoff.started(100)
        assert backoff.ended(160) == 160


class TestHeartbeat:
    def test_asks_and_loses_patience_within_half_the_hold_time(self) -> None:
        beat = Heartbeat(1.0)
        beat.began(0.0)
        asked_at = lost_at = None
        for tick in range(100):
            now = tick / 10
            if beat.silence_s(now) is not None:
                lost_at = now
                break
            if beat.is_due(now):
                asked_at = now
        assert asked_at == 1.0
        assert lost_at is not None
        assert lost_at <= 4.6

    def test_any_line_is_a_sign_of_life(self) -> None:
        beat = Heartbeat(1.0)
        beat.began(0.0)
        for tick in range(1, 200):
            now = tick / 10
            beat.is_due(now)
            if tick % 30 == 0:
                beat.heard(now)
            assert beat.silence_s(now) is None

    def test_own_absence_is_forgiven_once(self) -> None:
        beat = Heartbeat(1.0)
        beat.began(0.0)
        assert beat.is_due(1.0)
        assert beat.silence_s(1.0) is None
        assert beat.silence_s(60.0) is None
        assert beat.silence_s(62.0) is None
        assert beat.silence_s(63.0) is None
        assert beat.silence_s(64.0) == 64.0

    def test_hold_times(self) -> None:
        beat = Heartbeat(1.0)
        beat.expect_within(3)
        assert beat.patience_s == 0.75
        beat.expect_within(90)
        assert beat.patience_s == 44.0
        beat.expect_within(0)
        assert beat.patience_s == float("inf")


class TestReload:
    def test_nothing_to_do_before_a_start_and_without_a_change(self) -> None:
        reload = Reload()
        reload.want("a", 0)
        assert not reload.is_due(0, may_start=True)
        reload.started("a")
        assert not reload.is_due(1, may_start=True)
        assert not reload.confirmed()

    def test_change_during_the_start(self) -> None:
        reload = Reload()
        reload.want("a", 0)
        reload.want("b", 0.1)
        reload.started("a")
        assert reload.is_due(0.2, may_start=True)
        assert reload.confirmed()
        assert not reload.is_pending

    def test_is_repeated_until_confirmed(self) -> None:
        reload = Reload()
        reload.want("a", 0)
        reload.started("a")
        reload.want("b", 1)
        assert reload.is_due(1, may_start=True)
        assert not reload.is_due(1.2, may_start=True)
        assert reload.is_due(1.3, may_start=True)
        assert reload.confirmed()

    def test_late_confirmation_of_a_repeated_signal_is_not_believed(self) -> None:
        reload = Reload()
        reload.want("a", 0)
        reload.started("a")
        reload.want("b", 1)
        assert reload.is_due(1, may_start=True)
        assert reload.is_due(1.3, may_start=True)
        assert reload.confirmed()
        reload.want("c", 1.4)
        assert reload.is_due(1.4, may_start=True)
        assert not reload.confirmed()
        assert reload.is_due(1.5, may_start=True)
        assert reload.confirmed()

    def test_waits_for_farewells_but_not_for_ever(self) -> None:
        reload = Reload()
        reload.want("a", 0)
        reload.started("a")
        reload.want("b", 1)
        assert not reload.is_due(1.1, may_start=False)
        assert reload.is_due(1.6, may_start=False)

    def test_refusal_waits_for_another_text(self) -> None:
        reload = Reload()
        reload.want("a", 0)
        reload.started("a")
        reload.want("b", 1)
        assert reload.is_due(1, may_start=True)
        reload.refused()
        assert not reload.is_due(9, may_start=True)
        reload.want("c", 10)
        assert reload.is_due(10, may_start=True)


TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0301000A:C350 0201000A:00B3 01 00000013:00000000 01:00000018 00000000 61179        0 1 2
   1: 0301000A:C351 0209000A:00B3 01 00000100:00000000 01:00000018 00000000 61179        0 1 2
   2: 00000000:00B3 0201000A:00B3 0A 00000001:00000000 00:00000000 00000000     0        0 1 1
   3: nonsense
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue
   0: 000000FD000001000000000003000000:C350 000000FD000001000000000002000000:00B3 01 0000000A:0
"""


class TestSockets:
    def test_send_queues_towards_the_peers(self) -> None:
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


@pytest.fixture
def open_path() -> Iterator[Path]:
    """Give a directory that other users can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


class TestLaunch:
    def test_relay_command_must_be_plain_words(self) -> None:
        config = SpeakerConfig(router_id=ip_address("10.255.1.1"))  # type: ignore[arg-type]
        assert "run /usr/bin/python3 -I /a/relay.py;" in render(
            config, (PurePosixPath("/usr/bin/python3"), "-I", "/a/relay.py")
        )
        for word in ("/a b", "/a;", "/a{", "--x=1", "", "-I;", "/a\n", "/é"):
            with pytest.raises(PeerError, match="plain path"):
                render(config, (word,))

    def test_package_out_of_reach_is_copied(
        self, open_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        private = open_path / "private"
        (private / "exabgp").mkdir(parents=True)
        private.chmod(0o700)
        (private / "exabgp" / "__init__.py").write_text("")
        monkeypatch.syspath_prepend(private)
        settings = SpeakerProcessSettings(run_dir=open_path / "speaker")

        for _ in range(2):
            installation = Installation.prepare(settings)

        assert installation.library == settings.run_dir / "lib"
        copy = installation.library / "exabgp" / "__init__.py"
        assert copy.stat().st_mode & 0o777 == 0o644
        assert settings.relay_path.stat().st_mode & 0o777 == 0o444
        assert installation.environment()["PYTHONPATH"] == str(installation.library)
        assert installation.command(settings)[0] == "setpriv"

    def test_python_out_of_reach_is_said(
        self, open_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys._base_executable", str(open_path / "python"))
        monkeypatch.setattr("bgp.speaker.launch._SYSTEM_PYTHONS", ())
        with pytest.raises(LaunchError, match="cannot run"):
            Installation.prepare(SpeakerProcessSettings(run_dir=open_path / "speaker"))

    def test_run_directory_out_of_reach_is_said(self, open_path: Path) -> None:
        (open_path / "private").mkdir(mode=0o700)
        with pytest.raises(LaunchError, match="cannot reach"):
            Installation.prepare(SpeakerProcessSettings(run_dir=open_path / "private" / "speaker"))

    def test_files_appear_whole_with_their_mode(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        write(path, b"one", 0o400)
        write(path, b"two", 0o400)

        assert path.read_bytes() == b"two"
        assert path.stat().st_mode & 0o777 == 0o400
        assert list(tmp_path.iterdir()) == [path]
