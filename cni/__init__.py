"""The container runtime's point of view: CNI requests, addresses, attachments, the CNI server.

Knows neither BGP nor Kubernetes nor netlink. Kernel work reaches ``cni.server`` through the
``Dataplane`` Protocol (``cni.server.dataplane``), which ``router.kernel.podlink`` implements.
"""
