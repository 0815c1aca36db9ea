"""The allocator against a naive model, and its pool against ipaddress."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from cni.ipam.allocator import AddressTakenError, Allocator
from cni.ipam.pool import Address, Network, make_pool
from cni.spec.errors import AddressNotUsableError, PoolExhaustedError

REST_S = 10.0
CIDRS = ("10.0.0.0/29", "10.0.1.0/30", "10.0.2.0/31", "10.0.3.3/32")


def _cidr(number: int, length: int) -> Network:
    return ip_network((number >> (32 - length) << (32 - length), length))


cidrs = st.lists(
    st.builds(_cidr, st.integers(0x0A000000, 0x0A0000FF), st.integers(26, 32)), max_size=4
)


@given(cidrs, cidrs, st.integers(0x09FFFFF0, 0x0A000110))
def test_a_pool_is_the_cidrs_minus_the_reserved(
    own: list[Network], reserved: list[Network], start: int
) -> None:
    pool = make_pool(4, own, reserved)
    expected: set[int] = set()
    for cidr in own:
        hosts = cidr if cidr.num_addresses <= 2 else cidr.hosts()
        expected |= {int(address) for address in hosts}
    expected -= {int(address) for cidr in reserved for address in cidr}
    walk = list(pool.after(start))
    assert set(walk) == expected
    assert len(walk) == len(expected) == pool.size
    assert walk == sorted(walk, key=lambda number: (number <= start, number))
    assert all(number in pool for number in walk)
    assert start in pool or start not in expected


class Allocations(RuleBasedStateMachine):
    """Owners come and go, CIDRs come and go, time passes."""

    owners = Bundle("owners")
    checked: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.next_owner = 0
        self.usable: set[Address] = set()
        self.model: dict[int, Address] = {}
        self.freed_s: dict[Address, float] = {}
        self.allocator: Allocator[int] = Allocator(make_pool(4, ()), rest_s=REST_S)
        self.use(list(CIDRS[:2]))

    @rule(chosen=st.lists(st.sampled_from(CIDRS), unique=True))
    def use(self, chosen: list[str]) -> None:
        pool = make_pool(4, map(ip_network, chosen))
        self.allocator.replace_pool(pool)
        self.usable = {IPv4Address(number) for number in pool.after(-1)}

    @rule(seconds=st.sampled_from([0.0, 1.0, REST_S]))
    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(target=owners)
    def allocate(self) -> int:
        self.next_owner += 1
        free = self.usable - set(self.model.values())
        if not free:
            with pytest.raises(PoolExhaustedError, match=str(len(self.usable) or "no usable")):
                self.allocator.allocate(self.next_owner, self.now_s)
            return 0
        address = self.allocator.allocate(self.next_owner, self.now_s)
        assert address in free
        rested = {a for a in free if self.now_s - self.freed_s.get(a, -REST_S) >= REST_S}
        assert address in rested or not rested
        self.model[self.next_owner] = address
        return self.next_owner

    @rule(owner=consumes(owners))
    def release(self, owner: int) -> None:
        address = self.model.pop(owner, None)
        if address is not None:
            self.allocator.release(address, self.now_s)
            self.allocator.release(address, self.now_s)
            self.freed_s[address] = self.now_s

    @rule(target=owners, address=st.sampled_from([f"10.0.0.{n}" for n in range(9)]))
    def take(self, address: str) -> int:
        found = ip_address(address)
        if found in self.model.values():
            holder = self.allocator.owner(found)
            with pytest.raises(ValueError, match="belongs to"):
                self.allocator.take(found, -1)
            assert self.allocator.owner(found) == holder
            return 0
        self.next_owner += 1
        self.allocator.take(found, self.next_owner)
        self.model[self.next_owner] = found
        return self.next_owner

    @rule(target=owners, address=st.sampled_from([f"10.0.{n}.{m}" for n in (0, 1) for m in (1, 2)]))
    def claim(self, address: str) -> int:
        wanted = IPv4Address(address)
        self.next_owner += 1
        if wanted not in self.usable:
            with pytest.raises(AddressNotUsableError):
                self.allocator.claim(wanted, self.next_owner)
            return 0
        if wanted in self.model.values():
            with pytest.raises(AddressTakenError):
                self.allocator.claim(wanted, self.next_owner)
            return 0
        self.allocator.claim(wanted, self.next_owner)
        self.model[self.next_owner] = wanted
        return self.next_owner

    @invariant()
    def agrees_with_the_model(self) -> None:
        type(self).checked += 1
        for owner, address in self.model.items():
            assert self.allocator.owner(address) == owner
        assert len(set(self.model.values())) == len(self.model)
        assert self.allocator.in_use == len(self.usable & set(self.model.values()))
        assert {a for a, _ in self.allocator.orphans()} == set(self.model.values()) - self.usable


TestAllocations = Allocations.TestCase
TestAllocations.settings = settings(max_examples=50, stateful_step_count=60, deadline=None)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_20000_random_steps(capsys: pytest.CaptureFixture[str]) -> None:
    examples, steps = 100, 240
    Allocations.checked = 0
    run_state_machine_as_test(
        Allocations,
        settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None),
    )
    # The invariant is checked once more for each example, before its first step.
    done = Allocations.checked - examples
    with capsys.disabled():
        print(f"\n{done} steps on the allocator")
    assert done >= 20_000
