"""tools/keys against a real PostgreSQL: what it makes, where secrets are and are not, rotations, revocation, accounts."""
import ctypes
import fcntl
import hashlib
import json
import os
import re
import resource
import select
import socket
import stat
import struct
import subprocess
import termios
import threading
import unittest

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from operator_tools import BUILD, TOP, VINS, Case, await_true

SM2_PUBLIC = re.compile(r"\b[0-9a-f]{128}\b")


def openssl(*args, stdin=b""):
    return subprocess.run(["openssl", *args], input=stdin, capture_output=True, check=True).stdout


def crypt(phrase, setting):
    """crypt(3), which Python's own module of that name will not offer for ever."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    return library.crypt(phrase.encode(), setting.encode()).decode()


def allow_core():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    size = 4096 if os.getuid() == 0 else hard  # root may raise it
    resource.setrlimit(resource.RLIMIT_CORE, (size, size))


class Keys(Case):
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

    # ---- the folder ----

    def test_init_makes_the_folder_and_never_overwrites(self):
        out = self.keys("init", "--dir", self.keys_dir)
        self.assertEqual(self.mode(self.keys_dir), 0o700)
        names = sorted(os.listdir(self.keys_dir))
        self.assertEqual([re.sub(r"\d{8}T\d{9}", "T", n) for n in names], ["rsa-T.pem", "sm2-T.pem", "wrapping.key"])
        for name in names:
            self.assertEqual(self.mode(os.path.join(self.keys_dir, name)), 0o600)
            self.assertIn(name, out)
        before = {n: self.read("keys/" + n) for n in names}
        self.assertRegex(before["wrapping.key"], r"^[0-9a-f]{64}\n$")
        rsa = openssl("pkey", "-in", os.path.join(self.keys_dir, names[0]), "-noout", "-text").decode()
        self.assertIn("Private-Key: (2048 bit", rsa)
        self.assertIn("SM2", openssl("pkey", "-in", os.path.join(self.keys_dir, names[1]), "-noout", "-text").decode())
        self.assertIn("nothing was changed", self.keys("init", "--dir", self.keys_dir))
        self.assertEqual({n: self.read("keys/" + n) for n in os.listdir(self.keys_dir)}, before)
        self.assertEqual([(a[0], a[1]) for a in self.audit()], [("tester", "key.init")])

    def test_init_without_a_database(self):
        self.run_tool("keys", "init", "--dir", self.keys_dir, "--no-database", database=False)
        self.assertEqual(len(os.listdir(self.keys_dir)), 3)

    def test_a_lost_wrapping_key_is_not_replaced(self):
        self.init()
        self.keys("create", "terminal", VINS[0], "--algorithm", "sm4", "--out", self.path("k"), "--dir", self.keys_dir)
        os.unlink(os.path.join(self.keys_dir, "wrapping.key"))
        self.keys("init", "--dir", self.keys_dir, code=1)
        self.assertIn("bring it back", self.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.keys_dir, "wrapping.key")))

    def test_an_open_folder_is_refused(self):
        self.init()
        os.chmod(self.keys_dir, 0o755)
        self.keys("rotate", "gateway", "--algorithm", "sm2", "--dir", self.keys_dir, code=1)
        self.assertIn("open to other users", self.stderr)

    def test_the_folder_comes_from_the_configuration(self):
        config = self.write("haulgate.conf", f"[keys]\ndir = {self.keys_dir}\n")
        self.keys("init", "--config", config)
        self.assertTrue(os.path.exists(os.path.join(self.keys_dir, "wrapping.key")))

    def test_gateway_pairs_rotate_and_end(self):
        self.init()
        old = [n[:-4] for n in os.listdir(self.keys_dir) if n.startswith("sm2-")][0]
        self.keys("revoke", old, "--reason", "x", "--dir", self.keys_dir, code=1)
        self.assertIn("the only sm2 pair", self.stderr)
        self.assertIn("1 older sm2 pair still opens units",
                      self.keys("rotate", "gateway", "--algorithm", "sm2", "--dir", self.keys_dir))
        names = sorted(n[:-4] for n in os.listdir(self.keys_dir) if n.startswith("sm2-"))
        self.assertEqual(names[0], old)  # the newer one sorts last
        self.assertIn(".ended", self.keys("revoke", old, "--reason", "yearly", "--dir", self.keys_dir))
        self.assertFalse(os.path.exists(os.path.join(self.keys_dir, old + ".pem")))
        self.assertEqual(self.mode(os.path.join(self.keys_dir, old + ".pem.ended")), 0o600)
        self.assertEqual([(a[1], a[2]) for a in self.audit()][1:], [("key.rotate", names[1]), ("key.revoke", old)])
        self.keys("create", "gateway", "--algorithm", "sm4", "--dir", self.keys_dir, code=2)

    def test_gateway_export_is_the_public_half(self):
        self.init()
        out = self.keys("export", "gateway", "--dir", self.keys_dir)
        self.assertNotIn("PRIVATE", out)
        for name in (n for n in os.listdir(self.keys_dir) if n.endswith(".pem")):
            public = openssl("pkey", "-in", os.path.join(self.keys_dir, name), "-pubout").decode()
            self.assertIn(public, out)
            der = openssl("pkey", "-in", os.path.join(self.keys_dir, name), "-pubout", "-outform", "DER")
            self.assertIn((der[-64:] if name.startswith("sm2") else der).hex(), out)

    def test_a_pair_in_a_token_is_a_line_of_text(self):
        self.init()
        uri = "pkcs11:token=haulgate;object=sm2;type=private"
        self.keys("create", "gateway", "--algorithm", "sm2", "--uri", uri, "--file", "-", "--dir", self.keys_dir, stdin=b"7391\n")
        name = [n for n in os.listdir(self.keys_dir) if n.endswith(".uri")][0]
        self.assertEqual(self.read("keys/" + name), uri + "\n")
        self.assertEqual(self.mode(os.path.join(self.keys_dir, name)), 0o600)
        self.assertEqual(self.read("keys/" + name[:-4] + ".pin"), "7391\n")
        self.assertEqual(self.mode(os.path.join(self.keys_dir, name[:-4] + ".pin")), 0o600)
        self.assertNotIn("7391", str(self.audit()))
        self.keys("create", "gateway", "--algorithm", "sm2", "--file", "-", "--dir", self.keys_dir, code=2)
        self.assertIn("in a token", self.keys("export", "gateway", "--dir", self.keys_dir))
        self.keys("create", "gateway", "--algorithm", "sm2", "--uri", "pkcs11:object=a?pin-value=1234", "--dir", self.keys_dir,
                  code=2)
        self.keys("create", "gateway", "--algorithm", "sm2", "--uri", "file:/etc/passwd", "--dir", self.keys_dir, code=2)

    # ---- terminals ----

    def test_a_pair_for_a_terminal(self):
        for algorithm, size in ("sm2", 64), ("p256", 64), ("rsa", None):
            out = self.path(algorithm + ".pem")
            self.keys("create", "terminal", VINS[0], "--algorithm", algorithm, "--out", out)
            self.assertEqual(self.mode(out), 0o600)
            der = openssl("pkey", "-in", out, "-pubout", "-outform", "DER")
            stored = bytes.fromhex(self.psql(f"SELECT encode(public_key, 'hex') FROM terminal_key WHERE algorithm = '{algorithm}'"))
            self.assertEqual(stored, der[-size:] if size else der)
            self.assertEqual(self.psql(f"SELECT purpose, secret IS NULL, state FROM terminal_key WHERE algorithm = '{algorithm}'"),
                             "sign|t|active")
        self.assertEqual([a[1] for a in self.audit()], ["key.create"] * 3)

    def test_nothing_is_registered_when_the_file_cannot_be_made(self):
        out = self.write("there", "precious")
        self.keys("create", "terminal", VINS[0], "--algorithm", "sm2", "--out", out, code=1)
        self.assertEqual(self.read("there"), "precious")
        self.keys("create", "terminal", VINS[0], "--algorithm", "sm2", "--out", self.path("no/folder"), code=1)
        os.symlink("/nowhere", self.path("link"))
        self.keys("create", "terminal", VINS[0], "--algorithm", "sm2", "--out", self.path("link"), code=1)
        self.keys("create", "terminal", VINS[0], "--algorithm", "sm2", code=2)
        self.assertEqual(self.psql("SELECT count(*) FROM terminal_key"), "0")
        self.assertEqual(self.audit(), [])
        self.assertEqual(sorted(os.listdir(self.dir)), ["link", "there"])

    def test_no_file_stays_when_the_database_refuses(self):
        self.psql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused at commit'; END $$;"
                  "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON terminal_key DEFERRABLE INITIALLY DEFERRED"
                  " FOR EACH ROW EXECUTE FUNCTION refuse()")
        self.keys("create", "terminal", VINS[0], "--algorithm", "sm2", "--out", self.path("k.pem"), code=1)
        self.assertIn("refused at commit", self.stderr)
        self.assertEqual(os.listdir(self.dir), [])

    def test_a_commit_without_an_answer_keeps_the_only_copy(self):
        """Method: a proxy passes the COMMIT on, and hangs up instead of bringing the answer."""
        self.init()
        lossy = self.lossy_conninfo()
        self.run_tool("keys", "create", "terminal", VINS[0], "--algorithm", "sm2", "--out", self.path("a.pem"), "--conninfo", lossy,
                      database=False, code=1)
        self.assertRegex(self.stderr, r": the connection broke, so it is not known whether it was done; show 1 tells: .*a\.pem is the only copy of it")
        public = openssl("pkey", "-in", self.path("a.pem"), "-pubout", "-outform", "DER")[-64:].hex()
        await_true("the commit", lambda: self.psql("SELECT encode(public_key, 'hex') FROM terminal_key WHERE id = 1") == public)
        before = set(os.listdir(self.keys_dir))
        more = ["--dir", self.keys_dir, "--conninfo", lossy]
        self.run_tool("keys", "rotate", "gateway", "--algorithm", "sm2", *more, database=False, code=1)
        self.assertIn("is kept and good", self.stderr)
        made, = set(os.listdir(self.keys_dir)) - before
        await_true("the commit", lambda: (self.psql("SELECT subject FROM audit_log ORDER BY id DESC LIMIT 1") + ".pem") == made)
        self.run_tool("keys", "revoke", made[:-4], "--reason", "x", *more, database=False, code=1)
        self.assertIn("stays ended", self.stderr)
        self.assertTrue(os.path.exists(os.path.join(self.keys_dir, made + ".ended")))
        self.run_tool("keys", "init", "--dir", self.path("other"), "--conninfo", lossy, database=False, code=1)
        self.assertEqual(len(os.listdir(self.path("other"))), 3)

    def lossy_conninfo(self):
        """A way to the database that breaks when it has passed a COMMIT on."""
        folder = self.path("lossy")
        os.mkdir(folder)
        door = socket.socket(socket.AF_UNIX)
        door.bind(f"{folder}/.s.PGSQL.{os.environ['PGPORT']}")
        door.listen()
        self.addCleanup(door.close)

        def serve():
            while True:
                try:
                    client = door.accept()[0]
                except OSError:
                    return  # closed: the test is over
                server = socket.socket(socket.AF_UNIX)
                server.connect(f"{os.environ['PGHOST']}/.s.PGSQL.{os.environ['PGPORT']}")
                over = False
                while not over:
                    for ready in select.select([client, server], [], [])[0]:
                        data = ready.recv(65536)
                        (server if ready is client else client).sendall(data)
                        over = over or not data or (ready is client and b"COMMIT\0" in data)
                client.close()
                # Hanging up on the server at once would end it before it has read the COMMIT.
                while over and server.recv(65536).find(b"COMMIT\0") < 0:
                    pass
                server.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        return self.conninfo("haulgate_operator").replace(os.environ["PGHOST"], folder)

    def test_a_symmetric_key_is_wrapped(self):
        self.init()
        self.keys("create", "terminal", VINS[0], "--algorithm", "sm4", "--mode", "cbc-fixed", "--out", self.path("k"), "--dir",
                  self.keys_dir)
        self.assertEqual(self.mode(self.path("k")), 0o600)
        key, iv = self.read("k").split()
        self.assertEqual(self.unwrap(1, VINS[0]).hex(), key)
        self.assertEqual(self.psql("SELECT encode(iv, 'hex'), mode FROM terminal_key"), iv + "|cbc-fixed")
        self.assertNotIn(key, self.whole_database())

    def test_import_of_public_keys(self):
        pem = openssl("genpkey", "-algorithm", "SM2")
        public = openssl("pkey", "-pubout", stdin=pem)
        point = openssl("pkey", "-pubout", "-outform", "DER", stdin=pem)[-64:].hex()
        self.keys("import", VINS[0], "--chip", "CHIP1", stdin=public)
        other = openssl("pkey", "-pubout", "-outform", "DER", stdin=openssl("genpkey", "-algorithm", "SM2"))[-64:].hex()
        self.keys("import", VINS[1], "--file", self.write("hex", "04" + other.upper() + "\n"))
        certificate = openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=x")
        self.keys("import", VINS[2], stdin=certificate)
        self.assertEqual(self.psql("SELECT algorithm, encode(public_key, 'hex') FROM terminal_key WHERE id <= 2 ORDER BY id"),
                         f"sm2|{point}\nsm2|{other}")
        self.assertEqual(self.psql("SELECT algorithm FROM terminal_key WHERE id = 3"), "rsa")
        for what, text, more in (("a private key", pem, []), ("valid public key", b"0" * 128, []), ("neither PEM", b"hello", []),
                                 ("registered already", public, []), ("of sm2, not of rsa", public, ["--algorithm", "rsa"]),
                                 ("no valid public key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", []),
                                 ("neither PEM", b"", [])):
            self.keys("import", VINS[3], *more, stdin=text, code=1)
            self.assertIn(what, self.stderr)
        weak = openssl("pkey", "-pubout", stdin=openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:512"))
        self.keys("import", VINS[3], stdin=weak, code=1)
        self.keys("import", "LTEST999999999999", stdin=public, code=1)
        self.assertIn("not registered", self.stderr)
        self.keys("import", VINS[3], "--chip", "CHIP1", stdin=openssl("pkey", "-pubout", stdin=openssl("genpkey", "-algorithm", "SM2")),
                  code=1)
        self.assertIn("belongs to " + VINS[0], self.stderr)
        self.assertEqual(self.psql("SELECT count(*) FROM terminal_key"), "3")

    def test_import_of_a_symmetric_key(self):
        self.init()
        more = ["--algorithm", "aes128", "--dir", self.keys_dir]
        self.keys("import", VINS[0], *more, stdin=b"00112233445566778899aabbccddeeFF\r\n")
        self.assertEqual(self.unwrap(1, VINS[0]).hex(), "00112233445566778899aabbccddeeff")
        for text in b"0011", b"zz112233445566778899aabbccddeeff", b"00112233445566778899aabbccddeeff\n" * 2:
            self.keys("import", VINS[0], *more, stdin=text, code=1)
            self.assertNotIn(text.decode().split()[0], self.stderr)
        self.keys("import", VINS[0], *more, "--mode", "cbc-fixed", stdin=b"00112233445566778899aabbccddeeff\n" + b"5a" * 16)
        self.assertEqual(self.psql("SELECT encode(iv, 'hex') FROM terminal_key WHERE iv IS NOT NULL"), "5a" * 16)
        self.keys("import", VINS[0], *more, "--mode", "sm2-der", stdin=b"", code=2)

    def test_mode_of_the_gateways_pair(self):
        self.keys("mode", VINS[0], "--algorithm", "rsa", "--mode", "rsa-oaep")
        self.assertEqual(self.psql("SELECT purpose, algorithm, mode, secret IS NULL FROM terminal_key"), "encrypt|rsa|rsa-oaep|t")
        self.keys("mode", VINS[0], "--algorithm", "rsa", "--mode", "sm2-der", code=2)
        self.keys("mode", VINS[0], "--algorithm", "sm4", "--mode", "ecb", code=2)

    def test_a_list_is_taken_whole_or_not(self):
        points = [openssl("pkey", "-pubout", "-outform", "DER", stdin=openssl("genpkey", "-algorithm", "SM2"))[-64:].hex() for _ in range(3)]
        heading = "车架号,公钥,芯片,ICCID\n"
        lines = [f"{v},{p},CHIP{i},\n" for i, (v, p) in enumerate(zip(VINS, points))]
        bad = self.write("bad.csv", heading + lines[0] + lines[1].replace(points[1][:2], "zz", 1) + lines[2].replace(VINS[2], "LTEST000000000999"))
        self.keys("import", "list", bad, code=1)
        self.assertIn("line 3: the public key", self.stdout)
        self.assertIn("line 4: LTEST000000000999 is not registered", self.stdout)
        self.assertEqual(self.psql("SELECT count(*) FROM terminal_key"), "0")
        self.keys("import", "list", self.write("good.csv", heading + "".join(lines)))
        self.assertEqual(self.psql("SELECT chip_id, encode(public_key, 'hex') FROM terminal_key ORDER BY id"),
                         "\n".join(f"CHIP{i}|{p}" for i, p in enumerate(points)))
        self.assertEqual({a[3]["list"] for a in self.audit()}, {hashlib.sha256(self.read("good.csv").encode()).hexdigest()})

    def test_no_list_steers_the_terminal(self):
        point = self.a_point()
        escape = "\x1b[2J\x1b]0;gone\x07"
        self.keys("import", "list", self.write("vin.csv", f"vin,public_key\nL{escape},{point}\n"), code=1)
        self.assertIn("line 2: L\\x1b[2J\\x1b]0;gone\\x07 is not registered", self.stdout)
        chip = f"vin,public_key,chip_id\n{VINS[0]},{point},C{escape}123456789\n"
        self.keys("import", "list", self.write("chip.csv", chip), code=1)
        self.assertIn("line 2: chip id 'C", self.stdout)
        self.pending(VINS[0], "aa", "C\x1b[2J")
        self.keys("approve", "1")
        self.keys("approve", self.pending(VINS[1], "bb", "C\x1b[2J"), code=1)
        self.assertIn("chip C\\x1b[2J belongs to", self.stderr)
        self.keys("approve", self.pending(VINS[0], "cc", "C\x1b[2J"), "--beside", code=1)
        self.assertIn("(chip_id)=(C\\x1b[2J) already exists", self.stderr)
        twice = "".join(f"{VINS[2]},{p},D\x1b[2J\n" for p in (point, self.a_point()))
        self.keys("import", "list", self.write("twice.csv", "vin,public_key,chip_id\n" + twice), code=1)
        self.assertIn("(chip_id)=(D\\x1b[2J) already exists", self.stderr)
        self.keys("platform", "add", "P", "--login", "p", stdin=b"s3cret-password")
        self.keys("platform", "vehicles", "p", "--add", "--file", self.write("v", f"L{escape}\n"), code=1)
        self.assertIn("the first is L\\x1b[2J", self.stderr)

    def a_point(self):
        return openssl("pkey", "-pubout", "-outform", "DER", stdin=openssl("genpkey", "-algorithm", "SM2"))[-64:].hex()

    def test_list_and_show(self):
        self.init()
        self.keys("create", "terminal", VINS[0], "--algorithm", "sm2", "--chip", "CHIP1", "--out", self.path("a"))
        self.keys("create", "terminal", VINS[1], "--algorithm", "sm4", "--out", self.path("b"), "--dir", self.keys_dir)
        self.psql("INSERT INTO terminal_key (vehicle_id, purpose, algorithm, public_key, chip_id, state)"
                  " SELECT id, 'sign', 'sm2', decode(repeat('ab', 64), 'hex'), E'x\\x1b[2Jy', 'pending' FROM vehicle WHERE vin = '%s'" % VINS[2])
        out = self.keys("list")
        self.assertEqual(len(out.splitlines()), 4)
        self.assertIn("x\\x1b[2Jy", out)  # a chip id from a terminal cannot steer ours
        self.assertNotIn("\x1b", out)
        self.assertEqual(len(self.keys("list", VINS[0]).splitlines()), 2)
        self.assertEqual(len(self.keys("list", "--state", "pending").splitlines()), 2)
        shown = self.keys("show", "2")
        self.assertIn("secret, wrapped with", shown)
        self.assertNotIn(self.read("b").strip(), shown)
        self.keys("show", "99", code=1)
        self.keys("show", "x", code=2)

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

    def pending(self, vin, key, chip):
        return self.psql(f"INSERT INTO terminal_key (vehicle_id, purpose, algorithm, public_key, chip_id, state, origin)"
                         f" SELECT id, 'sign', 'sm2', decode(repeat('{key}', 64), 'hex'), '{chip}', 'pending', 'activation'"
                         f" FROM vehicle WHERE vin = '{vin}' RETURNING id")

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

    # ---- secrets stay where they belong ----

    def test_no_secret_anywhere_else(self):
        self.init()
        said = []
        for args in (["create", "terminal", VINS[0], "--algorithm", "sm4", "--out", self.path("a"), "--dir", self.keys_dir],
                     ["create", "terminal", VINS[0], "--algorithm", "sm2", "--out", self.path("b")],
                     ["rotate", "terminal", VINS[0], "--algorithm", "sm4", "--out", self.path("c"), "--dir", self.keys_dir],
                     ["rotate", "wrapping", "--dir", self.keys_dir], ["list"], ["show", "1"], ["export", "terminal", VINS[0]],
                     ["export", "gateway", "--dir", self.keys_dir]):
            said.append(self.keys(*args) + self.stderr)
        said.append(self.keys("platform", "add", "P", "--login", "p", stdin=b"s3cret-password") + self.stderr)
        private = openssl("pkey", "-in", self.path("b"), "-noout", "-text").decode().split("priv:")[1].split("pub:")[0]
        secrets = ["s3cret-password", "PRIVATE", self.read("a").strip(), self.read("c").strip(), re.sub(r"[\s:]", "", private)]
        secrets += [self.read("keys/" + n).strip() for n in os.listdir(self.keys_dir) if n.startswith("wrapping")]
        secrets += ["".join(self.read("keys/" + n).split("\n")[1:-2]) for n in os.listdir(self.keys_dir) if n.endswith(".pem")]
        everything = "\n".join(said) + self.whole_database()
        for secret in secrets:
            self.assertGreater(len(secret), 6)
            self.assertNotIn(secret, everything)
        # Wrapped ones and hashes stand in their own column and nowhere else.
        told = str(self.audit()) + self.psql("SELECT old FROM registry_history")
        self.assertNotIn("$y$", told)
        for wrapped in self.psql("SELECT encode(secret, 'hex') FROM terminal_key WHERE secret IS NOT NULL").split():
            self.assertNotIn(wrapped, told)

    def test_while_it_runs_it_shows_nothing_and_cannot_be_dumped(self):
        program = os.path.join(BUILD, "tools", "cli", "haulgate-keys")
        with subprocess.Popen([program, "platform", "add", "P", "--login", "p", "--conninfo", self.conninfo("haulgate_operator")],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=allow_core) as running:
            running.stdin.write(b"s3cret-password")
            running.stdin.flush()
            # Once it has read what we wrote, it waits for the end of stdin.
            await_true("the tool to read", lambda: struct.unpack("i", fcntl.ioctl(running.stdin, termios.FIONREAD, b"\0" * 4))[0] == 0)
            with open(f"/proc/{running.pid}/cmdline", "rb") as f:
                self.assertNotIn(b"s3cret", f.read())
            self.assertEqual(self.core_limit(running.pid), "0")
            running.stdin.close()
            running.stdout.read()
            self.assertEqual(running.wait(), 0)

    @staticmethod
    def core_limit(pid):
        with open(f"/proc/{pid}/limits", encoding="ascii") as f:
            return [line.split()[4] for line in f if line.startswith("Max core file size")][0]

    # ---- usage ----

    def test_usage(self):
        self.run_tool("keys", code=2, database=False)
        self.run_tool("keys", "nonsense", code=2, database=False)
        self.run_tool("keys", "list", "--nonsense", code=2, database=False)
        self.run_tool("keys", "list", "a", "b", code=2, database=False)
        self.run_tool("keys", "list", "--out", "x", code=2, database=False)
        self.assertIn("list does not take --out", self.stderr)
        self.run_tool("keys", "list", "--conninfo", "host=/nowhere password=x", code=1, database=False)
        self.assertIn("no password in --conninfo", self.stderr)
        self.run_tool("keys", "list", "--conninfo", "host=/nowhere", code=1, database=False)
        text = self.run_tool("keys", "--help", database=False)
        for line in text.splitlines():
            self.assertLessEqual(len(line), 200)
            self.assertEqual(line, line.rstrip())
        with open(os.path.join(TOP, "docs", "keys.md"), encoding="utf-8") as f:
            page = f.read()
        for command in re.findall(r"^  ([a-z]+(?: [a-z]+)?)(?= {2,}| [\[A-Z]|$)", text, re.M):
            self.assertIn(command, page)


if __name__ == "__main__":
    unittest.main()
