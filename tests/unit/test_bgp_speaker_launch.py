"""How the process is prepared."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path, PurePosixPath

import pytest

from bgp.nlri import Prefix
from bgp.peer import PeerError
from bgp.peer_id import PeerId
from bgp.speaker.launch import Installation, LaunchError, SpeakerProcessSettings, write
from bgp.speaker.render import render
from bgp.speaker_config import SpeakerConfig

PEER = PeerId("tor1")
TOR, NODE = ip_address("10.0.1.2"), ip_address("10.0.1.3")
ONE, TWO = Prefix.parse("10.244.1.0/24"), Prefix.parse("10.244.9.0/24")


@pytest.fixture
def open_path() -> Iterator[Path]:
    """Give a directory that other users can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


class TestLaunch:
    def test_relay_command_must_be_plain_words(self) -> None:
        config = SpeakerConfig(router_id=ip_address("10.255.1.1"))  # type: ignore[arg-type]
        assert "run /usr/bin/python3 -I /a/relay.py;" in render(
            config, (PurePosixPath("/usr/bin/python3"), "-I", "/a/relay.py")
        )
        for word in ("/a b", "/a;", "/a{", "--x=1", "", "-I;", "/a\n", "/é"):
            with pytest.raises(PeerError, match="plain path"):
                render(config, (word,))

    def test_package_out_of_reach_is_copied(
        self, open_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        private = open_path / "private"
        (private / "exabgp").mkdir(parents=True)
        private.chmod(0o700)
        (private / "exabgp" / "__init__.py").write_text("")
        monkeypatch.syspath_prepend(private)
        settings = SpeakerProcessSettings(run_dir=open_path / "speaker")

        for _ in range(2):
            installation = Installation.prepare(settings)

        assert installation.library == settings.run_dir / "lib"
        copy = installation.library / "exabgp" / "__init__.py"
        assert copy.stat().st_mode & 0o777 == 0o644
        assert settings.relay_path.stat().st_mode & 0o777 == 0o444
        assert installation.environment(settings)["PYTHONPATH"].endswith(f":{installation.library}")
        assert installation.command(settings)[0] == "setpriv"

    def test_python_out_of_reach_is_said(
        self, open_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys._base_executable", str(open_path / "python"))
        monkeypatch.setattr("bgp.speaker.launch._SYSTEM_PYTHONS", ())
        with pytest.raises(LaunchError, match="cannot run"):
            Installation.prepare(SpeakerProcessSettings(run_dir=open_path / "speaker"))

    def test_run_directory_out_of_reach_is_said(self, open_path: Path) -> None:
        (open_path / "private").mkdir(mode=0o700)
        with pytest.raises(LaunchError, match="cannot reach"):
            Installation.prepare(SpeakerProcessSettings(run_dir=open_path / "private" / "speaker"))

    def test_files_appear_whole_with_their_mode(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        write(path, b"one", 0o400)
        write(path, b"two", 0o400)

        assert path.read_bytes() == b"two"
        assert path.stat().st_mode & 0o777 == 0o400
        assert list(tmp_path.iterdir()) == [path]
