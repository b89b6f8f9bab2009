"""tools/keys against a real PostgreSQL: rotations, revocation, approval, certificates, accounts."""
import ctypes
import hashlib
import json
import os
import subprocess
import unittest

from keys_case import KeysCase, openssl
from operator_tools import BUILD, TOP, VINS, await_true


def crypt(phrase, setting):
    """crypt(3), which Python's own module of that name will not offer for ever."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    return library.crypt(phrase.encode(), setting.encode()).decode()


class KeysLater(KeysCase):
    # ---- rotation ----

    def test_rotation_of_a_terminal_with_overlap(self):
        self.init()
        self.keys("create", "terminal", VINS[0], "--algorithm", "sm2", "--chip", "CHIP1", "--out", self.path("a"))
        self.keys("rotate", "terminal", VINS[0], "--algorithm", "sm2", "--out", self.path("b"), "--overlap", "3")
        self.assertEqual(self.psql("SELECT id, state, chip_id, valid_to - now() BETWEEN '2 days' AND '3 days' FROM terminal_key ORDER BY id"),
                         "1|active|CHIP1|t\n2|active|CHIP1|")
        public = openssl("pkey", "-pubout", stdin=openssl("genpkey", "-algorithm", "SM2"))
        self.keys("rotate", "terminal", VINS[0], "--algorithm", "sm2", "--file", self.write("p", public), "--overlap", "0")
        self.assertEqual(self.psql("SELECT id FROM terminal_key WHERE valid_to IS NULL OR valid_to > now() ORDER BY id"), "1\n3")
        self.keys("rotate", "terminal", VINS[1], "--algorithm", "sm2", "--out", self.path("c"), code=1)
        self.assertIn("no active sm2 key", self.stderr)
        self.assertFalse(os.path.exists(self.path("c")))
        for bad in ["--overlap", "-1"], ["--overlap", "x"], ["--file", "p"]:
            self.keys("rotate", "terminal", VINS[0], "--algorithm", "sm2", "--out", self.path("d"), *bad, code=2)
        self.keys("create", "terminal", VINS[0], "--algorithm", "sm4", "--mode", "cbc-key", "--out", self.path("e"), "--dir", self.keys_dir)
        self.keys("rotate", "terminal", VINS[0], "--algorithm", "sm4", "--out", self.path("f"), "--dir", self.keys_dir)
        new = self.psql("SELECT max(id) FROM terminal_key")
        self.assertEqual(self.psql(f"SELECT mode FROM terminal_key WHERE id = {new}"), "cbc-key")
        self.assertEqual(self.unwrap(new, VINS[0]).hex(), self.read("f").strip())
        self.assertNotEqual(self.read("e"), self.read("f"))
        self.assertEqual([a[3]["replaces"] for a in self.audit() if a[1] == "key.rotate"], ["1", "2", "4"])

    def make_secrets(self):
        self.init()
        for i, vin in enumerate(VINS[:3]):
            self.keys("create", "terminal", vin, "--algorithm", "sm4", "--out", self.path(f"s{i}"), "--dir", self.keys_dir)
        return [self.read(f"s{i}").strip() for i in range(3)]

    def test_rotation_of_the_wrapping_key(self):
        secrets = self.make_secrets()
        old = self.read("keys/wrapping.key")
        self.keys("rotate", "wrapping", "--dir", self.keys_dir)
        self.assertNotEqual(self.read("keys/wrapping.key"), old)
        kept = "wrapping-" + hashlib.sha256(bytes.fromhex(old.strip())).hexdigest()[:8] + ".key"
        self.assertEqual(self.read("keys/" + kept), old)
        self.assertEqual([self.mode(os.path.join(self.keys_dir, n)) for n in ("wrapping.key", kept)], [0o600] * 2)
        self.assertEqual([self.unwrap(i + 1, v).hex() for i, v in enumerate(VINS[:3])], secrets)
        self.keys("finish", "--dir", self.keys_dir)
        self.assertFalse(os.path.exists(os.path.join(self.keys_dir, kept)))
        self.assertIn("nothing was changed", self.keys("finish", "--dir", self.keys_dir))
        self.assertEqual([self.unwrap(i + 1, v).hex() for i, v in enumerate(VINS[:3])], secrets)
        actions = [a[1:] for a in self.audit()][-2:]
        self.assertEqual([a[:2] for a in actions], [("key.rotate", "wrapping.key"), ("key.finish", "wrapping.key")])
        self.assertEqual(actions[0][2]["secrets"], 3)

    def test_one_damaged_secret_stops_the_whole_rotation(self):
        self.make_secrets()
        before = self.whole_database()
        self.psql("UPDATE terminal_key SET secret = set_byte(secret, 20, get_byte(secret, 20) # 1) WHERE id = 2")
        damaged, folder = self.whole_database(), sorted(os.listdir(self.keys_dir))
        self.assertNotEqual(before, damaged)
        self.keys("rotate", "wrapping", "--dir", self.keys_dir, code=1)
        self.assertIn("key 2 of " + VINS[1], self.stderr)
        self.assertEqual(self.whole_database(), damaged)
        self.assertEqual(sorted(os.listdir(self.keys_dir)), folder)

    def test_a_rotation_whose_commit_fails_loses_nothing(self):
        secrets = self.make_secrets()
        self.psql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused at commit'; END $$;"
                  "CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON terminal_key DEFERRABLE INITIALLY DEFERRED"
                  " FOR EACH ROW EXECUTE FUNCTION refuse()")
        self.keys("rotate", "wrapping", "--dir", self.keys_dir, code=1)
        self.assertIn("nothing is lost", self.stderr)
        old = [n for n in os.listdir(self.keys_dir) if n.startswith("wrapping-")][0]
        self.assertEqual([self.unwrap(i + 1, v, old).hex() for i, v in enumerate(VINS[:3])], secrets)
        self.keys("finish", "--dir", self.keys_dir, code=1)  # the old key is needed
        self.assertTrue(os.path.exists(os.path.join(self.keys_dir, old)))
        self.psql("DROP TRIGGER refuse ON terminal_key")
        self.keys("rotate", "wrapping", "--dir", self.keys_dir)
        self.assertEqual([self.unwrap(i + 1, v).hex() for i, v in enumerate(VINS[:3])], secrets)
        self.keys("finish", "--dir", self.keys_dir)
        self.assertEqual([n for n in os.listdir(self.keys_dir) if n.startswith("wrapping")], ["wrapping.key"])

    def unwrap_with_any(self, key_id, vin):
        for name in os.listdir(self.keys_dir):
            if name.startswith("wrapping") and name.endswith(".key"):
                try:
                    return self.unwrap(key_id, vin, name)
                except AssertionError:
                    continue  # the secret names another key
        raise AssertionError(f"no key in {os.listdir(self.keys_dir)} opens secret {key_id}")

    def test_a_rotation_killed_at_any_system_call_loses_nothing(self):
        secrets = self.make_secrets()
        program = [os.path.join(BUILD, "tools", "cli", "haulgate-keys"), "rotate", "wrapping", "--dir", self.keys_dir, "--conninfo",
                   self.conninfo("haulgate_operator")]
        for call in "fsync", "linkat", "renameat", "unlinkat", "sendto":
            kills = 0
            for number in range(1, 100):
                done = subprocess.run(["strace", "-qq", "-o", "/dev/null", "-e", f"inject={call}:signal=SIGKILL:when={number}", *program],
                                      capture_output=True, text=True, env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
                if done.returncode == 0:
                    break
                self.assertIn(done.returncode, (137, -9), done.stderr)
                kills += 1
                self.assertEqual([self.unwrap_with_any(i + 1, v).hex() for i, v in enumerate(VINS[:3])], secrets, (call, number))
                self.keys("rotate", "wrapping", "--dir", self.keys_dir)
                self.keys("finish", "--dir", self.keys_dir)
                self.assertEqual([self.unwrap(i + 1, v).hex() for i, v in enumerate(VINS[:3])], secrets, (call, number))
                self.assertEqual([n for n in os.listdir(self.keys_dir) if n.startswith("wrapping")], ["wrapping.key"])
            self.assertEqual(done.returncode, 0, "the sweep did not come to its end")
            self.assertGreater(kills, 0, call)
            self.keys("finish", "--dir", self.keys_dir)

    def test_another_key_under_the_kept_name_stops_a_rotation(self):
        secrets = self.make_secrets()
        old = self.read("keys/wrapping.key")
        kept = "keys/wrapping-" + hashlib.sha256(bytes.fromhex(old.strip())).hexdigest()[:8] + ".key"
        os.chmod(self.write(kept, "ab" * 32 + "\n"), 0o600)
        self.keys("rotate", "wrapping", "--dir", self.keys_dir, code=1)
        self.assertIn("another file has that name", self.stderr)
        self.assertEqual((self.read("keys/wrapping.key"), self.read(kept)), (old, "ab" * 32 + "\n"))
        self.assertEqual([self.unwrap(i + 1, v).hex() for i, v in enumerate(VINS[:3])], secrets)

    def test_no_more_keys_than_a_gateway_takes(self):
        secrets = self.make_secrets()
        self.psql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused at commit'; END $$;"
                  "CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON terminal_key DEFERRABLE INITIALLY DEFERRED"
                  " FOR EACH ROW EXECUTE FUNCTION refuse()")
        for _ in range(7):
            self.keys("rotate", "wrapping", "--dir", self.keys_dir, code=1)
            self.assertIn("refused at commit", self.stderr)
        self.psql("DROP TRIGGER refuse ON terminal_key")
        self.keys("rotate", "wrapping", "--dir", self.keys_dir, code=1)
        self.assertIn("has 8 wrapping keys, and a gateway takes at most 8: run finish", self.stderr)
        out = self.keys("finish", "--dir", self.keys_dir)  # of all but the one that is needed
        self.assertEqual(out.count("removed "), 6)
        self.assertIn("3 secrets are still wrapped with", self.stderr)
        self.keys("rotate", "wrapping", "--dir", self.keys_dir)
        self.keys("finish", "--dir", self.keys_dir)
        self.assertEqual([self.unwrap(i + 1, v).hex() for i, v in enumerate(VINS[:3])], secrets)
        for _ in range(14):
            self.keys("create", "gateway", "--algorithm", "sm2", "--dir", self.keys_dir)
        for more in [], ["--uri", "pkcs11:object=a"]:
            self.keys("rotate", "gateway", "--algorithm", "sm2", *more, "--dir", self.keys_dir, code=1)
            self.assertIn("has 16 pairs, and a gateway takes at most 16", self.stderr)
        self.assertEqual(len([n for n in os.listdir(self.keys_dir) if n.endswith((".pem", ".uri"))]), 16)

    # ---- states ----

    def test_a_revoked_key_stays_revoked(self):
        self.keys("create", "terminal", VINS[0], "--algorithm", "sm2", "--out", self.path("a"))
        self.keys("revoke", "1", code=2)
        self.keys("revoke", "1", "--reason", "leaked on a forum")
        self.assertEqual(self.psql("SELECT state, reason, changed_by, valid_to <= now() FROM terminal_key"),
                         "revoked|leaked on a forum|tester|t")
        self.keys("revoke", "1", "--reason", "again", code=1)
        public = openssl("pkey", "-in", self.path("a"), "-pubout")
        self.keys("import", VINS[0], stdin=public, code=1)
        self.assertIn("leaked on a forum", self.stderr)
        self.keys("import", VINS[1], stdin=public, code=1)
        history = self.psql("SELECT actor, kind, row_id, old ->> 'state' FROM registry_history")
        self.assertEqual(history, "tester|terminal_key|1|active")

    def test_approval(self):
        first, second, third = (self.pending(VINS[0], k, c) for k, c in (("aa", "C1"), ("bb", "C2"), ("cc", "C3")))
        self.keys("approve", first)
        self.keys("approve", second, code=1)
        self.assertIn("say --replace", self.stderr)
        self.keys("approve", second, "--replace", "--beside", code=2)
        self.keys("approve", second, "--replace")
        self.assertEqual(self.psql(f"SELECT state, reason FROM terminal_key WHERE id = {first}"), f"revoked|replaced by key {second}")
        self.keys("approve", third, "--beside")
        self.assertEqual(self.psql("SELECT count(*) FROM terminal_key WHERE state = 'active'"), "2")
        other = self.pending(VINS[1], "dd", "C3")
        self.keys("approve", other, code=1)  # the chip is another truck's
        self.keys("reject", other, code=2)
        self.keys("reject", other, "--reason", "wrong truck")
        self.keys("approve", other, code=1)
        self.assertEqual([(a[1], a[2]) for a in self.audit()],
                         [("key.approve", VINS[0])] * 3 + [("key.reject", VINS[1])])

    def test_approval_is_as_strict_as_an_import(self):
        revoked = self.pending(VINS[0], "aa", "C1")
        self.keys("approve", revoked)
        self.keys("revoke", revoked, "--reason", "leaked on a forum")
        for again in self.pending(VINS[0], "aa", "C1"), self.pending(VINS[1], "aa", "C2"):
            self.keys("approve", again, "--replace", code=1)
            self.assertIn("leaked on a forum", self.stderr)
        here, there = self.pending(VINS[2], "bb", "C3"), self.pending(VINS[3], "bb", "C4")
        self.keys("approve", here)
        self.keys("approve", there, code=1)
        self.assertIn(f"registered already: key {here} of {VINS[2]}", self.stderr)
        self.keys("approve", self.pending(VINS[4], "cc", "C3"), code=1)
        self.assertIn(f"chip C3 belongs to {VINS[2]}", self.stderr)
        self.assertEqual(self.psql("SELECT id FROM terminal_key WHERE state = 'active'"), here)

    def test_two_approvals_at_once_of_one_key(self):
        first, second = self.pending(VINS[0], "aa", "C1"), self.pending(VINS[1], "aa", "C2")
        other = self.open_transaction("LOCK TABLE audit_log")  # the first approval is done but for its line
        running = [self.start_tool("keys", "approve", first)]
        await_true("the first approval to wait", lambda: self.is_waiting("approve"))
        running.append(self.start("second", os.path.join(TOP, "tools", "keys"), "approve", second, "--conninfo",
                                  self.conninfo("haulgate_operator")))
        await_true("the second one to wait", lambda: self.is_waiting("second"))
        self.close_transaction(other, "ROLLBACK")
        self.assertEqual([(r.communicate()[0], r.returncode)[1] for r in running], [0, 1])
        self.assertEqual(self.psql("SELECT id FROM terminal_key WHERE state = 'active'"), first)

    def test_approve_of_nothing_revokes_nothing(self):
        self.keys("approve", self.pending(VINS[0], "aa", "C1"))
        self.keys("approve", "1", "--replace", code=1)
        self.keys("approve", "77", "--replace", code=1)
        self.assertEqual(self.psql("SELECT state FROM terminal_key"), "active")

    def test_export_for_evidence(self):
        self.keys("create", "terminal", VINS[0], "--algorithm", "sm2", "--out", self.path("a"), "--valid-from", "2026-01-02",
                  "--valid-to", "2030-01-01T08:00:00+08:00")
        self.keys("create", "terminal", VINS[0], "--algorithm", "rsa", "--out", self.path("b"))
        self.keys("revoke", "2", "--reason", "old")
        exported = json.loads(self.keys("export", "terminal", VINS[0]))
        self.assertEqual(exported["vin"], VINS[0])
        one, two = exported["keys"]
        self.assertEqual((one["valid_from"], one["valid_to"], one["state"]),
                         ("2026-01-02T00:00:00.000000+08:00", "2030-01-01T08:00:00.000000+08:00", "active"))
        self.assertEqual((two["state"], two["reason"]), ("revoked", "old"))
        for key, name in (one, "a"), (two, "b"):
            self.assertEqual(key["pem"].encode(), openssl("pkey", "-in", self.path(name), "-pubout"))

    def test_one_damaged_key_keeps_no_other_from_the_court(self):
        pem = openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        pkcs1 = openssl("rsa", "-RSAPublicKey_out", "-outform", "DER", stdin=pem).hex()
        for key in pkcs1, "30" * 70, "00" * 1500:
            self.psql("INSERT INTO terminal_key (vehicle_id, purpose, algorithm, public_key, origin)"
                      f" SELECT id, 'sign', 'rsa', '\\x{key}', 'activation' FROM vehicle WHERE vin = '{VINS[0]}'")
        self.keys("create", "terminal", VINS[0], "--algorithm", "sm2", "--out", self.path("a"))
        one, two, three, four = json.loads(self.keys("export", "terminal", VINS[0], code=1))["keys"]
        self.assertIn("2 of 4 keys cannot be written as PEM, the first is key 2", self.stderr)
        self.assertEqual(one["pem"].encode(), openssl("pkey", "-pubout", stdin=pem))
        self.assertEqual((two["pem"], two["problem"], two["public_key"]), (None, "its bytes are no public key of rsa", "30" * 70))
        self.assertEqual((three["pem"], three["problem"]), (None, "key 3 is no public key"))
        self.assertEqual(four["pem"].encode(), openssl("pkey", "-in", self.path("a"), "-pubout"))

    # ---- certificates ----

    def certificate(self, *names, extra=()):
        san = [x for n in names for x in ("-addext", "subjectAltName=" + n)]
        return openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "/dev/null",
                       "-days", "30", "-subj", "/CN=终端\x1b[2J/O=maker", "-utf8", *san, *extra)

    def test_certificates(self):
        good = self.certificate("URI:urn:vin:" + VINS[0])
        self.keys("certificate", "add", VINS[1], stdin=good, code=1)
        self.assertIn(f"for '{VINS[0]}', not for {VINS[1]}", self.stderr)
        self.keys("certificate", "add", VINS[0], stdin=good)
        fingerprint = openssl("x509", "-noout", "-fingerprint", "-sha256", stdin=good).decode().split("=")[1].replace(":", "").lower().strip()
        self.assertEqual(self.psql("SELECT encode(fingerprint, 'hex'), state, valid_to - valid_from FROM certificate"),
                         f"{fingerprint}|active|30 days")
        self.keys("certificate", "add", VINS[0], stdin=good, code=1)
        for names in ["DNS:" + VINS[0]], ["URI:urn:vin:" + VINS[0] + ",URI:urn:vin:" + VINS[1]], ["URI:urn:vin:" + VINS[1] + ",URI:urn:vin:" + VINS[0]], ["URI:urn:vin:"], []:
            self.keys("certificate", "add", VINS[0], stdin=self.certificate(*names), code=1)
        out = self.keys("certificate", "list", VINS[0])
        self.assertIn("终端", out)
        self.assertNotIn("\x1b", out)
        self.keys("certificate", "revoke", "1", code=2)
        self.keys("certificate", "revoke", "1", "--reason", "lost box")
        self.keys("certificate", "revoke", "1", "--reason", "lost box", code=1)
        self.assertEqual([(a[1], a[2]) for a in self.audit()],
                         [("certificate.add", VINS[0]), ("certificate.revoke", VINS[0])])

    # ---- platforms ----

    def test_platforms(self):
        self.keys("platform", "add", "重汽平台", "--login", "cnhtc", "--sources", "192.0.2.0/24,2001:db8::/32", stdin=b"s3cret-password\n")
        name, stored, sources, tls = self.psql("SELECT name, password, sources, require_tls FROM platform").split("|")
        self.assertEqual((name, sources, tls), ("重汽平台", "{192.0.2.0/24,2001:db8::/32}", "t"))
        self.assertTrue(stored.startswith("$y$"))
        self.assertEqual(crypt("s3cret-password", stored), stored)
        self.keys("platform", "password", "cnhtc", "--file", self.write("p", "another-one"))
        changed = self.psql("SELECT password FROM platform")
        self.assertEqual(crypt("another-one", changed), changed)
        for bad in b"short", b"x" * 21, b"", b"nul\0inside-it":
            self.keys("platform", "password", "cnhtc", stdin=bad, code=1)
        self.assertEqual(self.psql("SELECT password FROM platform"), changed)
        self.keys("platform", "add", "x", "--login", "a" * 13, stdin=b"s3cret-password", code=2)
        self.keys("platform", "add", "x", "--login", "y", "--sources", "192.0.2.1/24", stdin=b"s3cret-password", code=1)
        self.keys("platform", "password", "nobody", stdin=b"s3cret-password", code=1)
        self.keys("platform", "block", "cnhtc", code=2)
        self.keys("platform", "block", "cnhtc", "--reason", "unpaid")
        self.assertIn("blocked", self.keys("platform", "list"))
        self.keys("platform", "unblock", "cnhtc")
        self.assertEqual([a[1] for a in self.audit()],
                         ["platform.add", "platform.password", "platform.block", "platform.unblock"])
        self.assertNotIn("$y$", self.psql("SELECT old FROM registry_history") + str(self.audit()))

    def test_vehicles_of_a_platform(self):
        self.keys("platform", "add", "P", "--login", "p", stdin=b"s3cret-password")
        self.keys("platform", "vehicles", "p", "--add", VINS[0], VINS[1], "LTEST000000000999", code=1)
        self.assertIn("LTEST000000000999", self.stderr)
        self.assertEqual(self.psql("SELECT count(*) FROM platform_vehicle"), "0")
        self.keys("platform", "vehicles", "p", "--add", VINS[0], "--file", self.write("v", f"{VINS[1]}\r\n\r\n {VINS[2]} \n"))
        self.assertIn("nothing to change", self.keys("platform", "vehicles", "p", "--add", VINS[0]))
        self.assertEqual([line.split()[0] for line in self.keys("platform", "vehicles", "p").splitlines()[1:]], VINS[:3])
        self.keys("platform", "vehicles", "p", "--remove", VINS[0], VINS[4], code=1)
        self.keys("platform", "vehicles", "p", "--remove", VINS[0])
        self.assertEqual(self.psql("SELECT count(*) FROM platform_vehicle"), "2")
        self.keys("platform", "vehicles", "nobody", code=1)
        self.keys("platform", "vehicles", "p", "--add", code=2)
        self.keys("platform", "vehicles", "p", VINS[0], code=2)
        self.assertEqual([(a[1], a[3]["vins"]) for a in self.audit()[1:]],
                         [("platform.vehicles.add", VINS[:3]), ("platform.vehicles.remove", VINS[:1])])


if __name__ == "__main__":
    unittest.main()
