"""A private key with a certificate that it signed itself: whoever has both is let in, by both ends of a connection (mutual TLS)."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

YEARS = 10
"""Longer than any execution; who ends it takes the certificate away with it."""


def new_certificate() -> str:
    """Both as one PEM text, key first; a program may name the same file as authority, certificate and key."""
    # Imported at the first use: only few applications have certificates.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "zoe")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    as_pem, unencrypted = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(as_pem, serialization.PrivateFormat.PKCS8, unencrypted)
    return (private + certificate.public_bytes(as_pem)).decode("ascii")
