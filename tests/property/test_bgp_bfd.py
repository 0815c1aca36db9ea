"""BFD: the state table is total, and two ends joined by a wire always find each other again."""

from __future__ import annotations

import heapq
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgp.bfd import saved
from bgp.bfd.packet import Packet, PacketError, parse, render
from bgp.bfd.report import parse_report, parse_wanted, render_report, render_wanted
from bgp.bfd.session import NEVER, Session, Spec, Verdict
from bgp.bfd.state import TRANSITIONS, Input, State
from bgp.bfd.table import Table
from tests.support.bfd_values import packets

PACKETS = packets()
SPECS = st.builds(
    Spec,
    name=st.just("tor1"),
    peer=st.just("10.0.1.2"),
    local=st.just("10.0.1.3"),
    ifindex=st.just(7),
    interval_us=st.integers(20, 3000).map(lambda ms: ms * 1000),
    multiplier=st.integers(1, 10),
)
# A minute of packets in one example; a busy machine is no failure.
SIMULATED = settings(deadline=None, max_examples=40)


def test_the_table_is_total() -> None:
    assert set(TRANSITIONS) == set(product(State, Input))


STEPS = st.lists(
    st.one_of(
        PACKETS,
        st.tuples(st.just("wait"), st.floats(0, 5)),
        st.tuples(st.just("spec"), SPECS),
        st.tuples(st.just("disable"), st.none()),
        st.tuples(st.just("enable"), st.none()),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(SPECS, STEPS)
def test_whatever_happens_to_a_session_its_promises_hold(spec: Spec, steps: list[object]) -> None:
    now = 1000.0
    session = Session(spec, my_discriminator=5, source_port=50000, now=now)
    for step in steps:
        before = (session.state, session.ups, session.downs)
        match step:
            case Packet():
                session.receive(step, now)
                answer = session.answer()
                if answer is not None:
                    assert answer.final
                    assert not answer.poll
            case ("wait", float(seconds)):
                now += seconds
                session.expire(now)
            case ("spec", Spec() as other):
                session.reconfigure(other, now)
            case ("disable", _):
                session.disable(now)
            case _:
                session.enable(now)
        sent = session.transmit(now, 0.5)
        if sent is not None:
            assert parse_or_none(render(sent)) == sent
            assert sent.state is session.state
            assert session.next_tx > now
        _promises(session, before)


def _promises(session: Session, before: tuple[State, int, int]) -> None:
    was, ups, downs = before
    assert session.ups - ups == (session.state is State.UP and was is not State.UP)
    assert session.downs - downs == (was is State.UP and session.state is not State.UP)
    assert (session.verdict is Verdict.ALIVE) == (session.state is State.UP)
    assert (session.lost_at is not None) == (session.verdict is Verdict.LOST)
    if session.state is not State.UP:
        assert session.desired_tx_us >= 1_000_000
        assert not session.polling


def parse_or_none(wire: bytes) -> Packet | None:
    try:
        return parse(wire)
    except PacketError:
        return None


class Wire:
    """Two tables joined by a wire that loses what it is told to lose; time moves by events."""

    def __init__(self, left: Spec, right: Spec) -> None:
        self.now = 1000.0
        numbers = iter(range(1, 1 << 20))
        self.ends = (Table(lambda: next(numbers)), Table(lambda: next(numbers)))
        self.addresses = ("10.0.1.3", "10.0.1.2")
        for table, spec in zip(self.ends, (left, right), strict=True):
            table.want([spec], self.now)
        self.lost = (False, False)
        self.flying: list[tuple[float, int, int, Packet]] = []
        self.count = 0

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            flying = self.flying[0][0] if self.flying else NEVER
            self.now = min(end, flying, *(table.due_at() for table in self.ends))
            if self.now >= end:
                return
            while self.flying and self.flying[0][0] <= self.now:
                _, _, to, packet = heapq.heappop(self.flying)
                self._arrive(to, packet)
            for index, table in enumerate(self.ends):
                for session in table.take_due(self.now):
                    session.expire(self.now)
                    self._send(index, session.transmit(self.now, 0.5))

    def _arrive(self, to: int, packet: Packet) -> None:
        table = self.ends[to]
        session = table.find(packet, self.addresses[1 - to], 7)
        if session is not None:
            session.receive(packet, self.now)
            self._send(to, session.answer())
            table.arm(session)

    def _send(self, index: int, packet: Packet | None) -> None:
        if packet is not None and not self.lost[index]:
            self.count += 1
            arrival = self.now + 0.0005
            heapq.heappush(self.flying, (arrival, self.count, 1 - index, parse(render(packet))))

    @property
    def sessions(self) -> tuple[Session, Session]:
        (left,), (right,) = (table.sessions for table in self.ends)
        return left, right

    @property
    def states(self) -> tuple[State, State]:
        return self.sessions[0].state, self.sessions[1].state


def other_end(spec: Spec) -> Spec:
    return spec._replace(peer=spec.local, local=spec.peer)


@SIMULATED
@given(SPECS, SPECS, st.sampled_from([(True, True), (True, False), (False, True)]))
def test_two_ends_come_up_notice_silence_and_come_up_again(
    left: Spec, right: Spec, lost: tuple[bool, bool]
) -> None:
    wire = Wire(left, other_end(right))
    wire.run(40)
    assert wire.states == (State.UP, State.UP)
    assert not any(session.polling or session.downs for session in wire.sessions)
    interval_us = max(left.interval_us, right.interval_us)
    assert [session.tx_interval_us for session in wire.sessions] == [interval_us] * 2
    detections = [session.detection_us * 1e-6 for session in wire.sessions]
    assert detections == pytest.approx(
        [interval_us * 1e-6 * m for m in (right.multiplier, left.multiplier)]
    )
    wire.run(60)
    assert not any(session.downs for session in wire.sessions)
    wire.lost = lost
    wire.run(sum(detections) + 0.01)
    assert State.UP not in wire.states
    wire.lost = (False, False)
    wire.run(40)
    assert wire.states == (State.UP, State.UP)
    assert [session.downs for session in wire.sessions] == [1, 1]


@SIMULATED
@given(SPECS, SPECS, st.floats(0, 1))
def test_an_end_that_resumes_in_time_is_not_noticed(left: Spec, right: Spec, away: float) -> None:
    # With a multiplier of 1 or 2, the packet before the death may be almost too old already.
    wire = Wire(left._replace(multiplier=3), other_end(right))
    wire.run(40)
    session = wire.sessions[0]
    patience_s = session.remote_detection_us * 1e-6
    alive_at = wire.now
    text = saved.render([session], "boot")
    wire.now += away * patience_s * 0.5
    wire.flying.clear()
    fresh = Table(lambda: 1 << 30)
    for resumed in saved.parse(text, boot_id="boot", alive_at=alive_at, now=wire.now):
        fresh.add(resumed)
    wire.ends = (fresh, wire.ends[1])
    wire.run(20)
    assert wire.states == (State.UP, State.UP)
    assert [session.ups for session in wire.sessions] == [1, 1]


@SIMULATED
@given(SPECS, st.floats(1.001, 1000))
def test_an_end_that_resumes_too_late_begins_anew(spec: Spec, late: float) -> None:
    wire = Wire(spec, other_end(spec))
    wire.run(40)
    session = wire.sessions[0]
    text = saved.render([session], "boot")
    after = wire.now + late * session.remote_detection_us * 1e-6
    (fresh,) = saved.parse(text, boot_id="boot", alive_at=wire.now, now=after)
    assert (fresh.state, fresh.verdict) == (State.DOWN, Verdict.UNKNOWN)
    assert saved.parse(text, boot_id="another", alive_at=wire.now, now=wire.now) == ()


@SIMULATED
@given(SPECS, SPECS)
def test_an_end_that_leaves_says_so_and_is_gone(left: Spec, right: Spec) -> None:
    wire = Wire(left, other_end(right))
    wire.run(40)
    wire.ends[0].want([], wire.now)
    wire.run(0.1)
    theirs = wire.ends[1].sessions[0]
    assert (theirs.state, theirs.verdict) == (State.DOWN, Verdict.UNKNOWN)
    assert theirs.remote_state is State.ADMIN_DOWN
    assert wire.ends[0].staying == ()
    wire.run(120)
    assert wire.ends[0].sessions == ()


@SIMULATED
@given(SPECS)
def test_what_is_told_arrives(spec: Spec) -> None:
    assert parse_wanted(render_wanted([spec])) == (spec,)
    wire = Wire(spec, other_end(spec))
    wire.run(10)
    text = render_report(wire.ends[0].sessions, pid=3, priority="nice -20", memory="locked")
    report = parse_report(text).sessions["tor1"]
    assert (report.state, report.verdict) == (State.UP, Verdict.ALIVE)
