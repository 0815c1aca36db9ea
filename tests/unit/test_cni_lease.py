"""Leases and labels: what is kept under /run."""

from __future__ import annotations

import json
import os
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from cni.attachment.alias import Addresses
from cni.attachment.identity import AttachmentKey
from cni.attachment.label import Label, make_label, parse_label, render_label
from cni.attachment.lease import (
    FileIdentity,
    Lease,
    LeaseKey,
    MalformedLeaseError,
    Sandbox,
    lease_name,
    parse_lease,
    render_lease,
)
from cni.ipam.pool import make_pool, narrow_pool
from cni.server.records import FileRecords, MemoryRecords, read_records
from cni.server.sandbox_path import find_sandbox, is_gone

KEY = LeaseKey(network="n", container_id="c" * 300, ifname="eth0")
LEASE = Lease(
    key=KEY,
    addresses=Addresses.of((ip_address("10.244.1.5"), ip_address("fd00::5"))),
    sandbox=Sandbox(
        path="/run/netns/a",
        identity=FileIdentity(device=4, inode=5),
        directory=FileIdentity(device=6, inode=7),
    ),
    since=1.5,
)


def test_a_lease_is_read_back() -> None:
    assert parse_lease(render_lease(LEASE)) == LEASE
    gateway = Lease(key=KEY, addresses=LEASE.addresses, sandbox=None, since=0)
    assert parse_lease(render_lease(gateway)) == gateway


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version": 2}',
        render_lease(LEASE).replace(b"10.244.1.5", b"10.244.1"),
        render_lease(LEASE).replace(b'["10.244.1.5", "fd00::5"]', b"[]"),
        render_lease(LEASE).replace(b"[4, 5]", b"[4]"),
        render_lease(LEASE).replace(b"[6, 7]", b"6"),
        b"[" * 100_000,
        render_lease(LEASE).replace(b'"since": 1.5', b'"since": 1' + b"0" * 400),
        render_lease(LEASE).replace(b"[4, 5]", b"[1e999, 5]"),
    ],
)
def test_what_is_no_lease_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedLeaseError):
        parse_lease(content)


def test_a_lease_is_never_a_pod_link() -> None:
    twin = AttachmentKey(network=KEY.network, container_id=KEY.container_id, ifname=KEY.ifname)
    assert twin != KEY
    assert len({KEY, twin}) == 2


def test_the_file_name_fits_whatever_the_key() -> None:
    assert len(lease_name(KEY)) < 64
    assert lease_name(KEY).isalnum()


def test_a_label_is_read_back_and_rubbish_is_an_empty_one() -> None:
    arguments = {"K8S_POD_NAMESPACE": "ns", "K8S_POD_NAME": "p" * 300}
    label = make_label(arguments, "/run/netns/a", 2.0)
    assert parse_label(render_label(label)) == label
    assert (label.namespace, len(label.pod)) == ("ns", 253)
    for content in (b"", b"[]", b"{}", json.dumps({"since": "x"}).encode()):
        assert parse_label(content) == Label()
    endless = render_label(label).replace(b"2.0", b"1" + b"0" * 400)
    for content in (endless, b"[" * 100_000):
        assert parse_label(content) == Label()


def test_records_survive_their_writer(tmp_path: Path) -> None:
    directory = tmp_path / "records"
    records = FileRecords(directory)
    records.put("a", b"1")
    records.put("a", b"2")
    records.put("b", b"3")
    records.drop("b")
    records.drop("b")
    (directory / ".half").write_bytes(b"")
    (directory / "folder").mkdir()
    assert FileRecords(directory).each() == {"a": b"2"}
    assert not (directory / ".half").exists()
    assert read_records(tmp_path / "none") == {}
    assert (directory / "a").stat().st_mode & 0o777 == 0o600
    memory = MemoryRecords()
    memory.put("a", b"1")
    memory.drop("b")
    assert memory.each() == {"a": b"1"}


class TestSandboxPath:
    def test_a_sandbox_is_gone_when_its_path_is_free_or_another_s(self, tmp_path: Path) -> None:
        path = tmp_path / "ns"
        path.write_text("")
        with path.open() as file:
            sandbox = find_sandbox(str(path), file.fileno())
            assert not is_gone(sandbox)
            path.rename(tmp_path / "old")
            assert is_gone(sandbox)
            path.write_text("")
            assert is_gone(sandbox)

    def test_nothing_is_said_from_another_tree(self, tmp_path: Path) -> None:
        path = tmp_path / "run" / "ns"
        path.parent.mkdir()
        path.write_text("")
        with path.open() as file:
            sandbox = find_sandbox(str(path), file.fileno())
        path.parent.rename(tmp_path / "hidden")
        assert not is_gone(sandbox)
        path.parent.mkdir()
        assert not is_gone(sandbox)

    def test_nothing_is_said_of_a_path_that_was_never_seen(self, tmp_path: Path) -> None:
        with (tmp_path / "ns").open("w") as file:
            for path in (str(tmp_path / "other"), "/proc/1/ns/net", "x\0y", ""):
                assert not is_gone(find_sandbox(path, file.fileno()))

    def test_a_process_takes_its_path_with_it(self) -> None:
        path = f"/proc/{os.getpid()}/ns/net"
        with Path(path).open() as file:
            sandbox = find_sandbox(path, file.fileno())
        assert sandbox.directory is not None
        assert not is_gone(sandbox)


def test_a_pool_is_narrowed_and_knows_what_was_kept_back() -> None:
    pool = make_pool(4, [ip_network("10.0.0.0/28"), ip_network("10.0.1.0/28")])
    assert pool.size == 28
    part = narrow_pool(pool, without=[ip_network("10.0.0.0/29"), ip_network("fd00::/64")])
    assert (part.size, part.reserved, part.name) == (21, 7, "10.0.0.0/28, 10.0.1.0/28")
    part = narrow_pool(pool, [ip_network("10.0.1.8/29")], [ip_network("10.0.1.9/32")])
    assert (part.size, part.reserved, part.name) == (6, 1, "10.0.1.8/29")
    assert narrow_pool(pool, [ip_network("10.9.0.0/16")]).size == 0
