"""tools/keys against a real PostgreSQL: what it makes, and where secrets are and are not."""
import fcntl
import hashlib
import os
import re
import resource
import select
import socket
import struct
import subprocess
import termios
import threading
import unittest

from keys_case import KeysCase, openssl
from operator_tools import BUILD, TOP, VINS, await_true


def allow_core():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    size = 4096 if os.getuid() == 0 else hard  # root may raise it
    resource.setrlimit(resource.RLIMIT_CORE, (size, size))


class Keys(KeysCase):
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
