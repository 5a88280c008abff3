"""Authorities and certificates for tests, and brokers that are encrypted with them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.channels.servers import HOST, mosquitto, redis_server

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.channels.servers import Server


class Authority:
    """An authority whose certificate nobody trusts who was not told to."""

    def __init__(self, folder: Path) -> None:
        trustme = pytest.importorskip("trustme", reason="needs trustme")
        folder.mkdir()
        self._folder = folder
        self._ca = trustme.CA()
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str = HOST, *, expired: bool = False) -> tuple[Path, Path]:
        """Return the files of a certificate and of its key."""
        years = (2001, 2002) if expired else (2001, 2200)
        start, end = (datetime(year, 1, 1, tzinfo=UTC) for year in years)
        issued = self._ca.issue_cert(name, not_before=start, not_after=end)
        cert, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        cert.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return cert, key


def encrypted(
    scheme: str,
    authority: Authority,
    certificate: tuple[Path, Path],
    *,
    asks_for_one: bool = False,
) -> AbstractContextManager[Server]:
    """Run a broker with this certificate, which may ask its clients for one, too."""
    cert, key = map(str, certificate)
    if scheme == "mqtt":
        return mosquitto(
            None,
            f"cafile {authority.file}",
            f"certfile {cert}",
            f"keyfile {key}",
            f"require_certificate {str(asks_for_one).lower()}",
        )
    return redis_server(
        None,
        *(
            "--tls-cert-file",
            cert,
            "--tls-key-file",
            key,
            "--tls-ca-cert-file",
            str(authority.file),
        ),
        *("--tls-auth-clients", "yes" if asks_for_one else "no"),
    )
