"""Fabrics to try podroute on: one folder per topology, and the runner that needs no Docker."""
