"""Say of one path which rule judged it, and why it is not used, in an operator's words. PURE.

`policy`, `filtering` and `decision` decide fast for a hundred thousand paths and keep no reasons
that nobody asked for; here one is decided again, slowly.
"""

from __future__ import annotations

from bgp.decision import rank
from bgp.filter import Action, Filter
from bgp.filtering import matches
from bgp.nlri import Prefix
from bgp.path import Attributes, Origin, Path
from bgp.peer_id import PeerId


def ending_term(
    wanted: Filter, peer: PeerId, prefix: Prefix, attributes: Attributes
) -> tuple[int, Action] | None:
    """Return number (from 1) and action of the term that ends the filter; None: no term does."""
    for number, term in enumerate(wanted.terms, 1):
        rules = term.match.prefixes
        if rules and not any(rule.takes(prefix) for rule in rules):
            continue
        if matches(term.match, peer, attributes) and term.action is not Action.NEXT:
            return number, term.action
    return None


def why_not_chosen(path: Path, best: tuple[Path, ...], internal: frozenset[PeerId]) -> str:
    """Return why an accepted path is not among the best of its prefix; "" if it is.

    Names the first step of RFC 4271 section 9.1.2.2 at which it loses.
    """
    if not best or any(path.peer == other.peer for other in best):
        return ""
    winner = best[0]
    mine, other = rank(path, internal), rank(winner, internal)
    if mine[0] != other[0]:
        return f"local preference {-mine[0]}, {winner.peer} has {-other[0]}"
    if mine[1] != other[1]:
        return f"AS path of {mine[1]}, {winner.peer} has one of {other[1]}"
    if mine[2] != other[2]:
        return f"origin {_name(mine[2])}, {winner.peer} has {_name(other[2])}"
    for better in best:
        if better.attributes.neighboring_asn == path.attributes.neighboring_asn:
            med, lower = path.attributes.med or 0, better.attributes.med or 0
            if med > lower:
                return f"MED {med}, {better.peer} has {lower}"
    if path.peer in internal and winner.peer not in internal:
        return f"an internal peer's, {winner.peer} is external"
    return "equal, but import.multipath or multipath_as_path does not use it together with others"


def _name(origin: int) -> str:
    return Origin(origin).name.lower()
