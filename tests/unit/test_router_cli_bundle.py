"""`podroute support-bundle`: what is in it, and that no planted secret is."""

from __future__ import annotations

import base64
import json
import stat
import tarfile
from pathlib import Path

import pytest

from bgp.secret import Secret
from router.cli.bundle import summary
from router.cli.main import main
from router.config.file import LAST_GOOD, LastGood
from router.config.origin import Origin
from router.kube.memory import MemoryFile, Remembered
from router.model.node import SecretRef

OF_FILE, OF_SECRET = "f1le-P4ssw0rd", "s3cret-Obj3ct-w0rd"
OF_ENVIRONMENT, OF_LOG, OF_CONFLIST = "env1ronment-t0ken", "logged-t0ken-9", "conf-p4ss"
OF_OTHER = "0ther-file-w0rd"
EVERY = (OF_FILE, OF_OTHER, OF_SECRET, OF_ENVIRONMENT, OF_LOG, OF_CONFLIST)


def plant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make a node's files with secrets in all places; return the words that name the places."""
    for name in ("run", "state", "net.d"):
        (folder / name).mkdir()
    (folder / "word").write_text(f"{OF_FILE}\n")
    (folder / "config.yaml").write_text(
        f"# once it was {OF_FILE}\n"
        "node: node1\n"
        "peers:\n"
        f"  - {{name: tor1, address: 10.0.1.2, password_file: {folder}/word}}\n"
        "  - {name: tor2, address: 10.0.2.2, password_secret: {name: bgp, key: tor2}}\n"
        f"  - {{name: tor3, password: {OF_CONFLIST}}}\n"
    )
    text = f"peers: [{{name: tor4, password_file: {folder}/other}}]\nnote: {OF_OTHER}\n"
    (folder / "other").write_text(OF_OTHER)
    LastGood(folder / "state" / LAST_GOOD).save(Origin(name="ConfigMap x", text=text))
    (folder / "net.d/05-x.conflist").write_text(json.dumps({"kubeconfig_token": OF_CONFLIST}))
    remembered = Remembered(secrets={SecretRef("bgp", "tor2"): Secret(OF_SECRET)})
    MemoryFile(folder / "run/api.json").save(remembered)
    encoded = base64.b64encode(OF_SECRET.encode()).decode()
    (folder / "run/node.json").write_text(json.dumps({"note": [OF_FILE, encoded]}))
    (folder / "router.log").write_text(
        f'{{"event": "session up", "md5": "{OF_SECRET}"}}\n'
        f"12:00:00 INFO asked  authorization=Bearer {OF_LOG}xxxx\n"
        f"12:00:01 INFO set  password={OF_LOG} peer=tor1\n"
    )
    monkeypatch.setenv("PODROUTE_API_TOKEN", OF_ENVIRONMENT)
    monkeypatch.setenv("PODROUTE_NODE", "node1")
    return [
        *("--run-dir", f"{folder}/run", "--state-dir", f"{folder}/state", "support-bundle"),
        *("--config", f"{folder}/config.yaml", "--conf-dir", f"{folder}/net.d"),
        *("--log", f"{folder}/router.log", "--output", f"{folder}/bundle.tar.gz"),
    ]


def contents(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None
            found[member.name.removeprefix("podroute/")] = file.read().decode()
        return found


def test_no_planted_secret_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = plant(tmp_path, monkeypatch)
    # The control: each secret is in what is read.
    planted = "".join(p.read_text() for p in tmp_path.rglob("*") if p.is_file())
    assert all(secret in planted for secret in (OF_FILE, OF_LOG, OF_CONFLIST))
    assert main(words) == 0
    made = Path(capsys.readouterr().out.strip())
    assert made == tmp_path / "bundle.tar.gz"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    files = contents(made)
    for secret in EVERY:
        forms = (secret, base64.b64encode(secret.encode()).decode().rstrip("="))
        for name, text in files.items():
            assert not any(form in text for form in forms), (name, secret)
    assert "password_secret: {name: bgp, key: tor2}" in files["configuration/config.yaml"]
    assert f"password_file: {tmp_path}/word" in files["configuration/config.yaml"]
    assert files["configuration/in-force.yaml"].startswith(
        "# from ConfigMap x\npeers: [{name: tor4"
    )
    assert "PODROUTE_NODE=node1" in files["environment.txt"]
    assert "session up" in files["logs/0-router.log"]
    assert "net/ipv4/ip_forward" in files["kernel/sysctls.txt"].replace(".", "/")
    assert "api.json" not in "".join(files)


def test_what_could_not_be_read_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(plant(tmp_path, monkeypatch)) == 0
    unread = contents(tmp_path / "bundle.tar.gz")["not-read.txt"]
    for name in ("status.json", "peers.json", "routes-summary.json", "pods.json", "metrics.txt"):
        assert f"{name}: " in unread
    assert "doctor.json" in contents(tmp_path / "bundle.tar.gz")


def test_a_place_that_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = plant(tmp_path, monkeypatch)
    assert main([*words[:-1], "/nowhere/x.tar.gz"]) == 1
    assert "/nowhere/x.tar.gz" in capsys.readouterr().err


def test_routes_are_counted_and_those_not_in_use_named() -> None:
    route = {"paths": [1, 2], "rejected": [], "installed": True, "why_not": None, "prefix": "a"}
    lost = {**route, "prefix": "b", "installed": False, "why_not": "no accepted path"}
    lost["rejected"] = [{"peer": "tor1", "reason": "own prefix"}]
    assert summary({"routes": [route, lost]}) == {
        "prefixes": 2,
        "paths": 4,
        "installed": 1,
        "not_installed": {"b": {"why_not": "no accepted path", "rejected": ["tor1: own prefix"]}},
    }
