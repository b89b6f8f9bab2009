"""Certificate authorities of a test's own, by python3-cryptography: good certificates, strange ones, and CRLs."""
import datetime
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(thing):
    return thing.public_bytes(serialization.Encoding.PEM)


class Certificate:
    def __init__(self, path, certificate, key, chain=()):
        """path.pem holds the certificate and its chain, path.key the private key."""
        self.certificate, self.key = certificate, key
        self.file, self.key_file = path + ".pem", path + ".key"
        with open(self.file, "wb") as f:
            f.write(b"".join(map(_pem, (certificate, *chain))))
        with open(os.open(self.key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
            f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption()))

    @property
    def der(self):
        return self.certificate.public_bytes(serialization.Encoding.DER)


class Authority:
    """A CA; of a parent, an intermediate one."""

    def __init__(self, folder, name, parent=None):
        self.folder, self.name, self.parent = folder, name, parent
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.revoked, self.count = [], 0
        issuer = parent or self
        self.certificate = (self._builder(_name(name), self.key, _name(issuer.name), days=30)
                            .add_extension(x509.BasicConstraints(True, None), critical=True)
                            .sign(issuer.key, hashes.SHA256()))

    @staticmethod
    def _builder(subject, key, issuer, days, since=-1):
        now = datetime.datetime.utcnow()
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
                .public_key(key.public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(now + since * DAY).not_valid_after(now + days * DAY))

    @property
    def pem(self):
        return _pem(self.certificate)

    def issue(self, uris=(), days=10, since=-1, usage=ExtendedKeyUsageOID.CLIENT_AUTH, chain=()):
        self.count += 1
        name = f"{self.name}-{self.count}"
        key = ec.generate_private_key(ec.SECP256R1())
        b = self._builder(_name(name), key, _name(self.name), days, since)
        b = b.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if uris:
            b = b.add_extension(x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier(u) for u in uris]), critical=False)
        return Certificate(os.path.join(self.folder, name), b.sign(self.key, hashes.SHA256()), key,
                           chain)

    def of_vin(self, vin, **how):
        return self.issue(["urn:vin:" + vin], **how)

    def revoke(self, certificate):
        self.revoked.append(getattr(certificate, "certificate", certificate).serial_number)

    def crl(self, days=1, since=-2, key=None):
        """PEM; valid from `since` to `days` from now."""
        now = datetime.datetime.utcnow()
        b = (x509.CertificateRevocationListBuilder().issuer_name(_name(self.name))
             .last_update(now + since * DAY).next_update(now + days * DAY))
        for serial in self.revoked:
            b = b.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(serial)
                                          .revocation_date(now - DAY).build())
        return _pem(b.sign(key or self.key, hashes.SHA256()))
