from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from containerlab.netlab.errors import TopologyError
from containerlab.netlab.parse import parse_topology
from containerlab.netlab.topology import Bind, Endpoint, Link, Topology

PATH = Path("/labs/pair/pair.clab.yml")
NODE = "{kind: linux, image: alpine, network-mode: none}"
PAIR = f"""
name: pair
topology:
  nodes:
    a: {NODE}
    b: {NODE}
  links:
    - {{endpoints: ["a:eth1", "b:eth1"], mtu: 1500}}
"""


def parse(text: str, **environment: str) -> Topology:
    return parse_topology(text, PATH, environment)


def problems(text: str, **environment: str) -> tuple[str, ...]:
    with pytest.raises(TopologyError) as caught:
        parse(text, **environment)
    return caught.value.problems


def with_node(extra: str) -> str:
    """A valid file but for the one node's keys in *extra*."""
    return f"""
name: one
topology:
  defaults: {NODE}
  nodes:
    a: {extra}
"""


def test_a_small_file_is_read_whole() -> None:
    topology = parse(PAIR)
    assert (topology.name, [node.name for node in topology.nodes]) == ("pair", ["a", "b"])
    assert topology.links == (
        Link(
            a=Endpoint(node="a", interface="eth1"), b=Endpoint(node="b", interface="eth1"), mtu=1500
        ),
    )
    assert topology.nodes[0].hostname == "a"


def test_node_overrides_group_overrides_kind_overrides_defaults() -> None:
    topology = parse("""
name: levels
topology:
  defaults:
    kind: linux
    network-mode: none
    image: alpine:1
    env: {A: defaults, B: defaults, C: defaults, D: defaults}
    binds: ["d:/etc/d", "d:/etc/same"]
    exec: ["echo defaults", "echo same"]
  kinds:
    linux: {env: {B: kind, C: kind, D: kind}, exec: ["echo kind"]}
  groups:
    g: {image: alpine:2, env: {C: group, D: group}, binds: ["g:/etc/same:ro"]}
  nodes:
    a: {group: g, env: {D: 7}, hostname: other, exec: ["echo same", "sh -c 'echo x y'"]}
    b: {}
""")
    a, b = topology.nodes
    assert (a.image, b.image) == ("alpine:2", "alpine:1")
    assert (a.hostname, b.hostname) == ("other", "b")
    assert dict(a.env) == {"A": "defaults", "B": "kind", "C": "group", "D": "7"}
    assert a.binds == (
        Bind(source=Path("/labs/pair/d"), target=PurePosixPath("/etc/d"), read_only=False),
        Bind(source=Path("/labs/pair/g"), target=PurePosixPath("/etc/same"), read_only=True),
    )
    assert a.exec == (
        ("echo", "defaults"),
        ("echo", "same"),
        ("echo", "kind"),
        ("sh", "-c", "echo x y"),
    )


def test_a_link_without_mtu_has_containerlabs_default() -> None:
    assert parse(PAIR.replace(", mtu: 1500", "")).links[0].mtu == 9500


def test_variables_and_magic_words_are_replaced() -> None:
    text = with_node(
        '{image: "${IMAGE:=alpine:1}", binds: ["__clabNodeName__/f:/etc/f"],'
        ' exec: ["echo ${WORD} __clabLabName__"]}'
    )
    node = parse(text, WORD="hello").nodes[0]
    assert node.image == "alpine:1"
    assert node.binds[0].source == Path("/labs/pair/a/f")
    assert node.exec == (("echo", "hello", "one"),)


def test_accepted_keys_change_nothing() -> None:
    plain = parse(with_node("{}")).nodes
    extra = (
        "{image-pull-policy: never, restart-policy: no, privileged: true, cap-add: [NET_ADMIN],"
        " labels: {a: b}}"
    )
    assert parse(with_node(extra)).nodes == plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            with_node("{imgae: x}"),
            "node a: unknown key 'imgae' (did you mean 'image'?)",
            id="unknown node key",
        ),
        pytest.param(
            with_node("{startup-delay: 3}"),
            "node a: key 'startup-delay' is containerlab's, but this runner does not support it",
            id="unsupported node key",
        ),
        pytest.param(PAIR + "mgmt: {}\n", "key 'mgmt' is containerlab's", id="unsupported top key"),
        pytest.param(
            PAIR + "nmae: x\n", "unknown key 'nmae' (did you mean 'name'?)", id="unknown top key"
        ),
        pytest.param(
            PAIR.replace("  nodes:", "  node:"),
            "topology: unknown key 'node' (did you mean 'nodes'?)",
            id="unknown topology key",
        ),
        pytest.param(
            PAIR.replace("mtu", "mtuu"),
            "links[0]: unknown key 'mtuu' (did you mean 'mtu'?)",
            id="unknown link key",
        ),
        pytest.param(
            PAIR.replace("mtu: 1500", "ipv4: [10.0.0.1/31]"),
            "links[0]: key 'ipv4' is containerlab's",
            id="addresses on a link",
        ),
        pytest.param("name: x\n", "key 'topology' is missing", id="no topology"),
        pytest.param("topology: {nodes: {}}\nname: x\n", "topology: has no nodes", id="no nodes"),
        pytest.param(PAIR.replace("name: pair", ""), "key 'name' is missing", id="no name"),
        pytest.param(PAIR.replace("pair", "'a b'"), "name: 'a b' must be letters", id="bad name"),
        pytest.param(
            with_node("{kind: k8s-kind}"),
            "node a: kind 'k8s-kind' needs containerlab; here only 'linux' and 'bridge'",
            id="other kind",
        ),
        pytest.param(
            PAIR.replace("kind: linux, ", ""), "node a: key 'kind' is missing", id="no kind"
        ),
        pytest.param(
            PAIR.replace("image: alpine, ", ""), "node a: key 'image' is missing", id="no image"
        ),
        pytest.param(
            with_node("{image: nginx}"), "nothing stands for image 'nginx'", id="unknown image"
        ),
        pytest.param(
            PAIR.replace(", network-mode: none", ""),
            "node a: key 'network-mode' must be 'none'",
            id="management network",
        ),
        pytest.param(with_node("{group: g}"), "node a: no group 'g'", id="unknown group"),
        pytest.param(
            with_node("{image: [x]}"), "node a: image: must be text, not a list", id="image type"
        ),
        pytest.param(
            with_node("{exec: echo}"), "node a: exec: must be a list, not 'echo'", id="exec type"
        ),
        pytest.param(
            with_node("""{exec: ["echo 'x"]}"""),
            "node a: exec[0]: cannot be split into words: No closing quotation",
            id="exec quoting",
        ),
        pytest.param(
            with_node("{env: {A: [1]}}"),
            "node a: env.A: must be text or a number, not a list",
            id="env type",
        ),
        pytest.param(
            with_node("{env: 3}"), "node a: env: must be a mapping, not 3", id="env no mapping"
        ),
        pytest.param(
            with_node("{sysctls: {kernel.pid_max: 1}}"),
            "node a: sysctls: 'kernel.pid_max' is not a net.* sysctl",
            id="sysctl outside net",
        ),
        pytest.param(
            with_node("{sysctls: {net/../../x: 1}}"), "is not a net.* sysctl", id="sysctl path"
        ),
        pytest.param(
            with_node('{binds: ["x"]}'), "node a: binds[0]: must be 'source:target'", id="bind form"
        ),
        pytest.param(
            with_node('{binds: ["x:y"]}'),
            "node a: binds[0]: target 'y' must be an absolute path",
            id="bind target",
        ),
        pytest.param(
            with_node('{binds: ["x:/y:z"]}'),
            "node a: binds[0]: option 'z' is not supported",
            id="bind option",
        ),
        pytest.param(
            with_node('{binds: ["__clabNodeDir__/x:/y"]}'),
            "node a: binds: __clabNodeDir__ is not supported",
            id="magic word",
        ),
        pytest.param(
            PAIR.replace('"b:eth1"', '"c:eth1"'),
            "links[0]: endpoints: no node 'c'",
            id="unknown endpoint node",
        ),
        pytest.param(
            PAIR.replace('"b:eth1"', '"b"'),
            "links[0]: endpoints: must be 'node:interface' with a usable name, not 'b'",
            id="endpoint form",
        ),
        pytest.param(
            PAIR.replace("b:eth1", "b:sixteen-letters0"),
            "links[0]: endpoints: must be 'node:interface'",
            id="interface name too long",
        ),
        pytest.param(
            PAIR.replace("b:eth1", "a:eth1"),
            "links[0]: a:eth1 is already used by links[0]",
            id="endpoint used twice",
        ),
        pytest.param(
            PAIR.replace(', "b:eth1"', ""),
            "links[0]: endpoints: must name two endpoints",
            id="one endpoint",
        ),
        pytest.param(
            PAIR.replace("1500", "67"), "links[0]: mtu: must be 68 to 65535 bytes", id="mtu"
        ),
        pytest.param(
            PAIR.replace("1500", "true"), "links[0]: mtu: must be 68 to 65535", id="mtu type"
        ),
        pytest.param(
            PAIR.split("  links:", maxsplit=1)[0] + "  links: {}\n",
            "topology.links: must be a list",
            id="links type",
        ),
        pytest.param("[1]", "must be a mapping, not a list", id="no mapping"),
        pytest.param("", "key 'name' is missing", id="empty"),
        pytest.param("a: [", "line 1: not valid YAML", id="not YAML"),
        pytest.param("a: \x00", "not valid YAML", id="control character"),
        pytest.param("? [a]\n: b\n", "line 1: a key must be a plain word", id="compound key"),
        pytest.param(
            PAIR + "name: again\n",
            "line 9: key 'name' is already set in line 2",
            id="duplicate key",
        ),
        pytest.param(
            with_node("{image: '${X}'}"),
            "line 6: variable X is not set and has no default",
            id="unset variable",
        ),
        pytest.param(
            with_node("{exec: ['echo $HOME']}"),
            "line 6: write variables as ${NAME} or ${NAME:-default}",
            id="bare variable",
        ),
    ],
)
def test_what_is_wrong_is_said(text: str, expected: str) -> None:
    found = problems(text)
    assert any(expected in problem for problem in found), found


def test_every_problem_is_reported_at_once_with_the_file() -> None:
    with pytest.raises(TopologyError) as caught:
        parse("""
name: many
colour: blue
topology:
  nodes:
    a: {kind: linux, image: alpine, network-mode: none, exce: [x]}
    b: {kind: linux, image: nginx, network-mode: bridge}
  links:
    - {endpoints: ["a:eth1", "bb:eth1"]}
""")
    lines = str(caught.value).splitlines()
    assert [line.removeprefix(f"{PATH}: ") for line in lines] == [
        "unknown key 'colour'",
        "node a: unknown key 'exce' (did you mean 'exec'?)",
        "node b: nothing stands for image 'nginx'; this runner knows frrouting/frr, bird,"
        " gobgp, podroute-node, alpine, debian, netshoot",
        "node b: key 'network-mode' must be 'none': there is no management network here",
        "links[0]: endpoints: no node 'bb' (did you mean 'b'?)",
    ]
    assert all(line.startswith(f"{PATH}: ") for line in lines)
