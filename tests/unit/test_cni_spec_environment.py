from __future__ import annotations

import pytest

from cni.spec.environment import Command, parse_environment
from cni.spec.errors import InvalidEnvironmentError

GOOD = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "abc-1_2.3",
    "CNI_NETNS": "/run/netns/x",
    "CNI_IFNAME": "eth0",
}


def test_a_complete_environment_is_taken_as_it_is() -> None:
    environment = parse_environment({**GOOD, "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAME=a;"})
    assert environment.command is Command.ADD
    assert environment.container_id == "abc-1_2.3"
    assert environment.netns == "/run/netns/x"
    assert environment.ifname == "eth0"
    assert environment.args == {"IgnoreUnknown": "1", "K8S_POD_NAME": "a"}


@pytest.mark.parametrize(
    ("changes", "variables"),
    [
        pytest.param({"CNI_COMMAND": ""}, {"CNI_COMMAND"}, id="no command"),
        pytest.param({"CNI_COMMAND": "add"}, {"CNI_COMMAND"}, id="command in lower case"),
        pytest.param({"CNI_CONTAINERID": ""}, {"CNI_CONTAINERID"}, id="no container id"),
        pytest.param({"CNI_CONTAINERID": "-a"}, {"CNI_CONTAINERID"}, id="id begins with dash"),
        pytest.param({"CNI_CONTAINERID": "a b"}, {"CNI_CONTAINERID"}, id="id with space"),
        pytest.param({"CNI_CONTAINERID": "a\n"}, {"CNI_CONTAINERID"}, id="id with newline"),
        pytest.param({"CNI_IFNAME": "a" * 16}, {"CNI_IFNAME"}, id="ifname of 16"),
        pytest.param({"CNI_IFNAME": "é" * 8}, {"CNI_IFNAME"}, id="ifname of 16 bytes"),
        pytest.param({"CNI_IFNAME": ".."}, {"CNI_IFNAME"}, id="ifname dots"),
        pytest.param({"CNI_IFNAME": "a/b"}, {"CNI_IFNAME"}, id="ifname with slash"),
        pytest.param({"CNI_IFNAME": "a:b"}, {"CNI_IFNAME"}, id="ifname with colon"),
        pytest.param({"CNI_IFNAME": "a b"}, {"CNI_IFNAME"}, id="ifname with space"),
        pytest.param({"CNI_IFNAME": "eth%d"}, {"CNI_IFNAME"}, id="ifname the kernel numbers"),
        pytest.param({"CNI_IFNAME": "\udcff"}, {"CNI_IFNAME"}, id="ifname not UTF-8"),
        pytest.param({"CNI_ARGS": "=1;a"}, {"CNI_ARGS"}, id="args"),
        pytest.param(
            {"CNI_CONTAINERID": "", "CNI_NETNS": "", "CNI_IFNAME": ""},
            {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"},
            id="all of them named",
        ),
    ],
)
def test_every_wrong_variable_is_named(changes: dict[str, str], variables: set[str]) -> None:
    with pytest.raises(InvalidEnvironmentError) as caught:
        parse_environment(GOOD | changes)
    assert set(caught.value.variables) == variables
    assert caught.value.code == 4
    assert all(name in str(caught.value) for name in variables)


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("ADD", {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"}),
        ("CHECK", {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"}),
        ("DEL", {"CNI_CONTAINERID", "CNI_IFNAME"}),
    ],
)
def test_what_each_command_needs(command: str, needed: set[str]) -> None:
    with pytest.raises(InvalidEnvironmentError) as caught:
        parse_environment({"CNI_COMMAND": command})
    assert set(caught.value.variables) == needed


@pytest.mark.parametrize("command", ["GC", "STATUS", "VERSION"])
def test_commands_without_an_attachment_need_nothing_else(command: str) -> None:
    variables = {"CNI_COMMAND": command, "CNI_IFNAME": "not/checked", "CNI_CONTAINERID": "!"}
    assert parse_environment(variables).command == command


def test_a_del_does_not_need_the_sandbox() -> None:
    assert parse_environment({**GOOD, "CNI_COMMAND": "DEL", "CNI_NETNS": ""}).netns == ""
