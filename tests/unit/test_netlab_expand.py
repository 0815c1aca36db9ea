from __future__ import annotations

import pytest

from containerlab.netlab.expand import expand_magic, expand_variables


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        pytest.param("a ${X} b", {"X": "1"}, "a 1 b", id="set"),
        pytest.param("${X}", {"X": ""}, "", id="set to nothing"),
        pytest.param("${X:-d}", {}, "d", id="default"),
        pytest.param("${X:=d e}", {}, "d e", id="assigned default"),
        pytest.param("${X:-d}", {"X": ""}, "d", id="colon: empty counts as unset"),
        pytest.param("${X-d}", {"X": ""}, "", id="no colon: empty counts as set"),
        pytest.param("${X-d}", {}, "d", id="no colon: unset"),
        pytest.param("${X:-}", {}, "", id="empty default"),
        pytest.param("${X:-a}${Y:-b}", {"Y": "2"}, "a2", id="two in a line"),
        pytest.param("  # costs $5, ${X}\nx", {}, "  # costs $5, ${X}\nx", id="comment"),
    ],
)
def test_variables(text: str, environment: dict[str, str], expected: str) -> None:
    assert expand_variables(text, environment) == (expected, ())


@pytest.mark.parametrize("text", ["$X", "$$", "${X", "${X:?no}", "${}", "${1}"])
def test_other_forms_are_refused(text: str) -> None:
    _, problems = expand_variables(f"ok\n{text}", {"X": "1"})
    assert problems == ("line 2: write variables as ${NAME} or ${NAME:-default}",)


def test_magic_words() -> None:
    text = "__clabNodeName__.__clabLabName__.__clabDir__.__clabDir__"
    assert expand_magic(text, lab="l", node="n") == (
        "n.l.__clabDir__.__clabDir__",
        ("__clabDir__ is not supported by this runner",),
    )
