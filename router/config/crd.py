"""Our CustomResourceDefinitions, as deploy/kustomize/base/crds.yaml has them.

`python -m router.config.crd > deploy/kustomize/base/crds.yaml`
"""

from __future__ import annotations

import sys
from typing import Final

import yaml

from router.config.crd_advertisement import bgp_advertisement
from router.config.crd_network import pod_network
from router.config.crd_peer import bgp_peer
from router.config.crd_status import bgp_node_status
from router.config.openapi import Schema

_HEAD: Final = "# Made by: python -m router.config.crd (the schema is that of router/config).\n"


def definitions() -> list[Schema]:
    """Return all of them."""
    return [pod_network(), bgp_peer(), bgp_advertisement(), bgp_node_status()]


def render() -> str:
    """Return the content of the file."""
    # Each a document of its own, without anchors: kubectl reads anchors, people do not.
    made = [yaml.dump(each, Dumper=_Plain, sort_keys=False, width=100) for each in definitions()]
    return _HEAD + "---\n".join(made)


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


if __name__ == "__main__":
    sys.stdout.write(render())
