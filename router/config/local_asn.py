"""Our AS number: given, or taken from a label of the node. PURE."""

from __future__ import annotations

from router.config import words
from router.config.document import Section
from router.config.surroundings import Surroundings


def read_local_asn(section: Section, surroundings: Surroundings, default: int | None) -> int:
    """Return it; without a default it must be given. What is wrong is noted in the section."""
    label = section.value("local_asn_label", words.label_key, None)
    if label is None:
        if default is None:
            return section.required("local_asn", words.asn, 1)
        return section.value("local_asn", words.asn, default)
    number = section.value("local_asn", words.asn, None)
    text = surroundings.labels.get(label)
    where = (section.node_of("local_asn_label"), "local_asn_label")
    if text is None:
        if number is None and surroundings.is_here:
            section.problem(f"the node has no label {label}, and no local_asn is given", *where)
        return number or 1
    try:
        return words.asn(text)
    except ValueError as error:
        if surroundings.is_here:
            section.problem(f"label {label} of the node: {error}", *where)
        return number or 1
