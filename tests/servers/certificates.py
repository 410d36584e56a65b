# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates for test servers: good ones from an authority of the test's own, and bad ones of every kind."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import ssl
import typing as t
from dataclasses import dataclass

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if t.TYPE_CHECKING:
    from pathlib import Path

LOOPBACK_NAMES = ("127.0.0.1", "::1", "localhost")

_IGNORE_UNEXPECTED_EOF = 0x80  # SSL_OP_IGNORE_UNEXPECTED_EOF; Python has a name for it since 3.12
_A_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """What a server shows, and what a client needs to believe it.

    *pem* holds the private key and then the chain, leaf first: every server here takes it for both.
    """

    pem: Path
    ca_path: Path
    fingerprint: str


class Authority:
    """A certificate authority whose files lie in one directory, ``ca.pem`` among them."""

    def __init__(self, directory: Path) -> None:
        """Make the authority anew; *directory* is made when it is missing."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._ca = trustme.CA()
        self.ca_path = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.ca_path))

    def issue(self, *names: str, file: str = "server.pem", is_expired: bool = False) -> Certificate:
        """Write a certificate for *names* (loopback's, if none are given), perhaps one that ended yesterday."""
        today = datetime.datetime.now(datetime.timezone.utc)
        leaf = self._ca.issue_cert(
            *(names or LOOPBACK_NAMES),
            not_before=today - 30 * _A_DAY,
            not_after=today - _A_DAY if is_expired else today + 365 * _A_DAY,
        )
        pem = self._directory / file
        _write_secret(pem, leaf.private_key_and_cert_chain_pem.bytes())
        return Certificate(pem, self.ca_path, fingerprint_of(leaf.cert_chain_pems[0].bytes()))


def told_of_cuts(context: ssl.SSLContext) -> ssl.SSLContext:
    """Have *context* tell an end of TLS without a farewell from one with it, as not every Python does by itself."""
    context.options &= ~ssl.Options(_IGNORE_UNEXPECTED_EOF)
    return context


def issued(directory: Path, given: Certificate | None, *, tls: bool) -> Certificate | None:
    """Return the certificate *given* to a server, else a new one below *directory*; none without *tls*."""
    if not tls:
        return None
    return given or Authority(directory / "tls").issue()


def self_signed(directory: Path, *names: str, file: str = "self-signed.pem") -> Certificate:
    """Write a certificate for *names* that vouches for itself; as its own *ca_path* it can be believed."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(key, names or LOOPBACK_NAMES).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    directory.mkdir(parents=True, exist_ok=True)
    pem, ca_path = directory / file, directory / f"public-{file}"
    _write_secret(pem, secret + certificate)
    ca_path.write_bytes(certificate)
    return Certificate(pem, ca_path, fingerprint_of(certificate))


def fingerprint_of(pem: bytes) -> str:
    """Return the SHA-256 of the first certificate's DER in *pem*, in small hexadecimal digits."""
    end = b"-----END CERTIFICATE-----"
    first = pem[pem.index(b"-----BEGIN CERTIFICATE-----") : pem.index(end) + len(end)]
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first.decode("ascii"))).hexdigest()


def _self_signed(key: ec.EllipticCurvePrivateKey, names: tuple[str, ...]) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    today = datetime.datetime.now(datetime.timezone.utc)
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - _A_DAY)
        .not_valid_after(today + 365 * _A_DAY)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(key_id, critical=False)
        .sign(key, hashes.SHA256())
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_secret(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
