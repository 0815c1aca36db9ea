"""How to reach the API server and who we are there.

A direct address of the API server is a setting of its own: at boot the Service address
(KUBERNETES_SERVICE_HOST) only works once kube-proxy does, which may itself wait for us.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class AccessError(ValueError):
    """The API server cannot be addressed as asked; the text says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where the API server is and with what we identify ourselves."""

    server: str = ""
    """Base URL, such as https://192.0.2.10:6443; '' takes the one of `kubeconfig`."""
    token_file: Path | None = None
    """Bearer token; read again for each request if it was replaced (the kubelet rotates it)."""
    ca_file: Path | None = None
    """CA of the server's certificate; read again when it was replaced."""
    kubeconfig: Path | None = None
    """For a routed host without a service account (design D15 b)."""
    context: str = ""
    """Of the kubeconfig; '' takes its current one."""
    tls_server_name: str = ""
    """Name expected in the certificate, when it holds none for the address in `server`."""
    user_agent: str = "podroute"

    def __post_init__(self) -> None:
        if self.server:
            _check_url(self.server)
        elif self.kubeconfig is None:
            raise AccessError("no address of the API server and no kubeconfig")


def in_pod(
    environment: Mapping[str, str],
    *,
    server: str = "",
    account: Path = _ACCOUNT,
    user_agent: str = "podroute",
) -> Access:
    """Return the access of a pod's service account.

    `server` is the direct address, if one is set. Raises AccessError when there is none and
    the environment names no API server either.
    """
    if not server:
        host = environment.get("KUBERNETES_SERVICE_HOST", "")
        port = environment.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            raise AccessError("KUBERNETES_SERVICE_HOST is not set and no address is configured")
        server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Access(
        server=server,
        token_file=account / "token",
        ca_file=account / "ca.crt",
        user_agent=user_agent,
    )


def _check_url(server: str) -> None:
    parts = urlsplit(server)
    try:
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or parts.path not in ("", "/") or parts.query or parts.username:
        raise AccessError(f"{server!r} is not an address such as https://192.0.2.10:6443")
