"""Write numbers in Prometheus's text format, version 0.0.4. PURE.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Value = float | int | bool
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Kind(StrEnum):
    """What TYPE says."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Page:
    """Lines in the order in which they were written; families one after the other."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lines: list[str] = []

    def family(
        self, kind: Kind, name: str, text: str, samples: Sequence[tuple[str, Value]]
    ) -> None:
        """Write a family: `samples` are pairs of `labels(...)` and value; none writes nothing."""
        if not samples:
            return
        self._head(kind, name, text)
        self._lines += [f"{name}{where} {_number(value)}" for where, value in samples]

    def gauge(self, name: str, text: str, value: Value) -> None:
        """Write a gauge without labels."""
        self.family(Kind.GAUGE, name, text, [("", value)])

    def counter(self, name: str, text: str, value: Value) -> None:
        """Write a counter without labels."""
        self.family(Kind.COUNTER, name, text, [("", value)])

    def histograms(
        self, name: str, text: str, found: Sequence[tuple[Mapping[str, str], Mapping[str, Any]]]
    ) -> None:
        """Write a family of `cni.histogram.Histogram.as_json`, each with its labels."""
        if not found:
            return
        self._head(Kind.HISTOGRAM, name, text)
        for given, histogram in found:
            pairs = [*histogram["buckets"], ["+Inf", histogram["count"]]]
            for bound, count in pairs:
                where = labels(**given, le=bound if bound == "+Inf" else _number(bound))
                self._lines.append(f"{name}_bucket{where} {count}")
            where = labels(**given)
            self._lines.append(f"{name}_sum{where} {_number(histogram['sum_s'])}")
            self._lines.append(f"{name}_count{where} {histogram['count']}")

    def _head(self, kind: Kind, name: str, text: str) -> None:
        self._lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]

    def __str__(self) -> str:
        return "\n".join([*self._lines, ""])


def labels(**given: str) -> str:
    """Return labels as they stand behind a name; "" for none."""
    if not given:
        return ""
    pairs = [f'{name}="{value.translate(_ESCAPES)}"' for name, value in given.items()]
    return "{" + ",".join(pairs) + "}"


def _number(value: Value) -> str:
    return str(int(value)) if isinstance(value, bool) else f"{value:.10g}"
