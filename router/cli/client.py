"""Ask the route agent over its unix socket."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any, Final

_TIMEOUT_S: Final = 30.0
_OK: Final = 200


class AgentUnreachableError(Exception):
    """The agent did not answer; the text says in plain words what that means."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP to a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class LocalClient:
    """The agent of this node."""

    def __init__(self, run_dir: Path) -> None:
        """Connect at each call."""
        self._path = run_dir / "router.sock"

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON object at `path`. Raises AgentUnreachableError."""
        return self._call("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a command. Raises AgentUnreachableError."""
        return self._call("POST", path, json.dumps(body))

    def _call(self, method: str, path: str, body: str | None) -> dict[str, Any]:
        connection = UnixConnection(self._path)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise AgentUnreachableError(
                f"the route agent does not run on this node (no answer at {self._path}).\n"
                "Pods stay as they are. Peers keep its routes for graceful_restart_s (120 s by"
                " default),\nthen drop them: start it before that."
            ) from error
        except PermissionError as error:
            raise AgentUnreachableError(
                f"only root may ask the route agent ({self._path}); run it as root"
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise AgentUnreachableError(
                f"the route agent runs but does not answer at {self._path}: {error}"
            ) from error
        finally:
            connection.close()
        if response.status != _OK:
            raise AgentUnreachableError(str(answer.get("error", response.reason)))
        if not isinstance(answer, dict):
            raise AgentUnreachableError("the agent's answer is not a JSON object")
        return answer
