"""What the tests of tools/keys share: vehicles in a private PostgreSQL, and a folder of keys."""
import hashlib
import os
import stat
import subprocess

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from operator_tools import Case


def openssl(*args, stdin=b""):
    return subprocess.run(["openssl", *args], input=stdin, capture_output=True, check=True).stdout


class KeysCase(Case):
    def setUp(self):
        super().setUp()
        self.add_vehicles()
        self.keys_dir = self.path("keys")

    def keys(self, *args, **more):
        return self.run_tool("keys", *args, **more)

    def init(self):
        self.keys("init", "--dir", self.keys_dir)

    def mode(self, path):
        return stat.S_IMODE(os.stat(path).st_mode)

    def unwrap(self, key_id, vin, file="wrapping.key"):
        """As gateway/identity/wrap.h says, written a second time."""
        with open(os.path.join(self.keys_dir, file), encoding="ascii") as f:
            key = bytes.fromhex(f.read().strip())
        secret = bytes.fromhex(self.psql(f"SELECT encode(secret, 'hex') FROM terminal_key WHERE id = {key_id}"))
        self.assertEqual(secret[0], 1)
        self.assertEqual(secret[1:5], hashlib.sha256(key).digest()[:4])
        return AESGCM(key).decrypt(secret[5:17], secret[17:], b"haulgate terminal_key " + vin.encode())

    def pending(self, vin, key, chip):
        return self.psql(f"INSERT INTO terminal_key (vehicle_id, purpose, algorithm, public_key, chip_id, state, origin)"
                         f" SELECT id, 'sign', 'sm2', decode(repeat('{key}', 64), 'hex'), '{chip}', 'pending', 'activation'"
                         f" FROM vehicle WHERE vin = '{vin}' RETURNING id")
