"""YAML text to plain Python values, refusing what YAML itself would let pass. PURE.

PyYAML keeps the last of two equal keys without a word; in a file where an ignored key is an error
that would be a hole, so the loader here refuses duplicates and says where both stand.
"""

from typing import Any

import yaml


class DocumentError(Exception):
    """The text is not YAML, or holds the same key twice; the message names the line."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            try:
                first = seen.setdefault(key, line)
            except TypeError:
                raise DocumentError(f"line {line}: a key must be a plain word") from None
            if first != line:
                raise DocumentError(f"line {line}: key {key!r} is already set in line {first}")
        return super().construct_mapping(node, deep)


def load_document(text: str) -> object:
    """Return the one YAML document in `text`; raise DocumentError with the line if it is none."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise DocumentError(f"{where}not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise DocumentError(f"not valid YAML: {error}") from None
