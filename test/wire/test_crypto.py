#!/usr/bin/python3
"""proto/wire's ciphers and signatures beside three others: openssl(1), python3-cryptography, and test/lib/sm2.py.

What one seals or signs the other opens or verifies, in both directions.  CRYPTO_PEER: the program crypto_peer.
"""
import os
import subprocess
import sys
import tempfile
import unittest

from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import sm2  # noqa: E402

CHIP = "CHIP0123456789AB"
SIZES = (1, 15, 16, 17, 100, 450)
KEY, IV = bytes(range(16)), bytes(range(100, 116))
USER_CHIP, USER_DEFAULT = "ok 01", "ok 02"


def text(size):
    return bytes(i * 7 + size & 0xFF for i in range(size))


class Peer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.peer = subprocess.Popen([os.environ["CRYPTO_PEER"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cls.private, cls.public = sm2.keypair("truck")

    @classmethod
    def tearDownClass(cls):
        cls.peer.stdin.close()
        cls.peer.stdout.close()
        assert cls.peer.wait() == 0

    def ask(self, *words):
        line = " ".join((w.hex() or "-") if isinstance(w, bytes) else str(w) for w in words)
        self.peer.stdin.write(line + "\n")
        self.peer.stdin.flush()
        return self.peer.stdout.readline().strip()

    def seal(self, algorithm, mode, key, plain, iv=b""):
        word, _, sealed = self.ask("seal", algorithm, mode, key, iv, plain).partition(" ")
        self.assertEqual(word, "ok", sealed)
        return bytes.fromhex(sealed)

    def opens(self, algorithm, mode, key, sealed, plain, iv=b""):
        self.assertEqual(self.ask("open", algorithm, mode, key, iv, sealed), "ok " + plain.hex())

    def verify(self, algorithm, key, message, r, s, chip=CHIP, size=None, other=0):
        return self.ask("verify", algorithm, key, chip, size or len(message), other, message, r, s)


class SymmetricTest(Peer):
    """SM4 and AES of python3-cryptography; the padding is its own too."""

    def whole(self, algorithm, mode, plain, seal):
        if seal and not isinstance(mode, modes.CTR):
            pad = padding.PKCS7(128).padder()
            plain = pad.update(plain) + pad.finalize()
        cipher = Cipher(algorithm(KEY), mode)
        work = cipher.encryptor() if seal else cipher.decryptor()
        result = work.update(plain) + work.finalize()
        if not seal and not isinstance(mode, modes.CTR):
            pad = padding.PKCS7(128).unpadder()
            result = pad.update(result) + pad.finalize()
        return result

    def test_all_modes(self):
        for name, algorithm in (("sm4", algorithms.SM4), ("aes128", algorithms.AES)):
            for size in SIZES:
                plain = text(size)
                for mode, theirs, iv, prefix in (
                        ("ecb", modes.ECB(), b"", b""), ("default", modes.ECB(), b"", b""),
                        ("cbc-prefix", modes.CBC(IV), b"", IV), ("cbc-zero", modes.CBC(bytes(16)), b"", b""),
                        ("cbc-fixed", modes.CBC(IV), IV, b""), ("cbc-key", modes.CBC(KEY), b"", b""),
                        ("ctr-prefix", modes.CTR(IV), b"", IV)):
                    with self.subTest(algorithm=name, mode=mode, size=size):
                        self.opens(name, mode, KEY, prefix + self.whole(algorithm, theirs, plain, True), plain, iv)
                        sealed = self.seal(name, mode, KEY, plain, iv)
                        if prefix:
                            theirs, sealed = type(theirs)(sealed[:16]), sealed[16:]
                        self.assertEqual(self.whole(algorithm, theirs, sealed, False), plain)


class RsaTest(Peer):
    PADDINGS = (
        ("rsa-pkcs1", rsa_padding.PKCS1v15(), 11), ("default", rsa_padding.PKCS1v15(), 11),
        ("rsa-oaep", rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA1()), hashes.SHA1(), None), 42),
        ("rsa-oaep-sha256", rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA256()), hashes.SHA256(), None), 66))

    def test_rows_of_blocks(self):
        for bits in (1024, 2048, 3072, 4096):
            pair = rsa.generate_private_key(65537, bits)
            private = pair.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                         serialization.NoEncryption())
            public = pair.public_key().public_bytes(serialization.Encoding.DER,
                                                    serialization.PublicFormat.SubjectPublicKeyInfo)
            for mode, theirs, overhead in self.PADDINGS:
                part = bits // 8 - overhead
                for size in (1, part - 1, part, part + 1, 1100):
                    with self.subTest(bits=bits, mode=mode, size=size):
                        plain = text(size)
                        blocks = b"".join(pair.public_key().encrypt(plain[i:i + part], theirs)
                                          for i in range(0, size, part))
                        self.opens("rsa", mode, private, blocks, plain)
                        sealed = self.seal("rsa", mode, public, plain)
                        self.assertEqual(len(sealed), len(blocks))
                        self.assertEqual(b"".join(pair.decrypt(sealed[i:i + bits // 8], theirs)
                                                  for i in range(0, len(sealed), bits // 8)), plain)
                        self.assertEqual(self.ask("open", "rsa", mode, private, b"", blocks[:-1]), "no bad_size")
                        damaged = blocks[:-3] + bytes([blocks[-3] ^ 1]) + blocks[-2:]
                        self.assertNotEqual(self.ask("open", "rsa", mode, private, b"", damaged), "ok " + plain.hex())

    def test_signature(self):
        pair = rsa.generate_private_key(65537, 2048)
        message = text(300)
        signature = pair.sign(message, rsa_padding.PKCS1v15(), hashes.SHA256())
        for form in (serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1):
            key = pair.public_key().public_bytes(serialization.Encoding.DER, form)
            self.assertEqual(self.verify("rsa", key, message, signature, b""), "ok 00")
            self.assertEqual(self.verify("rsa", key, message + b"x", signature, b"", size=100, other=300), "ok 00")
            self.assertEqual(self.verify("rsa", key, message + b"x", signature, b""), "no invalid")
            # No byte covers an S: there may be none.
            self.assertEqual(self.verify("rsa", key, message, signature, b"\1"), "no invalid")
        wrong = pair.sign(message, rsa_padding.PKCS1v15(), hashes.SHA1())
        self.assertEqual(self.verify("rsa", key, message, wrong, b""), "no invalid")


class P256Test(Peer):
    def test_signature(self):
        pair = ec.generate_private_key(ec.SECP256R1())
        numbers = pair.public_key().public_numbers()
        key = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
        for size in SIZES:
            message = text(size)
            r, s = utils.decode_dss_signature(pair.sign(message, ec.ECDSA(hashes.SHA256())))
            r, s = r.to_bytes(32, "big"), s.to_bytes(32, "big")
            self.assertEqual(self.verify("p256", key, message, r, s), "ok 00")
            self.assertEqual(self.verify("p256", key, message, s, r), "no invalid")
            self.assertEqual(self.verify("p256", key, message + b"x", r, s), "no invalid")
            self.assertEqual(self.verify("p256", key, message, bytes(32), s), "no invalid")
        self.assertEqual(self.verify("sm2", key, message, r, s), "no key")  # off that curve


class Sm2Test(Peer):
    def test_standard_vectors(self):
        """GB/T 32905 A.1 and A.2, GB/T 32918.5 annex A: sm2.py itself."""
        self.assertEqual(sm2.sm3(b"abc").hex(), "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0")
        self.assertEqual(sm2.sm3(b"abcd" * 16).hex(), "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732")
        private = 0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8
        public = sm2.public_of(private)
        self.assertEqual(sm2.user_digest(public, sm2.DEFAULT_USER).hex(),
                         "b2e14c5c79c6df5b85f4fe7ed8db7a262b9da7e07ccb0ea9f4747b8ccda8a4f3")
        r = bytes.fromhex("f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3")
        s = bytes.fromhex("b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa")
        self.assertTrue(sm2.verify(public, sm2.DEFAULT_USER, b"message digest", r, s))
        self.assertEqual(self.verify("sm2", public, b"message digest", r, s, chip="-"), USER_DEFAULT)
        k = 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21
        sealed = sm2.encrypt(public, b"encryption standard", k=k)
        self.assertEqual(sealed.hex(),
                         "04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73"
                         "e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0"
                         "59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766"
                         "21886ca989ca9c7d58087307ca93092d651efa")

    def test_layouts(self):
        """A ciphertext of each layout opens in its own mode and in sm2-any, and in no other mode."""
        private = sm2.private_der(self.private)
        fits = {"der": "sm2-der", "c1c3c2": "sm2-c1c3c2", "04c1c3c2": "sm2-c1c3c2",
                "c1c2c3": "sm2-c1c2c3", "04c1c2c3": "sm2-c1c2c3"}
        for size in SIZES:
            for layout in sm2.LAYOUTS:
                sealed = sm2.encrypt(self.public, text(size), layout)
                for mode in ("default", "sm2-any", "sm2-der", "sm2-c1c3c2", "sm2-c1c2c3"):
                    with self.subTest(size=size, layout=layout, mode=mode):
                        if mode in ("default", "sm2-any", fits[layout]):
                            self.opens("sm2", mode, private, sealed, text(size))
                        else:
                            self.assertIn(self.ask("open", "sm2", mode, private, b"", sealed),
                                          ("no bad_size", "no bad_padding"))
        public = sm2.public_der(self.public)
        for mode, layout in (("sm2-any", "c1c3c2"), ("sm2-c1c3c2", "c1c3c2"), ("sm2-c1c2c3", "c1c2c3"), ("sm2-der", "der")):
            sealed = self.seal("sm2", mode, public, text(200))
            self.assertEqual(sm2.decrypt(self.private, sealed, layout), text(200))

    def test_signatures(self):
        message = text(103)
        for user, answer in ((CHIP, USER_CHIP), (sm2.DEFAULT_USER, USER_DEFAULT), ("somebody", "no invalid")):
            r, s = sm2.sign(self.private, user, message)
            self.assertEqual(self.verify("sm2", self.public, message, r, s), answer)
            self.assertEqual(self.verify("sm2", self.public, message, s, r), "no invalid")
            self.assertEqual(self.verify("sm2", self.public, message + b"\xff", r, s), "no invalid")
            self.assertEqual(self.verify("sm2", self.public, message + b"\xff", r, s, size=104, other=103), answer)
        word, _, signature = self.ask("sign", sm2.private_der(self.private), CHIP, message).partition(" ")
        r, s = bytes.fromhex(signature)[:32], bytes.fromhex(signature)[32:]
        self.assertTrue(sm2.verify(self.public, CHIP, message, r, s))
        self.assertFalse(sm2.verify(self.public, CHIP, message[1:], r, s))
        self.assertFalse(sm2.verify(self.public, sm2.DEFAULT_USER, message, r, s))


class OpensslTest(Peer):
    """openssl(1) itself, another process with files of its own."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.write("key.pem", sm2.private_pem(self.private).encode())
        self.write("public.pem", sm2.public_pem(self.public).encode())
        self.write("text", text(450))

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)

    def openssl(self, *arguments):
        return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout

    def test_sm2(self):
        pair = ("-inkey", self.path("key.pem"))
        public = ("-pubin", "-inkey", self.path("public.pem"))
        sealed = self.openssl("pkeyutl", "-encrypt", *public, "-in", self.path("text"))
        self.opens("sm2", "sm2-any", sm2.private_der(self.private), sealed, text(450))
        self.assertEqual(sm2.decrypt(self.private, sealed, "der"), text(450))
        self.write("sealed", self.seal("sm2", "sm2-der", sm2.public_der(self.public), text(450)))
        self.assertEqual(self.openssl("pkeyutl", "-decrypt", *pair, "-in", self.path("sealed")), text(450))

        options = ("-rawin", "-digest", "sm3", "-pkeyopt", "distid:" + CHIP, "-in", self.path("text"))
        self.write("signature", self.openssl("pkeyutl", "-sign", *pair, *options))
        with open(self.path("signature"), "rb") as file:
            r, s = utils.decode_dss_signature(file.read())
        self.assertEqual(self.verify("sm2", self.public, text(450), r.to_bytes(32, "big"), s.to_bytes(32, "big")), USER_CHIP)
        r, s = sm2.sign(self.private, CHIP, text(450))
        self.write("signature", sm2.signature_der(r, s))
        self.openssl("pkeyutl", "-verify", *public, *options, "-sigfile", self.path("signature"))

    def test_sm4(self):
        for mode, name, iv in (("ecb", "sm4-ecb", ()), ("cbc-zero", "sm4-cbc", ("-iv", "00" * 16)),
                               ("cbc-key", "sm4-cbc", ("-iv", KEY.hex()))):
            sealed = self.openssl("enc", "-" + name, "-K", KEY.hex(), *iv, "-in", self.path("text"))
            self.opens("sm4", mode, KEY, sealed, text(450))


if __name__ == "__main__":
    unittest.main()
