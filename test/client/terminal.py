"""An independent terminal: writes, signs and encrypts units from the byte tables of the standards.

Nothing here comes from the C code.  SM2 is test/lib/sm2.py (written from GB/T 32918), RSA, ECDSA, AES
and SM4 are Debian's python3-cryptography.  PROTOCOLS, SIGNATURES and CIPHERS are what test_matrix.py
takes each combination of.
"""
import os
import struct
import sys

from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import haulgate_wire as wire  # noqa: E402
import sm2  # noqa: E402

DEFAULT_USER = "1234567812345678"
CHIP = "CHIP%012d"


class Protocol:
    """bytes: what its encryption byte says.  signatures: those that it defines, by name."""

    def __init__(self, name, start, header, layout, codes, signatures, samples=3):
        self.name, self.start, self.header, self.layout = name, start, header, layout
        self.codes, self.signatures, self.samples = codes, signatures, samples

    def frame(self, command, unit, vin, encryption=1):
        if self.header == "V":
            # Version 06: by it a terminal says that its ## is HJ 1239.
            return wire.frame_v(command, unit, vin, version=6 if self.layout == "C" else 1,
                                encryption=encryption, start=self.start)
        return wire.frame_p(command, unit, vin, encryption=encryption, start=self.start)

    def login_unit(self, at):
        unit = wire.time6(at) + struct.pack(">H", 1) + b"89860000000000000001"
        return unit if self.header == "V" else unit + (b"\0" if self.start == b"$$" else b"\1\0")

    def report_unit(self, at):
        stream = [b"\2", wire.stream_body]
        if self.layout == "A":
            return wire.time6(at) + b"".join(
                b"\2" + struct.pack(">H", 1) + wire.stream_body(40 + i) for i in range(self.samples))
        if self.layout == "B+sig":
            place = b"\x20" + b"\x11" * 32 + b"\x20" + b"\x22" * 32
            return wire.time6(at) + struct.pack(">H", 1) + b"".join(
                stream[0] + stream[1](40 + i) + place for i in range(self.samples))
        if self.layout == "C":
            return wire.unit_c(at, self.samples)
        if self.layout == "EV":
            return wire.time6(at) + b"\1" + wire.ev_vehicle_body()
        return wire.time6(at) + b"\1" + ev_2025_vehicle_body()


def ev_2025_vehicle_body():
    """GB/T 32960.3-2025 type 01, 18 bytes: no pedals, current with an offset of 3,000 A."""
    return struct.pack(">BBBHIHHBBBH", 1, 3, 1, 0, 1234, 3500, 30000, 80, 1, 0, 500)


GB = {"rsa": 2, "sm2": 3, "sm4": 4, "aes128": 5}
HJ = {"sm2": 2, "sm4": 3, "rsa": 4, "aes128": 5}
EV = {"rsa": 2, "aes128": 3}
EV_2025 = {"rsa": 2, "aes128": 3, "sm2": 4, "sm4": 5}
NAMES = ("none", "sm2 (chip id)", "sm2 (default id)", "rsa", "p256")
PROTOCOLS = (
    Protocol("GB 17691, `##`, header V", b"##", "V", "A", GB, NAMES[:1]),
    Protocol("GB 17691, signed bodies (B+sig)", b"##", "V", "B+sig", GB, NAMES[:1]),
    Protocol("HJ 1239, `##`, header V", b"##", "V", "C", HJ, NAMES[:3]),
    Protocol("HJ 1239, `~~`, header V", b"~~", "V", "C", HJ, NAMES[:3]),
    Protocol("HJ 1239, `##`, header P", b"##", "P", "C", HJ, NAMES[:3]),
    Protocol("HJ 1239, `~~`, header P", b"~~", "P", "C", HJ, NAMES[:3]),
    Protocol("GB/T 32960.3-2016, `##`", b"##", "P", "EV", EV, NAMES[:1], 1),
    Protocol("GB/T 32960.3-2025, `$$`", b"$$", "P", "EV-2025", EV_2025, NAMES, 1),
)


# ---- signatures ----

class Signer:
    """One pair of each algorithm; algorithm and public as the registry wants them."""

    def __init__(self, number=0):
        self.chip = CHIP % number
        self.sm2, self.sm2_public = sm2.keypair(f"terminal {number}")
        self.rsa = self.p256 = None

    def public(self, name):
        """(algorithm, bytes)."""
        if name.startswith("sm2"):
            return "sm2", self.sm2_public
        if name == "rsa":
            self.rsa = self.rsa or rsa.generate_private_key(65537, 2048)
            return "rsa", self.rsa.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.p256 = self.p256 or ec.generate_private_key(ec.SECP256R1())
        return "p256", self.p256.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)[1:]

    def sign(self, name, unit):
        """R and S."""
        if name == "rsa":
            return self.rsa.sign(unit, rsa_padding.PKCS1v15(), hashes.SHA256()), b""
        if name == "p256":
            numbers = decode_dss_signature(self.p256.sign(unit, ec.ECDSA(hashes.SHA256())))
            return tuple(n.to_bytes(32, "big") for n in numbers)
        return sm2.sign(self.sm2, self.chip if "chip" in name else DEFAULT_USER, unit)

    def signed(self, protocol, name, unit):
        if name == "none":
            return unit
        r, s = self.sign(name, unit)
        if protocol.layout == "C":
            return unit + b"\x20" + r + b"\x20" + s
        kind = {"rsa": 2, "p256": 3}.get(name, 1)
        return (unit + b"\xff" + bytes([kind]) + struct.pack(">H", len(r)) + r
                + struct.pack(">H", len(s)) + s)


# ---- encryption ----

class Gateway:
    """The public halves of the gateway's pairs, as its operator exports them to a maker."""

    def __init__(self, rsa_public, sm2_public):
        self.rsa, self.sm2 = rsa_public, sm2_public


def rows_of_blocks(key, scheme, room, unit):
    return b"".join(key.encrypt(unit[i:i + room], scheme) for i in range(0, len(unit), room))


def rsa_cipher(scheme, overhead):
    def seal(unit, gateway, key, iv):
        return rows_of_blocks(gateway.rsa, scheme, gateway.rsa.key_size // 8 - overhead, unit)
    return seal


def oaep(digest):
    return rsa_padding.OAEP(rsa_padding.MGF1(digest), digest, None)


def sm2_cipher(layout):
    return lambda unit, gateway, key, iv: sm2.encrypt(gateway.sm2, unit, layout)


def padded(unit):
    p = padding.PKCS7(128).padder()
    return p.update(unit) + p.finalize()


def run(algorithm, mode, data):
    e = Cipher(algorithm, mode).encryptor()
    return e.update(data) + e.finalize()


def block_cipher(algorithm, mode):
    def seal(unit, gateway, key, iv):
        a = algorithm(key)
        if mode == "ecb":
            return run(a, modes.ECB(), padded(unit))
        if mode == "ctr-prefix":
            return iv + run(a, modes.CTR(iv), unit)
        start = {"cbc-zero": bytes(16), "cbc-key": key}.get(mode, iv)
        return (iv if mode == "cbc-prefix" else b"") + run(a, modes.CBC(start), padded(unit))
    return seal


BLOCK_MODES = ("ecb", "cbc-prefix", "cbc-zero", "cbc-fixed", "cbc-key", "ctr-prefix")
# (algorithm, mode in the registry, what the terminal does) -> seal(unit, gateway, key, iv)
CIPHERS = {
    ("rsa", "rsa-pkcs1", ""): rsa_cipher(rsa_padding.PKCS1v15(), 11),
    ("rsa", "rsa-oaep", ""): rsa_cipher(oaep(hashes.SHA1()), 42),
    ("rsa", "rsa-oaep-sha256", ""): rsa_cipher(oaep(hashes.SHA256()), 66),
    **{("sm2", "sm2-any", layout): sm2_cipher(layout) for layout in sm2.LAYOUTS},
    ("sm2", "sm2-der", "der"): sm2_cipher("der"),
    ("sm2", "sm2-c1c3c2", "c1c3c2"): sm2_cipher("c1c3c2"),
    ("sm2", "sm2-c1c2c3", "c1c2c3"): sm2_cipher("c1c2c3"),
    **{("sm4", mode, ""): block_cipher(algorithms.SM4, mode) for mode in BLOCK_MODES},
    **{("aes128", mode, ""): block_cipher(algorithms.AES, mode) for mode in BLOCK_MODES},
}
