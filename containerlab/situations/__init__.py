"""Broken situations, built for real in a fabric, that `podroute doctor` must name."""
