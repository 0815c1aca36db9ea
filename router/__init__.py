"""The composition root: agent, configuration, kernel, command line; stands on cni and bgp."""
