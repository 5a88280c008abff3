"""Whom an encrypted connection trusts, and what it shows of itself; and sentences where it fails.

A certificate is always verified, its name and its dates as well: there is no way to leave it out.
"""

from __future__ import annotations

import os
import re
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from beryl_groups.lines import reason_of
from beryl_groups.names import shown

if TYPE_CHECKING:
    import socket
    from os import PathLike

ENCRYPTED = {"mqtts", "rediss"}
_OTHER = {"mqtt": "mqtts", "redis": "rediss", "mqtts": "mqtt", "rediss": "redis"}
_REASONS = {
    "certificate has expired": "its certificate has expired",
    "certificate is not yet valid": "its certificate is not valid yet; is the clock here right?",
    "mismatch, certificate is not valid for": "its certificate is for another name than {host!r}; "
    "the one that it has to bear can be given as server_name",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not signed by an authority that is trusted "
    "here ({detail}); a private one is given as cafile",
    "CERTIFICATE_REQUIRED": "it asks for a certificate of the client: give cert and key",
    "alert (unknown ca|bad certificate|certificate unknown)": "it does not trust the certificate "
    "of the client (cert)",
    "alert certificate expired": "the certificate of the client (cert) has expired",
    "alert handshake failure": "it refuses the encryption; it may ask for a certificate of the "
    "client: give cert and key",
    # Since TLS 1.3 a server reads the client's certificate when it has been connected.
    "(on|to|from) socket.*(EOF|reset|pipe)": "it has closed the connection; it may ask for "
    "another certificate of the client (cert and key)",
    "WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|EOF|packet length too long": "it does not speak TLS "
    "at this port",
}
"""What OpenSSL says, and what a user can make of it; the first that fits."""


class WrongOption(ValueError):  # noqa: N818 - named as the other errors of the package are
    """An option of `connect` that cannot be used; ``option`` is its name."""

    def __init__(self, option: str, sentence: str) -> None:
        super().__init__(sentence)
        self.option = option


class _Socket(ssl.SSLSocket):
    """One that does not stay open where the handshake fails, as those of paho-mqtt do."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class Encryption(NamedTuple):
    """What was given for an encrypted connection; without ``cafile`` the system's authorities."""

    cafile: str | None = None
    cert: str | None = None
    key: str | None = None
    server_name: str | None = None

    def refuse_for(self, scheme: str) -> None:
        """Raise where the URL is of a kind that is not encrypted."""
        for option, given in self._asdict().items():
            if given is not None:
                raise WrongOption(
                    option, f"{option} goes with mqtts:// and rediss:// alone, not with {scheme}:."
                )

    def context(self) -> ssl.SSLContext:
        """Return what verifies the peer, or raise for the first option that is of no use."""
        context = ssl.create_default_context()
        context.sslsocket_class = _Socket
        if self.server_name is not None:
            _ask_for(self.server_name, context)
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


def _ask_for(name: str, context: ssl.SSLContext) -> None:
    """Have a certificate of this name asked for, where the clients ask for that of their host."""
    try:
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)
    except (ValueError, TypeError) as error:
        sentence = f"server_name is the name of a host or an address, not {shown(name)}."
        raise WrongOption("server_name", sentence) from error
    wrap: Any = context.wrap_socket

    def wrap_socket(connected: socket.socket, **options: Any) -> Any:
        return wrap(connected, **(options | {"server_hostname": name}))

    context.wrap_socket = wrap_socket  # type: ignore[assignment, method-assign]


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


def encryption(
    cafile: str | PathLike[str] | None,
    cert: str | PathLike[str] | None,
    key: str | PathLike[str] | None,
    server_name: str | None,
) -> Encryption:
    """Take the names of files of any kind."""
    if not isinstance(server_name, str | None):
        raise TypeError(f"server_name is a str, not {shown(server_name)}.")
    return Encryption(_path(cafile), _path(cert), _path(key), server_name)


def _path(file: str | PathLike[str] | None) -> str | None:
    return None if file is None else os.fspath(file)


def other_way(scheme: str) -> str:
    """Return what to try where a peer cannot be understood.

    >>> other_way("mqtt")
    ' (where it is encrypted, the URL begins with mqtts://)'
    """
    if scheme not in _OTHER:
        return ""
    negation = "not " if scheme in ENCRYPTED else ""
    return f" (where it is {negation}encrypted, the URL begins with {_OTHER[scheme]}://)"


def reason_of_tls(said: str, host: str) -> str | None:
    """Return what a user can make of what OpenSSL has said; ``None`` where it is no more than that.

    >>> reason_of_tls("[SSL] certificate verify failed: certificate has expired", "localhost")
    'its certificate has expired'
    """
    for pattern, reason in _REASONS.items():
        if re.search(pattern, said, re.IGNORECASE):
            detail = re.search(r"verify failed: ([^(]*[^( ])", said)
            return reason.format(host=host, detail=detail[1] if detail else "not verified")
    return None
