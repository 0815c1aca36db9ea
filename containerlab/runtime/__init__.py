"""A container runtime in lab nodes: images built offline, CRI calls, the part of kubelet."""
