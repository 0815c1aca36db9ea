"""BFD (RFC 5880, RFC 5881): is the path to a peer's address alive, told within a second.

A process of its own (design D17): `daemon` is the loop, `keeper` starts it and starts it again.
It knows addresses and links it is given, and nothing of BGP, routes or Kubernetes.
"""
