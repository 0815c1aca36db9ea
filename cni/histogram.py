"""How long things took, counted in buckets. PURE.

The form is Prometheus's: a bucket counts what took at most its bound, those of smaller buckets
included; what took longer than all bounds is in the total only.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any


class Histogram:
    """Counts durations in seconds."""

    __slots__ = ("_counts", "bounds_s", "count", "sum_s")

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        """`bounds_s` are ascending."""
        self.bounds_s = bounds_s
        self.count = 0
        self.sum_s = 0.0
        self._counts = [0] * (len(bounds_s) + 1)

    def observe(self, took_s: float) -> None:
        """Count one."""
        self._counts[bisect_left(self.bounds_s, took_s)] += 1
        self.count += 1
        self.sum_s += took_s

    def as_json(self) -> dict[str, Any]:
        """Return plain values: `buckets` are pairs of bound and cumulative count."""
        total = 0
        buckets = []
        for bound_s, counted in zip(self.bounds_s, self._counts, strict=False):
            total += counted
            buckets.append([bound_s, total])
        return {"buckets": buckets, "sum_s": round(self.sum_s, 6), "count": self.count}
