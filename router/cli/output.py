"""How a command prints its answer: `-o table|wide|json|yaml`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

FORMATS: Final = ("table", "wide", "json", "yaml")
Render = Callable[[Mapping[str, Any]], str]


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        "-o",
        "--output",
        default="table",
        choices=FORMATS,
        help="for people (table, wide: with more columns) or for programs (json, yaml: everything)",
    )


def shown(answer: Mapping[str, Any], output: str, table: Render, wide: Render | None = None) -> str:
    """Return the answer as `output` asks; `wide` is as `table` where there is no more to show."""
    if output == "json":
        return json.dumps(answer, indent=2)
    if output == "yaml":
        from router.config.yaml_text import to_yaml

        return to_yaml(answer).rstrip("\n")
    return (wide if wide is not None and output == "wide" else table)(answer)
