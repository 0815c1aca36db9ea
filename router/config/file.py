"""Follow files that the configuration is made of. SHELL; costs a stat call a file and look."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from bgp.secret import Secret, SecretError
from router import whole_file
from router.config.origin import Origin, parse, render
from router.config.surroundings import MissingSecretError

_MAX_PASSWORD_FILE: Final = 4096


class Stamp(NamedTuple):
    """Tells two versions of a file apart; a symbolic link counts as what it points at."""

    inode: int
    size: int
    modified_ns: int


def stamp(path: Path) -> Stamp | None:
    """Return the version of a file, None if it cannot be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return Stamp(status.st_ino, status.st_size, status.st_mtime_ns)


class DocumentFile:
    """The configuration file; read again whenever it was replaced or written."""

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self.name = str(path)
        self._path = path
        self._seen: Stamp | None = None
        self._text = ""

    def text(self) -> str:
        """Return its content now. Raises OSError, which names the file and what is wrong."""
        seen = stamp(self._path)
        if seen is None or seen != self._seen:
            try:
                self._text = self._path.read_text(encoding="utf-8")
            except OSError as error:
                raise OSError(f"{self.name}: {error.strerror or error}") from error
            except UnicodeDecodeError as error:
                at = f"byte {error.start + 1} begins no character"
                raise OSError(f"{self.name}: not a text in UTF-8: {at}") from error
            self._seen = seen
        return self._text


class PasswordFiles:
    """Reads password files and notices when one of them changes."""

    def __init__(self) -> None:
        """Know of no file yet."""
        self._stamps: dict[Path, Stamp | None] = {}
        self._usable: dict[str, Secret] = {}
        """What each held last that could be used."""

    def forget(self) -> None:
        """Begin anew: only files read from now on are watched."""
        self._stamps.clear()

    def read(self, path: str) -> Secret:
        """Return the password, its first line. Raises OSError or SecretError."""
        self._stamps[Path(path)] = stamp(Path(path))
        with Path(path).open("rb") as file:
            secret = Secret(file.read(_MAX_PASSWORD_FILE).partition(b"\n")[0].rstrip(b"\r"))
        self._usable[path] = secret
        return secret

    def read_still(self, path: str) -> Secret:
        """Return the password of a configuration that was in force.

        A file that holds none changes nothing: it is what the file held before. Raises OSError, or
        MissingSecretError where it never held one.
        """
        try:
            return self.read(path)
        except SecretError as error:
            before = self._usable.get(path)
            if before is None:
                raise MissingSecretError(f"{path}: {error}") from None
            return before

    def stamps(self) -> tuple[tuple[Path, Stamp | None], ...]:
        """Return the versions of the files as they are now."""
        return tuple((path, stamp(path)) for path in sorted(self._stamps))


LAST_GOOD: Final = "configuration.json"
"""In the state directory."""


class LastGood:
    """The configuration that was in force last, in a file that survives a reboot.

    An agent that starts while there is an error in the newest one goes on with this. It holds no
    secret: they are referred to.
    """

    def __init__(self, path: Path | None) -> None:
        """None remembers nothing."""
        self._path = path
        self._written = b""

    def load(self) -> Origin | None:
        """Return it, None if there is none that can be read."""
        if self._path is None:
            return None
        try:
            return parse(self._path.read_bytes())
        except OSError:
            return None

    def save(self, origin: Origin) -> None:
        """Write it, if it differs from what was written. Raises OSError."""
        content = render(origin)
        if self._path is None or content == self._written:
            return
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        whole_file.write(self._path, content, durable=True)
        self._written = content
