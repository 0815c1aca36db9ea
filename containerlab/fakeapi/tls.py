"""A CA and a server certificate of our own, made with the openssl program."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Paths of PEM files."""

    ca: Path
    certificate: Path
    key: Path


def make_certificates(directory: Path, names: Iterable[str]) -> Certificates:
    """Make them; *names* are the addresses and DNS names of the server."""
    directory.mkdir(parents=True, exist_ok=True)
    found = Certificates(
        ca=directory / "ca.crt", certificate=directory / "server.crt", key=directory / "server.key"
    )
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30")
    ca_key, request = directory / "ca.key", directory / "server.csr"
    _openssl(
        "req", "-x509", *key, "-subj", "/CN=fake-kubernetes-ca", "-keyout", ca_key,
        "-out", found.ca,
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip
    _openssl("req", *key[:-2], "-subj", "/CN=kube-apiserver", "-keyout", found.key, "-out", request)
    extensions = directory / "server.ext"
    extensions.write_text(
        f"subjectAltName={','.join(map(_alternative, names))}\n"
        "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"
    )
    _openssl(
        "x509", "-req", "-in", request, "-CA", found.ca, "-CAkey", ca_key, "-CAcreateserial",
        "-days", "30", "-extfile", extensions, "-out", found.certificate,
    )  # fmt: skip
    return found


def _alternative(name: str) -> str:
    try:
        return f"IP:{ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)
