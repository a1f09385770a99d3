"""An authority and the certificates it signs, as PEM files with their keys, made on the fly."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its key, both in `pem`; ``subject`` is how MongoDB names its holder."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    pem: Path

    @property
    def subject(self) -> str:
        """As RFC 4514 writes it."""
        return self.certificate.subject.rfc4514_string()


def authority(directory: Path, name: str) -> Issued:
    """A new authority."""
    return _issue(directory, name, "authority", None, password=None)


def issue(directory: Path, name: str, by: Issued, *, unit: str = "servers", password: str | None = None) -> Issued:
    """A certificate for 127.0.0.1 and localhost, for servers and clients; the key under `password`, where given."""
    return _issue(directory, name, unit, by, password=password)


def _issue(directory: Path, name: str, unit: str, by: Issued | None, *, password: str | None) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "drtool"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    now = datetime.now(UTC)
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .sign(key if by is None else by.key, hashes.SHA256())
    )
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password.encode())
    pem = directory / f"{name}.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    return Issued(certificate, key, pem)
