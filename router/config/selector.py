"""Label selectors in the form of the Kubernetes API: which nodes a block is for. PURE.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from router.config import words
from router.config.document import Section


class Operator(StrEnum):
    """How an expression looks at a label."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """One condition on one label."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a node with these labels meets it; a missing label is NotIn anything."""
        value = labels.get(self.key)
        if self.operator is Operator.EXISTS:
            return value is not None
        if self.operator is Operator.DOES_NOT_EXIST:
            return value is None
        return (value in self.values) is (self.operator is Operator.IN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """All conditions must hold; none at all selects every node."""

    expressions: tuple[Expression, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a node with these labels is selected."""
        return all(expression.matches(labels) for expression in self.expressions)


def read_selector(block: Section) -> Selector:
    """Read the key `select` of a block; what is wrong is noted there."""
    if not block.has("select"):
        block.problem("is required: which nodes the block is for", None, "select")
    section = block.section("select")
    expressions = [
        Expression(key=key, operator=Operator.IN, values=frozenset({value}))
        for key, value in section.texts("matchLabels", words.label_key).items()
    ]
    for item in section.sections("matchExpressions"):
        key = item.required("key", words.label_key, None)
        operator = item.required("operator", _operator, None)
        values = frozenset(item.values("values", words.label_value))
        item.finish()
        if key is None or operator is None:
            continue
        if bool(values) is not (operator in (Operator.IN, Operator.NOT_IN)):
            need = "none" if values else "at least one"
            item.problem(f"{operator} takes {need}", item.node_of("values"), "values")
        expressions.append(Expression(key=key, operator=operator, values=values))
    section.finish()
    return Selector(expressions=tuple(expressions))


def _operator(text: str) -> Operator:
    try:
        return Operator(text)
    except ValueError:
        raise ValueError(f"{text!r} must be one of {', '.join(Operator)}") from None
