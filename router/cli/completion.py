"""`podroute completion bash|zsh|fish`: a script made from the commands' own parser."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command, or the program itself, as a shell needs to know it."""

    path: tuple[str, ...]
    commands: tuple[str, ...]
    """What may follow it."""
    options: tuple[str, ...]
    values: dict[str, tuple[str, ...]]
    """Option -> its choices; () is any word, a file most likely."""
    positional: tuple[str, ...] = ()
    """Choices of its first argument."""


def add_completion(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    completion = commands.add_parser(
        "completion",
        help="print what makes a shell complete podroute's words",
        description="For this session: `source <(podroute completion bash)`. For all: put the"
        " output into /etc/bash_completion.d/podroute; for fish, into"
        " ~/.config/fish/completions/podroute.fish. zsh uses the script for bash.",
    )
    completion.add_argument("shell", choices=tuple(_SHELLS))
    completion.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from router.cli.cluster import cluster_parser
    from router.cli.main import CLUSTER, parser_of

    root, *others = walk(parser_of("podroute"))
    root = replace(root, commands=(*root.commands, CLUSTER))
    cluster = walk(cluster_parser("podroute", ""), (CLUSTER,))
    print(_SHELLS[options.shell]([root, *others, *cluster]))
    return 0


def walk(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[Command]:
    """Give the parser and all below it."""
    options: list[str] = []
    values: dict[str, tuple[str, ...]] = {}
    below: dict[str, argparse.ArgumentParser] = {}
    positional: tuple[str, ...] = ()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below = dict(action.choices)
        elif action.option_strings:
            if action.help is argparse.SUPPRESS:
                continue
            options += action.option_strings
            if action.nargs != 0:
                values |= dict.fromkeys(action.option_strings, _choices(action))
        elif not positional:
            positional = _choices(action)
    yield Command(
        path=path,
        commands=tuple(below),
        options=tuple(options),
        values=values,
        positional=positional,
    )
    for name, each in below.items():
        yield from walk(each, (*path, name))


def _choices(action: Any) -> tuple[str, ...]:
    return tuple(map(str, action.choices or ()))


_BASH: Final = """\
# bash completion for podroute; made by `podroute completion bash`
_podroute() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" path="" word index
    local skip=""
    COMPREPLY=()
    for ((index = 1; index < COMP_CWORD; index++)); do
        word="${{COMP_WORDS[index]}}"
        if [[ -n $skip ]]; then skip=""; continue; fi
        case "$path $word" in
{takes_value}
        esac
        case "$path/$word" in
{descend}
        esac
    done
    if [[ -n $skip ]]; then
        case "$path $skip" in
{values}
            *) COMPREPLY=($(compgen -f -- "$current")) ;;
        esac
        return
    fi
    case "$path" in
{words}
    esac
}}
complete -F _podroute podroute
complete -F _podroute kubectl-podroute"""


def bash(commands: list[Command]) -> str:
    """Return the script for bash."""
    takes_value, descend, values, words = [], [], [], []
    for command in commands:
        path = "/".join(command.path)
        key = f"/{path}" if path else ""
        if command.values:
            names = "|".join(shlex.quote(f"{key} {name}") for name in command.values)
            takes_value.append(f'            {names}) skip="$word" ;;')
        for name in command.commands:
            descend.append(f"            {shlex.quote(f'{key}/{name}')}) path={key}/{name} ;;")
        for name, choices in command.values.items():
            if choices:
                listed = f'COMPREPLY=($(compgen -W "{" ".join(choices)}" -- "$current"))'
                values.append(f"            {shlex.quote(f'{key} {name}')}) {listed} ;;")
        every = " ".join((*command.commands, *command.positional, *command.options))
        plain = " ".join((*command.commands, *command.positional))
        body = f'if [[ $current == -* ]]; then COMPREPLY=($(compgen -W "{every}" -- "$current"))'
        body += f'; else COMPREPLY=($(compgen -W "{plain}" -- "$current")); fi'
        words.append(f"        {shlex.quote(key)}) {body} ;;")
    return _BASH.format(
        takes_value="\n".join(takes_value),
        descend="\n".join(descend),
        values="\n".join(values),
        words="\n".join(words),
    )


def zsh(commands: list[Command]) -> str:
    """Return the script for zsh, which can read bash's."""
    return "#compdef podroute\nautoload -U +X bashcompinit && bashcompinit\n" + bash(commands)


def fish(commands: list[Command]) -> str:
    """Return the script for fish: a line for each word, on condition of the words before."""
    lines = ["# fish completion for podroute", "complete -c podroute -f"]
    every = sorted({name for command in commands for name in command.commands})
    for command in commands:
        seen = [f"__fish_seen_subcommand_from {name}" for name in command.path[-1:]]
        if command.commands:
            seen.append(f"not __fish_seen_subcommand_from {' '.join(command.commands)}")
        if not command.path:
            seen = [f"not __fish_seen_subcommand_from {' '.join(every)}"]
        where = f"-n '{'; and '.join(seen)}'"
        for name in (*command.commands, *command.positional):
            lines.append(f"complete -c podroute {where} -a {name}")
        for option in command.options:
            kind = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            takes = command.values.get(option)
            if takes is not None:
                kind += f" -x -a '{' '.join(takes)}'" if takes else " -r -F"
            lines.append(f"complete -c podroute {where} {kind}")
    return "\n".join(lines)


_SHELLS: Final[dict[str, Callable[[list[Command]], str]]] = {
    "bash": bash,
    "zsh": zsh,
    "fish": fish,
}
