"""A result that is filled into a form is the one that is rendered from nothing, byte for byte."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cni.attachment.alias import Addresses
from cni.attachment.identity import AttachmentKey, MacAddress
from cni.attachment.plan import LinkSettings, plan_pod_link
from cni.server.answer import add_result, render_plain_result
from cni.spec.environment import parse_environment
from cni.spec.errors import InvalidEnvironmentError
from cni.spec.result import render_result
from cni.spec.version import SUPPORTED, SpecVersion


def is_ifname(name: str) -> bool:
    try:
        parse_environment({"CNI_COMMAND": "ADD", "CNI_IFNAME": name})
    except InvalidEnvironmentError as error:
        return "CNI_IFNAME" not in error.variables
    return True


addresses = st.builds(
    Addresses, ipv4=st.none() | st.ip_addresses(v=4), ipv6=st.none() | st.ip_addresses(v=6)
).filter(lambda each: bool(each.each()))


@given(
    st.text(min_size=1, max_size=15).filter(is_ifname)
    | st.sampled_from(["198.51.100.231", "eth0"]),
    st.tuples(addresses, addresses),
    st.binary(min_size=6, max_size=6),
    st.text(st.characters(), min_size=1) | st.sampled_from(["%(mac)s", '/run/netns/\udcff"\\']),
    st.frozensets(st.sampled_from([4, 6])),
    st.sampled_from(SUPPORTED),
)
def test_the_form_is_the_result(
    ifname: str,
    pair: tuple[Addresses, Addresses],
    mac: bytes,
    netns: str,
    beside: frozenset[int],
    version: SpecVersion,
) -> None:
    key = AttachmentKey(network="n", container_id="c", ifname=ifname)
    settings = LinkSettings(mtu=1500, sources=Addresses(), mac=MacAddress(mac))
    for each in pair:
        plan = plan_pod_link(key, each, settings)
        made = add_result(plan, each, netns, None, beside)
        assert render_plain_result(plan, each, netns, beside, version) == render_result(
            made, version
        )
