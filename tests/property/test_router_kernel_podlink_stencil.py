"""What a stencil is filled to is what the ordinary packers make of the plan, byte for byte."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cni.attachment.alias import Addresses
from cni.attachment.identity import AttachmentKey, MacAddress
from cni.attachment.plan import LinkSettings, plan_pod_link
from router.kernel import podlink_filter_wire as filter_wire
from router.kernel import podlink_listing as listing
from router.kernel import podlink_wire as wire
from router.kernel.nf_tables import BEGIN, END
from router.kernel.podlink_stencil import Messages, admission
from router.kernel.stencil import number

identifiers = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,90}", fullmatch=True)
names = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Z"), blacklist_characters="/:%"),
    min_size=1,
    max_size=15,
).filter(lambda name: len(name.encode()) <= 15) | st.sampled_from(["^", "^^^^", "~" * 15, "|||||"])
pairs = st.builds(
    Addresses, ipv4=st.none() | st.ip_addresses(v=4), ipv6=st.none() | st.ip_addresses(v=6)
)
indexes = st.integers(1, 2**31 - 1)


@given(
    st.builds(AttachmentKey, network=identifiers, container_id=identifiers, ifname=names),
    pairs.filter(lambda each: bool(each.each())),
    st.builds(
        LinkSettings,
        mtu=st.integers(68, 65535),
        sources=pairs,
        mac=st.none() | st.binary(min_size=6, max_size=6).map(MacAddress),
        queues=st.integers(1, 64),
        host_prefix=st.sampled_from(["pod", "cali", "p"]),
    ),
    indexes,
    indexes,
    st.integers(0, 2**20),
)
def test_every_message_is_the_packers(
    key: AttachmentKey,
    addresses: Addresses,
    settings: LinkSettings,
    other: int,
    index: int,
    descriptor: int,
) -> None:
    plan = plan_pod_link(key, addresses, settings)
    messages = Messages(plan, descriptor)
    for each in (other, index):
        assert messages.creation(each) == number([wire.create(plan.create, each, descriptor)])
    assert messages.sandbox() == number([wire.pack(each, index) for each in plan.sandbox])
    assert messages.host() == number([wire.pack(each, index) for each in plan.host])
    own = [] if addresses.ipv6 is None else [listing.get_route_to(addresses.ipv6, flags=0)]
    assert messages.settling() == number(
        [listing.get_link_at(index, flags=0), *own], acknowledged=False
    )
    keys = [filter_wire.source_key(index, each) for each in addresses.each()]
    elements = [filter_wire.add_element(*each) for each in keys]
    assert admission(index, addresses.each()) == number([BEGIN, *elements], end=END)
