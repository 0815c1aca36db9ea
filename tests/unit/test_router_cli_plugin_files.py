"""`podroute cni install` and `uninstall`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import cni.shim
from router.cli import main as cli
from router.cli.plugin_files import CONFLIST_NAME, InstallError, install, uninstall


@pytest.fixture(autouse=True)
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for the package with the compiled shim."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "podroute").write_bytes(b"\x7fELF 1")
    monkeypatch.setattr(cni.shim, "__file__", str(package / "__init__.py"))
    return package / "podroute"


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "opt" / "bin", tmp_path / "etc" / "net.d"


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_install_places_everything_and_then_nothing(places: tuple[Path, Path]) -> None:
    binaries, configurations = places
    first = install(binaries, configurations, None)
    assert len(first.changes) == 3
    assert first.warnings == ()
    assert names(binaries) == ["podroute", "podroute-ipam"]
    assert all((binaries / name).stat().st_mode & 0o7777 == 0o755 for name in names(binaries))
    assert names(configurations) == [CONFLIST_NAME]
    body = json.loads((configurations / CONFLIST_NAME).read_bytes())
    assert (body["cniVersion"], body["name"]) == ("1.0.0", "podroute")
    assert [plugin["type"] for plugin in body["plugins"]] == ["podroute"]
    inode = (binaries / "podroute").stat().st_ino
    assert install(binaries, configurations, None).changes == ()
    assert (binaries / "podroute").stat().st_ino == inode


def test_an_upgrade_replaces_what_changed(places: tuple[Path, Path], shim: Path) -> None:
    binaries, configurations = places
    install(binaries, configurations, None)
    running = (binaries / "podroute").open("rb")
    shim.write_bytes(b"\x7fELF 2")
    assert len(install(binaries, configurations, None).changes) == 2
    # By rename: whoever executes the old one keeps it.
    with running:
        assert running.read() == b"\x7fELF 1"
    assert (binaries / "podroute-ipam").read_bytes() == b"\x7fELF 2"


def test_portmap_is_chained_where_the_node_has_it(places: tuple[Path, Path]) -> None:
    binaries, configurations = places
    binaries.mkdir(parents=True)
    (binaries / "portmap").write_text("")
    install(binaries, configurations, None)
    body = json.loads((configurations / CONFLIST_NAME).read_bytes())
    assert [plugin["type"] for plugin in body["plugins"]] == ["podroute", "portmap"]


@pytest.mark.parametrize("name", ["00-other.conf", "04-x.conflist", "05-a.json"])
def test_a_configuration_that_comes_first_is_warned_of(
    places: tuple[Path, Path], name: str
) -> None:
    binaries, configurations = places
    configurations.mkdir(parents=True)
    (configurations / name).write_text("{}")
    (configurations / "10-later.conflist").write_text("{}")
    (configurations / "00-readme.txt").write_text("")
    (warning,) = install(binaries, configurations, None).warnings
    assert name in warning


def test_the_operator_s_own_conflist(places: tuple[Path, Path], tmp_path: Path) -> None:
    binaries, configurations = places
    own = tmp_path / "own.conflist"
    plugins = [{"type": "podroute", "mtu": 9000}, {"type": "bandwidth"}]
    own.write_text(json.dumps({"cniVersion": "1.0.0", "name": "n", "plugins": plugins}))
    (warning,) = install(binaries, configurations, own).warnings
    assert "bandwidth" in warning
    assert (configurations / CONFLIST_NAME).read_bytes() == own.read_bytes()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "no network configuration list"),
        ("[]", "no network configuration list"),
        ('{"plugins": []}', "no network configuration list"),
        ('{"plugins": [{"type": "ptp"}]}', "must be podroute"),
        ('{"plugins": [{"type": "podroute", "mtu": 7}]}', "mtu: 7"),
        ('{"plugins": [{"type": "podroute", "reserve": []}]}', "did you mean reserved"),
    ],
)
def test_a_wrong_conflist_changes_nothing(
    places: tuple[Path, Path], tmp_path: Path, content: str, named: str
) -> None:
    own = tmp_path / "own.conflist"
    own.write_text(content)
    with pytest.raises(InstallError, match=named):
        install(*places, own)
    assert not places[0].exists()


def test_without_a_shim_nothing_is_changed(places: tuple[Path, Path], shim: Path) -> None:
    shim.unlink()
    with pytest.raises(InstallError, match=r"cni\.shim\.build"):
        install(*places, None)
    assert not places[1].exists()


def test_uninstall_leaves_what_others_have(places: tuple[Path, Path]) -> None:
    binaries, configurations = places
    install(binaries, configurations, None)
    (binaries / "loopback").write_text("")
    (configurations / "10-other.conflist").write_text("{}")
    assert len(uninstall(binaries, configurations)) == 3
    assert uninstall(binaries, configurations) == ()
    assert (names(binaries), names(configurations)) == (["loopback"], ["10-other.conflist"])
    shutil.rmtree(configurations)
    assert uninstall(binaries, configurations) == ()


def test_the_command_line(places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--bin-dir", str(places[0]), "--conf-dir", str(places[1])]
    assert cli.main(["cni", "install", *arguments]) == 0
    assert "podroute-ipam" in capsys.readouterr().out
    assert cli.main(["cni", "install", *arguments]) == 0
    assert "everything is in place" in capsys.readouterr().out
    assert cli.main(["cni", "install", *arguments, "--conflist", "/none"]) == 1
    assert "/none" in capsys.readouterr().err
    assert cli.main(["cni", "uninstall", *arguments]) == 0
    assert cli.main(["cni", "uninstall", *arguments]) == 0
    assert "nothing was there" in capsys.readouterr().out
