"""``connect``: encrypted, to real brokers, with certificates that the tests make."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from beryl_groups.channels import SendFailed, connect
from tests.channels.certificates import Authority, encrypted
from tests.channels.servers import HOST, mosquitto, redis_server

if TYPE_CHECKING:
    from pathlib import Path

ENCRYPTED = {"mqtt": "mqtts", "redis": "rediss"}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def refusal(url: str, **files: Any) -> str:
    """Return why there is no connection."""
    with pytest.raises(SendFailed) as failed, connect(url, **files):
        pytest.fail("the block was entered")
    return str(failed.value)


def test_a_private_authority_is_trusted_where_it_is_given(
    scheme: str, authority: Authority
) -> None:
    """The broker's certificate is valid for its host, and its authority is `cafile`."""
    with (
        encrypted(scheme, authority, authority.issue()) as server,
        connect(f"{ENCRYPTED[scheme]}://{HOST}:{server.port}", cafile=authority.file) as channels,
    ):
        channels("room/a", "e", None)


def test_the_authorities_of_the_system_are_trusted(
    scheme: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `cafile` it is those where OpenSSL looks for them."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with (
        encrypted(scheme, authority, authority.issue()) as server,
        connect(f"{ENCRYPTED[scheme]}://{HOST}:{server.port}") as channels,
    ):
        channels("room/a", "e", None)


def test_an_authority_that_is_not_trusted_is_told(
    scheme: str, authority: Authority, tmp_path: Path
) -> None:
    """Neither nobody's nor another authority's certificate will do, and `cafile` is the remedy."""
    other = Authority(tmp_path / "other")
    with encrypted(scheme, authority, authority.issue()) as server:
        for files in ({}, {"cafile": other.file}):
            sentence = refusal(f"{ENCRYPTED[scheme]}://{HOST}:{server.port}", **files)
            assert f"{HOST}:{server.port}" in sentence
            assert "not signed by an authority that is trusted here" in sentence
            assert sentence.endswith("; a private one is given as cafile.")


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        ({"name": "example.org"}, f"its certificate is for another name than '{HOST}'; "),
        ({"expired": True}, ": its certificate has expired."),
    ],
)
def test_a_certificate_that_is_not_valid_is_told(
    scheme: str, authority: Authority, certificate: dict[str, Any], reason: str
) -> None:
    """One of another host, and one whose time is over, are refused whoever has signed them."""
    with encrypted(scheme, authority, authority.issue(**certificate)) as server:
        url = f"{ENCRYPTED[scheme]}://{HOST}:{server.port}"
        assert reason in refusal(url, cafile=authority.file)


def test_a_certificate_is_asked_for_by_the_name_that_is_given(
    scheme: str, authority: Authority
) -> None:
    """It holds where the broker is reached by an address; one of any other name does not."""
    with encrypted(scheme, authority, authority.issue("broker.example.org")) as server:
        url = f"{ENCRYPTED[scheme]}://{HOST}:{server.port}"
        with connect(url, cafile=authority.file, server_name="broker.example.org") as channels:
            channels("room/a", "e", None)
        sentence = refusal(url, cafile=authority.file, server_name="example.org")
    assert "for another name than 'example.org'" in sentence
    assert f"{HOST}:{server.port}" in sentence


@pytest.mark.parametrize("name", ["", ".example.org", "a..b", "a\0b", "\ud800"])
def test_a_server_name_that_none_can_be_is_refused_before_anything_is_connected(name: str) -> None:
    """The sentence begins with the option."""
    with (
        pytest.raises(ValueError, match=r"^server_name is the name of a host or an address, not '"),
        connect("mqtts://h", server_name=name),
    ):
        pytest.fail("the block was entered")


def test_a_broker_that_asks_for_a_certificate_gets_it(scheme: str, authority: Authority) -> None:
    """Without one the sentence says that it is missing; the key may lie in the same file."""
    with encrypted(scheme, authority, authority.issue(), asks_for_one=True) as server:
        url = f"{ENCRYPTED[scheme]}://{HOST}:{server.port}"
        sentence = refusal(url, cafile=authority.file)
        assert re.search(r"certificate of the client.*cert and key", sentence)
        cert, key = authority.issue("ada.example.org")
        with connect(url, cafile=authority.file, cert=cert, key=key) as channels:
            channels("room/a", "e", None)
        both = cert.with_suffix(".both")
        both.write_bytes(cert.read_bytes() + key.read_bytes())
        with connect(url, cafile=authority.file, cert=str(both)) as channels:
            channels("room/a", "e", None)


def test_a_certificate_that_the_broker_does_not_trust_is_told(
    scheme: str, authority: Authority, tmp_path: Path
) -> None:
    """It is the client's own that has to be another."""
    cert, key = Authority(tmp_path / "other").issue("ada.example.org")
    with encrypted(scheme, authority, authority.issue(), asks_for_one=True) as server:
        url = f"{ENCRYPTED[scheme]}://{HOST}:{server.port}"
        sentence = refusal(url, cafile=authority.file, cert=cert, key=key)
    assert re.search(r"certificate of the client \(cert", sentence)


@pytest.mark.slow
def test_a_plain_port_that_is_spoken_to_encrypted_is_told(scheme: str) -> None:
    """The sentence says which URL fits."""
    with {"mqtt": mosquitto, "redis": redis_server}[scheme]() as server:
        sentence = refusal(f"{ENCRYPTED[scheme]}://{HOST}:{server.port}", timeout=3)
    assert f"where it is not encrypted, the URL begins with {scheme}://" in sentence


def test_an_encrypted_port_that_is_spoken_to_plain_is_told(
    scheme: str, authority: Authority
) -> None:
    """The sentence says which URL may fit."""
    with encrypted(scheme, authority, authority.issue()) as server:
        sentence = refusal(f"{scheme}://{HOST}:{server.port}", timeout=3)
    assert f"where it is encrypted, the URL begins with {ENCRYPTED[scheme]}://" in sentence


@pytest.mark.parametrize("url", ["mqtt://localhost", "redis://h", "redis+unix:///s", "stdout:"])
@pytest.mark.parametrize("option", ["cafile", "cert", "key", "server_name"])
def test_options_of_encryption_do_not_go_with_what_is_not_encrypted(url: str, option: str) -> None:
    """Who gives them expects to be encrypted."""
    files: dict[str, Any] = {option: "file.pem"}
    with (
        pytest.raises(ValueError, match=rf"^{option} goes with mqtts:// and rediss:// alone, not "),
        connect(url, **files),
    ):
        pytest.fail("the block was entered")


@pytest.fixture
def files(authority: Authority, tmp_path: Path) -> dict[str, Path]:
    """Files that can be used, and some that cannot."""
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    cert, key = authority.issue()
    _, other_key = authority.issue("example.org")
    text = tmp_path / "text.pem"
    text.write_text("no certificate\n")
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        serialization.load_pem_private_key(key.read_bytes(), None).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    made = {"cert": cert, "key": key, "other": other_key, "text": text, "locked": locked}
    return made | {"missing": tmp_path / "missing.pem"}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"cafile": "missing"}, "cafile: {missing!r} cannot be read: No such file or directory."),
        ({"cafile": "text"}, "cafile: {text!r} holds no certificate in PEM format."),
        ({"cert": "missing"}, "cert: {missing!r} cannot be read: No such file or directory."),
        ({"cert": "text"}, "cert: {text!r} holds no certificate in PEM format."),
        ({"cert": "cert"}, "cert: {cert!r} holds no key beside the certificate; give it as key."),
        ({"key": "key"}, "key goes with cert, the certificate that it belongs to."),
        (
            {"cert": "cert", "key": "missing"},
            "key: {missing!r} cannot be read: No such file or directory.",
        ),
        ({"cert": "cert", "key": "text"}, "key: {text!r} holds no key in PEM format."),
        (
            {"cert": "cert", "key": "other"},
            "key: the key in {other!r} is not that of the certificate {cert!r}.",
        ),
        (
            {"cert": "cert", "key": "locked"},
            "key: the key in {locked!r} needs a password; give one that needs none.",
        ),
    ],
)
def test_a_file_of_no_use_is_named_before_anything_is_connected(
    scheme: str, given: dict[str, str], sentence: str, files: dict[str, Path]
) -> None:
    """The sentence begins with the option, and nobody is asked anything at a terminal."""
    options: dict[str, Any] = {option: files[name] for option, name in given.items()}
    with (
        pytest.raises(ValueError, match=r".") as refused,
        connect(f"{ENCRYPTED[scheme]}://h", **options),
    ):
        pytest.fail("the block was entered")
    assert str(refused.value) == sentence.format(**{name: str(at) for name, at in files.items()})
