"""Variables in a topology file: the environment's, and containerlab's magic words. PURE.

containerlab replaces `${NAME}` in the text of the file before it reads the YAML, and
`__clabNodeName__` and the like in binds and exec per node. The forms taken here mean the same in
both; every other `$` is refused, because containerlab would replace it (bare `$NAME`) or not
depending on who runs it.
"""

import functools
import re
from collections.abc import Mapping

_VARIABLE = re.compile(
    r"\$(?:\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<how>:-|:=|-)(?P<default>[^}]*))?\})?"
)
_MAGIC = re.compile(r"__clab[A-Za-z]+__")


def expand_variables(text: str, environment: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Replace `${NAME}`, `${NAME:-default}`, `${NAME:=default}` and `${NAME-default}`.

    Returns the text and one problem per variable that is unset without a default or written in
    another form; comments are left alone.
    """
    problems: list[str] = []

    def replace(match: re.Match[str], line: int) -> str:
        name = match["name"]
        if name is None:
            problems.append(f"line {line}: write variables as ${{NAME}} or ${{NAME:-default}}")
            return ""
        value = environment.get(name)
        if value or (value is not None and match["how"] in (None, "-")):
            return value
        if match["default"] is None:
            problems.append(f"line {line}: variable {name} is not set and has no default")
            return ""
        return match["default"]

    lines = []
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if line.lstrip().startswith("#"):
            lines.append(line)
        else:
            lines.append(_VARIABLE.sub(functools.partial(replace, line=number), line))
    return "".join(lines), tuple(dict.fromkeys(problems))


def expand_magic(text: str, *, lab: str, node: str) -> tuple[str, tuple[str, ...]]:
    """Replace `__clabNodeName__` and `__clabLabName__`; other magic words are problems."""
    values = {"__clabNodeName__": node, "__clabLabName__": lab}
    problems = tuple(
        f"{word} is not supported by this runner"
        for word in dict.fromkeys(_MAGIC.findall(text))
        if word not in values
    )
    return _MAGIC.sub(lambda match: values.get(match[0], match[0]), text), problems
