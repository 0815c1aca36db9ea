"""Address allocation from the node's pod CIDRs. Pure: clock readings come in as arguments.

Knows neither links nor files: the kernel is the store (design D2), the server rebuilds an
allocator from it at start.
"""
