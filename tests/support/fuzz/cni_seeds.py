"""Well-formed inputs of the CNI server, and the words that they are made of."""

from __future__ import annotations

import struct
from typing import Final

CONFIG: Final = (
    b'{"cniVersion":"1.0.0","name":"podroute","type":"podroute","mtu":1450,"queues":2,'
    b'"antiSpoofing":true,"hostInterfacePrefix":"pod","reserved":["10.244.1.0/30"],'
    b'"dns":{"nameservers":["10.0.0.53"],"domain":"x","search":["y"],"options":["z"]},'
    b'"runtimeConfig":{"ips":["10.244.1.9/24"],"mac":"02:00:00:00:00:01",'
    b'"dns":{"servers":["10.0.0.53"],"searches":["a"],"options":["b"]}},'
    b'"args":{"cni":{"ips":["10.244.1.10"],"mac":"02-00-00-00-00-02"}}}'
)
PLAIN: Final = b'{"cniVersion":"1.1.0","name":"podroute","type":"podroute"}'
GC: Final = (
    b'{"cniVersion":"1.1.0","name":"podroute","type":"podroute","cni.dev/valid-attachments":'
    b'[{"containerID":"c1","ifname":"eth0"}],"cni.dev/attachments":[]}'
)
IPAM: Final = (
    b'{"cniVersion":"0.4.0","name":"other","type":"bridge","ipam":{"type":"podroute-ipam",'
    b'"subnets":["10.244.1.64/26"],"reserved":["10.244.1.65"],"gateways":["10.244.1.126"],'
    b'"routes":[{"dst":"0.0.0.0/0","gw":"10.244.1.126"},{"dst":"10.0.0.0/8"}]}}'
)
RESULT: Final = (
    b'{"cniVersion":"1.0.0","interfaces":[{"name":"podabc","mac":"ee:ee:ee:ee:ee:ee"},'
    b'{"name":"eth0","mac":"02:00:00:00:00:01","sandbox":"/run/netns/a"}],'
    b'"ips":[{"address":"10.244.1.1/32","gateway":"169.254.1.1","interface":1},'
    b'{"address":"fd00::1/128"}],"routes":[],"dns":{}}'
)
CHECK: Final = (
    b'{"cniVersion":"1.1.0","name":"podroute","type":"podroute","prevResult":' + RESULT + b"}"
)
FACTS: Final = (
    b'{"version":1,"generation":7,"node":"n1","pod_cidrs":["10.244.1.0/24","fd00::/64"],'
    b'"node_addresses":["10.255.1.1","fd01::1"],"mtu":1500,"ready":true,"reason":""}'
)
LEASE: Final = (
    b'{"version":1,"network":"other","container_id":"c1","ifname":"eth0",'
    b'"addresses":["10.244.1.1","fd00::1"],"since":1.5,'
    b'"sandbox":{"path":"/run/netns/a","identity":[4,5],"directory":[6,7]}}'
)
LABEL: Final = b'{"namespace":"default","pod":"web","netns":"/run/netns/a","since":1.5}'
ADD: Final = (
    b"CNI_COMMAND=ADD\0CNI_CONTAINERID=c1\0CNI_NETNS=/run/netns/a\0CNI_IFNAME=eth0\0"
    b"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAME=web;IP=10.244.1.7;MAC=02:00:00:00:00:03\0"
)
COMMANDS: Final = ("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION", "FLY")
JSON_TOKENS: Final = (
    *(b"[", b"]", b"{", b"}", b":", b",", b'"', b"null", b"true", b"-1", b"1e999", b"9" * 5000),
    *(b"[" * 2000, b'{"a":' * 1500),
    *(b'"\\ud800"', b"\xff", b"0.4.0", b"1.1.0", b"0.3.1", b"9.9.9", b"10.0.0.1", b"::1/64"),
)
KEYS: Final = tuple(
    key.encode()
    for key in (
        *("cniVersion", "name", "type", "mtu", "queues", "dns", "ipam", "args", "runtimeConfig"),
        *("prevResult", "ips", "IPs", "mac", "MAC", "Dns", "servers", "Servers", "routes", "dst"),
        *("gw", "subnets", "gateways", "reserved", "containerID", "ifname", "bandwidth", "mtuu"),
        *("portMappings", "cni.dev/valid-attachments", "cni.dev/attachments", "hostInterfacePrefx"),
        *(
            "interface",
            "interfaces",
            "address",
            "sandbox",
            "identity",
            "directory",
            "podroute-ipam",
        ),
    )
)
ENV_TOKENS: Final = (
    *(b"CNI_COMMAND=", b"CNI_CONTAINERID=", b"CNI_NETNS=", b"CNI_IFNAME=", b"CNI_ARGS=", b"\0"),
    *(
        b"CNI_IFNAME=.\0",
        b";",
        b"=",
        b"%",
        b"/",
        b"..",
        b".",
        b"\xff",
        b"\xc3\xa9",
        b" ",
        b"\xe2\x80\xa8",
        b"eth0",
    ),
    *(b"IP=10.0.0.1,::1", b"MAC=x", b"IgnoreUnknown=1", *(name.encode() for name in COMMANDS)),
)


def frame(environment: bytes, stdin: bytes, magic: bytes = b"PRS1") -> bytes:
    """Return a whole request."""
    return struct.pack("<4sII", magic, len(environment), len(stdin)) + environment + stdin


SEPARATOR: Final = b"\n\n"


def framed(call: bytes) -> bytes:
    """Return the request of a call: magic, environment, separator, stdin.

    Its lengths are always right: mutations get past the framing, which has a target of its own.
    """
    environment, _, stdin = call[4:].partition(SEPARATOR)
    return frame(environment, stdin, call[:4])


CALLS: Final = (
    *(
        b"PRS1" + ADD.replace(b"=ADD", b"=" + command.encode()) + SEPARATOR + stdin
        for command in COMMANDS
        for stdin in (PLAIN, CONFIG, GC, CHECK)
    ),
    *(
        b"PRI1" + ADD.replace(b"=ADD", b"=" + command.encode()) + SEPARATOR + IPAM
        for command in COMMANDS
    ),
    b"PRS1" + ADD.partition(b"CNI_ARGS")[0] + SEPARATOR + PLAIN,
    b"PRO1" + SEPARATOR + b"{}",
)
FRAMES: Final = (*map(framed, CALLS), frame(b"", b""), struct.pack("<II", 0, 2) + b"{}")
