"""One HTTP probe, asked as kubelet does: from the node. SHELL."""

from __future__ import annotations

from containerlab.runtime.namespace import Connection
from containerlab.runtime.podspec import Object


def ask(pid: int, probe: Object, container: Object) -> tuple[bool, str]:
    """Return whether the probe succeeds from inside a process's namespace, and what was said."""
    get = probe["httpGet"]
    ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
    connection = Connection(
        pid,
        (get["host"], ports.get(get["port"], get["port"])),
        timeout_s=seconds(probe, "timeoutSeconds", 1),
    )
    try:
        connection.request("GET", get["path"])
        response = connection.getresponse()
        return 200 <= response.status < 400, response.read().decode(errors="replace").strip()
    except OSError as error:
        return False, str(error)
    finally:
        connection.close()


def seconds(probe: Object, key: str, default: float) -> float:
    """Return a number of a probe, or the API's default for it."""
    return float(probe.get(key, default))
