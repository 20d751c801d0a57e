"""Certificates for both ends of a connection, as an admin makes them with ``openssl``: good ones, and such as must not be believed."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM = serialization.Encoding.PEM
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    cert: str
    key: str


class Authority:
    """Writes into a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(folder.name)
        builder = _begun(self._name, self._name, self._key, ends_in=DAY)
        ca = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.ca = str(folder / "ca.pem")
        Path(self.ca).write_bytes(ca.sign(self._key, hashes.SHA256()).public_bytes(PEM))

    def server(self, address: str, *, ends_in: timedelta = DAY) -> Pair:
        return self._issue(f"server-{address}", ExtendedKeyUsageOID.SERVER_AUTH, address, ends_in)

    def client(self, name: str, *, ends_in: timedelta = DAY) -> Pair:
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, "127.0.0.1", ends_in)

    def _issue(self, name: str, usage: x509.ObjectIdentifier, address: str, ends_in: timedelta) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = _begun(_named(name), self._name, key, ends_in=ends_in).add_extension(names, critical=False)
        signed = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False).sign(self._key, hashes.SHA256())
        pair = Pair(str(self._folder / f"{name}.pem"), str(self._folder / f"{name}.key"))
        Path(pair.cert).write_bytes(signed.public_bytes(PEM))
        plain = serialization.NoEncryption()
        Path(pair.key).write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain))
        return pair


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, ends_in: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 2 * DAY)
        .not_valid_after(now + ends_in)
    )
