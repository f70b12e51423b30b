"""A certificate authority for the control plane, with P-256 keys in a folder."""

import datetime as dt
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = dt.timedelta(days=1)
# All programs use one clock; the margin is for certificates that are used within the second of their creation.
_BACKDATED = dt.timedelta(minutes=1)
_LOOPBACK = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its key as PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates and writes them to one folder. Clients must trust `certificate`."""

    folder: Path
    name: str
    certificate: Path
    _key: ec.EllipticCurvePrivateKey
    _subject: x509.Name

    @classmethod
    def create(cls, folder: Path, name: str) -> Self:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(name, ())
        signed = (
            _unsigned(subject, subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        path = folder / f"{name}.crt"
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        return cls(folder, name, path, key, subject)

    def issue(
        self, common_name: str, *, groups: Iterable[str] = (), hosts: Iterable[str] = ()
    ) -> Identity:
        """Sign a certificate for a user in `groups`, valid as a server certificate for loopback and `hosts`."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_general_name(host) for host in (*_LOOPBACK, *hosts)])
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        signed = (
            _unsigned(_subject(common_name, groups), self._subject, key.public_key())
            .add_extension(names, critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        stem = f"{self.name}-{common_name.replace(':', '-')}"
        certificate = self.folder / f"{stem}.crt"
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        return Identity(certificate, write_key(key, self.folder / f"{stem}.key"))


def write_key(key: ec.EllipticCurvePrivateKey, path: Path) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def signing_pair(folder: Path, name: str) -> Identity:
    """Write the private and public key that sign and verify the tokens of service accounts."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = folder / f"{name}.pub"
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return Identity(public, write_key(key, folder / f"{name}.key"))


def _subject(common_name: str, groups: Iterable[str]) -> x509.Name:
    # Kubernetes reads the user from the common name and the groups from the organisations.
    organisations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organisations, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _unsigned(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _LIFETIME)
    )
