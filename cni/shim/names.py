"""The names under which the shim is executed. PURE."""

from __future__ import annotations

from typing import Final

PLUGIN_NAME: Final = "podroute"
IPAM_NAME: Final = "podroute-ipam"
"""Called by this name, the same program speaks for the IPAM plugin."""

PLUGIN_NAMES: Final = (PLUGIN_NAME, IPAM_NAME)
