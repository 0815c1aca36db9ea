"""BFD values for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from bgp.bfd.packet import Packet
from bgp.bfd.state import State


def packets() -> st.SearchStrategy[Packet]:
    """Return any packet that `parse` accepts."""
    word = st.integers(0, 2**32 - 1)
    discriminator = st.integers(1, 2**32 - 1)
    return st.builds(
        Packet,
        state=st.sampled_from(State),
        diagnostic=st.integers(0, 31),
        multiplier=st.integers(1, 255),
        my_discriminator=discriminator,
        your_discriminator=discriminator,
        desired_tx_us=word,
        required_rx_us=word,
        required_echo_rx_us=word,
        poll=st.booleans(),
        final=st.booleans(),
        independent=st.booleans(),
        demand=st.booleans(),
    )
