"""The demo: podroute's whole path on a fabric of real routers, checked from outside and shown.

What it measures and how it proves it: docs/adr/0041-demo-evidence.md.
"""
