"""Documents that are made, or that name what is in the code, are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from router.config import reference
from router.reconcile import diagnosis

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted((*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"))
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")


def test_the_configuration_reference_is_current() -> None:
    written = (ROOT / "docs/configuration.md").read_text()
    assert written == reference.render(), (
        "python -m router.config.reference > docs/configuration.md"
    )


def test_fields_of_every_object_are_in_it() -> None:
    text = reference.render()
    for field in (
        "hold_time_s",
        "select.matchLabels",
        "services.load_balancer",
        "sessions[].state",
    ):
        assert f"| `{field}` |" in text


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target, anchor in LINK.findall(path.read_text()):
        there = (path.parent / target).resolve() if target else path
        assert there.exists(), f"{path.name}: {target}"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{path.name}: {target}#{anchor}"


def anchors(path: Path) -> set[str]:
    """Return what headings are called in links, as GitHub makes it."""
    found = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-") for each in found}


def test_every_finding_is_in_the_documents() -> None:
    folder = Path(diagnosis.__file__).parent
    source = "".join(path.read_text() for path in folder.glob("diagnosis*.py"))
    names = set(re.findall(r'Finding\(\s*"([a-z-]+)"', source))
    names |= {f"peer-{kind}" for kind in re.findall(r'\("[^"]+", "([a-z-]+)", "', source)}
    assert len(names) > 20
    written = (ROOT / "docs/operations.md").read_text()
    assert not [name for name in sorted(names) if f"`{name}`" not in written]


SNIPPET = re.compile(r"<!-- from (\S+) -->\n```\n(.*?)```", re.DOTALL)


def test_the_cookbook_shows_what_is_run() -> None:
    """Every line of a snippet stands in the fabric's file, in this order."""
    found = SNIPPET.findall((ROOT / "docs/tor-cookbook.md").read_text())
    assert len(found) == 3
    for name, snippet in found:
        lines = iter((ROOT / name).read_text().splitlines())
        for line in snippet.splitlines():
            assert line in lines, f"{name}: {line!r} is not there, or not in this order"


def test_what_was_not_run_says_so() -> None:
    text = (ROOT / "docs/tor-cookbook.md").read_text()
    below = text.partition("## Not run here")[2]
    titles = re.findall(r"^### (.+)$", below, re.MULTILINE)
    assert len(titles) == 5
    assert all(title.endswith("NOT RUN") for title in titles)
