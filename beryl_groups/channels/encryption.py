"""Whom an encrypted connection trusts, and what it shows of itself; and sentences where it fails.

A certificate is always verified, its name and its dates as well: there is no way to leave it out.
"""

from __future__ import annotations

import os
import re
import ssl
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from beryl_groups.lines import reason_of

if TYPE_CHECKING:
    from os import PathLike

_NO_TLS = "it does not speak TLS at this port"
_PLAIN = {"mqtts": "mqtt", "rediss": "redis"}
_REASONS = {
    "certificate has expired": "its certificate has expired",
    "certificate is not yet valid": "its certificate is not valid yet; is the clock here right?",
    "mismatch, certificate is not valid for": "its certificate is for another name than {host!r}",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not signed by an authority that is trusted "
    "here ({detail}); a private one is given as cafile",
    "CERTIFICATE_REQUIRED": "it asks for a certificate of the client: give cert and key",
    "alert (unknown ca|bad certificate|certificate unknown)": "it does not trust the certificate "
    "of the client (cert)",
    "alert certificate expired": "the certificate of the client (cert) has expired",
    "alert handshake failure": "it refuses the encryption; it may ask for a certificate of the "
    "client: give cert and key",
    "WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|UNEXPECTED_EOF|packet length too long": _NO_TLS,
}
"""What OpenSSL says, and what a user can make of it; the first that fits."""


class WrongOption(ValueError):  # noqa: N818 - named as the other errors of the package are
    """An option of `connect` that cannot be used; ``option`` is its name."""

    def __init__(self, option: str, sentence: str) -> None:
        super().__init__(sentence)
        self.option = option


class Certificates(NamedTuple):
    """The files of an encrypted connection; without ``cafile`` the system's authorities alone."""

    cafile: str | None
    cert: str | None
    key: str | None

    def refuse_for(self, scheme: str) -> None:
        """Raise where the URL is of a kind that is not encrypted."""
        for option, file in self._asdict().items():
            if file is not None:
                raise WrongOption(
                    option, f"{option} goes with mqtts:// and rediss:// alone, not with {scheme}:."
                )

    def context(self) -> ssl.SSLContext:
        """Return what verifies the peer, or raise for the first file that is of no use."""
        context = ssl.create_default_context()
        if self.cafile is not None:
            try:
                context.load_verify_locations(self.cafile)
            except (OSError, ssl.SSLError) as error:
                _refuse("cafile", self.cafile, "certificate", error)
        if self.cert is None and self.key is not None:
            raise WrongOption("key", "key goes with cert, the certificate that it belongs to.")
        if self.cert is not None:
            _refuse_unreadable("cert", self.cert)
            if self.key is not None:
                _refuse_unreadable("key", self.key)
            try:
                context.load_cert_chain(self.cert, self.key, _refuse_to_ask)
            except _EncryptedKey:
                option, file = ("key", self.key) if self.key is not None else ("cert", self.cert)
                raise WrongOption(
                    option,
                    f"{option}: the key in {file!r} needs a password; give one that needs none.",
                ) from None
            except (OSError, ssl.SSLError) as error:
                if "KEY_VALUES_MISMATCH" in str(error):
                    sentence = (
                        f"the key in {self.key!r} is not that of the certificate {self.cert!r}"
                    )
                    raise WrongOption("key", f"key: {sentence}.") from error
                _refuse_chain(self.cert, self.key, error)
        return context


class _EncryptedKey(Exception):  # noqa: N818 - never leaves this module
    pass


def _refuse_to_ask() -> NoReturn:
    """Stand in for OpenSSL's question on the terminal, which nobody may sit at."""
    raise _EncryptedKey


def _refuse_unreadable(option: str, file: str) -> None:
    try:
        with open(file, "rb"):  # noqa: PTH123 - nothing but whether it can be
            pass
    except OSError as error:
        _refuse(option, file, "", error)


def _refuse(option: str, file: str, content: str, error: OSError) -> NoReturn:
    # An SSLError is an OSError, too, but speaks of the content.
    reason = (
        f"holds no {content} in PEM format"
        if isinstance(error, ssl.SSLError)
        else f"cannot be read: {error.strerror or reason_of(error)}"
    )
    raise WrongOption(option, f"{option}: {file!r} {reason}.") from error


def _refuse_chain(cert: str, key: str | None, error: OSError) -> NoReturn:
    """Say which of the two files is at fault."""
    try:
        ssl.create_default_context().load_verify_locations(cert)
    except (OSError, ssl.SSLError) as cause:
        _refuse("cert", cert, "certificate", cause)
    if key is None:
        raise WrongOption(
            "cert", f"cert: {cert!r} holds no key beside the certificate; give it as key."
        ) from error
    _refuse("key", key, "key", error)


def certificates(
    cafile: str | PathLike[str] | None,
    cert: str | PathLike[str] | None,
    key: str | PathLike[str] | None,
) -> Certificates:
    """Take the names of files of any kind."""
    return Certificates(
        *(None if file is None else os.fspath(file) for file in (cafile, cert, key))
    )


def reason_of_tls(said: str, scheme: str, host: str) -> str | None:
    """Return what a user can make of what OpenSSL has said, or ``None`` where it was not OpenSSL.

    >>> reason_of_tls("[SSL: WRONG_VERSION_NUMBER] wrong version number", "mqtts", "localhost")
    'it does not speak TLS at this port (without it the URL begins with mqtt://)'
    """
    for pattern, reason in _REASONS.items():
        if re.search(pattern, said, re.IGNORECASE):
            if reason == _NO_TLS:
                return f"{reason} (without it the URL begins with {_PLAIN[scheme]}://)"
            detail = re.search(r"verify failed: ([^(]*[^( ])", said)
            return reason.format(host=host, detail=detail[1] if detail else "not verified")
    return None
