"""The route agent and the command `podroute`: the only package that touches kernel and cluster."""
