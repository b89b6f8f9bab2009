"""tools/export against a real PostgreSQL: content, same bytes, manifest, formula cells, refusals, memory."""
import csv
import datetime
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "test", "query"))
from service import BUILD, SANITIZED, Database, await_true  # noqa: E402

WEEK, MONDAY, SUNDAY = "2026-W47", "2026-11-16", "2026-11-22"
DIVISIONS = ["211302", "211303", "211321", "211322", "211324", "211381", "211382", "outside"]
KINDS = ["findings", "passages", "vehicle-days"]

DATA = """
INSERT INTO rule (rule_id, version, label, doc, severity, parameters) VALUES ('test_rule', 7, '测试', 'doc', 3, '{}');
INSERT INTO fleet (name, grade) VALUES ('=HYPERLINK("http://x")', 'A');
INSERT INTO vehicle (vin, plate, fleet_id) VALUES ('LTEST000000000001', '辽N12345', 1), ('LTEST000000000002', '+1,2', NULL),
  ('LTEST000000000003', E'@a"b', NULL), ('LTEST000000000004', E'\\tx', NULL), ('LTEST000000000005', '-5', NULL),
  ('LTEST000000000006', '＝1+1', NULL);
INSERT INTO finding (vehicle_id, day, rule_id, revision, rule_version, severity, state, from_at, to_at, division_id, route_id,
    place, value, "limit", measured)
  SELECT v.id, d, 'test_rule', 1, 7, 3, 'open', d::timestamp AT TIME ZONE 'Asia/Shanghai',
    (d + interval '10 minutes') AT TIME ZONE 'Asia/Shanghai', CASE WHEN v.id = 2 THEN NULL ELSE 211302 END, 2,
    ST_SetSRID(ST_Point(120.45, 41.57), 4326), -612.5, 1e-7, '{"nox_ppm": 612.5, "a": [1, "x"]}'
  FROM vehicle v, generate_series(date '2026-11-15', date '2026-11-23', interval '1 day') g, LATERAL (SELECT g::date AS d) d;
INSERT INTO finding SELECT vehicle_id, day, rule_id, 2, rule_version, severity, 'superseded', from_at, to_at, division_id, route_id,
    place, value, "limit", measured FROM finding WHERE day = '2026-11-16';
INSERT INTO passage SELECT id, '2026-11-18', 1, '2026-11-18 08:00+08', '2026-11-18 09:30+08', id = 1, 211382, 12.3456, 7, 0.5, 5400
  FROM vehicle;
INSERT INTO vehicle_day (vehicle_id, day, division_id, samples, engine_on_s, nox_valid_s, position_valid_s, gap_s, km, fuel_kg,
    nox_g, work_kwh, gateway_id)
  SELECT id, date '2026-11-16' + (id % 7)::int, 211321, 1000, 900, 800, 700, 3, 55.55555, 0.1, 'NaN', NULL, 1 FROM vehicle;
INSERT INTO vehicle_day (vehicle_id, day, division_id, samples, engine_on_s, nox_valid_s, position_valid_s, gap_s, km, fuel_kg,
    nox_g, work_kwh, gateway_id) VALUES (1, '2026-11-22', 999999, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1);
"""


class Export(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.database = Database()
        cls.addClassCleanup(cls.database.drop)
        cls.database.psql(DATA)
        cls.folder = tempfile.TemporaryDirectory(prefix="haulgate-export-test.")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.number = 0

    def new_dir(self):
        Export.number += 1
        return os.path.join(self.folder.name, f"out{self.number}")

    def run_export(self, out, *more, week=WEEK, user="haulgate_export", code=0):
        environment = dict(os.environ, HAULGATE_BUILD=BUILD)
        done = subprocess.run([os.path.join(TOP, "tools", "export"), "--week", week, "--out", out, "--conninfo",
                               self.database.conninfo(user), *more], capture_output=True, text=True, env=environment)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def content(self, out):
        files = {}
        for name in os.listdir(out):
            with open(os.path.join(out, name), "rb") as f:
                files[name] = f.read()
        return files

    def rows(self, out, kind, division):
        with open(os.path.join(out, f"{kind}-{WEEK}-{division}.csv"), encoding="utf-8-sig", newline="") as f:
            return list(csv.DictReader(f))

    def test_content(self):
        out = self.new_dir()
        self.run_export(out)
        findings = self.rows(out, "findings", "211302")
        self.assertEqual(len(findings), 5 * 7)  # five vehicles, seven days, the superseded ones left out
        self.assertEqual({f["day"] for f in findings}, {f"2026-11-{d}" for d in range(16, 23)})
        self.assertEqual([(f["day"], f["vin"]) for f in findings], sorted((f["day"], f["vin"]) for f in findings))
        first = findings[0]
        self.assertEqual((first["id"], first["from_at"], first["to_at"]),
                         ("LTEST000000000001.20261116.test_rule.1", "2026-11-16 00:00:00", "2026-11-16 00:10:00"))
        self.assertEqual((first["plate"], first["value"], first["limit"], first["lon"]), ("辽N12345", "-612.5", "1e-07", "120.450000"))
        self.assertEqual(json.loads(first["measured"]), {"nox_ppm": 612.5, "a": [1, "x"]})
        self.assertEqual({f["vin"] for f in self.rows(out, "findings", "outside")}, {"LTEST000000000002"})
        passages = self.rows(out, "passages", "211382")
        self.assertEqual([(p["is_open"], p["km"]) for p in passages][:2], [("yes", "12.346"), ("no", "12.346")])
        days = self.rows(out, "vehicle-days", "211321")
        self.assertEqual(len(days), 6)
        self.assertEqual((days[0]["nox_g"], days[0]["work_kwh"], days[0]["km"]), ("", "", "55.556"))
        # A division that the table does not name is not lost.
        self.assertEqual(len(self.rows(out, "vehicle-days", "999999")), 1)

    def test_every_division_has_every_file(self):
        out = self.new_dir()
        self.run_export(out)
        names = {f"{k}-{WEEK}-{d}.csv" for k in KINDS for d in DIVISIONS + ["999999"]}
        self.assertEqual(set(os.listdir(out)), names | {"manifest.json", "SHA256SUMS"})

    def test_formula_cells_are_text(self):
        out = self.new_dir()
        self.run_export(out)
        plates = {f["vin"][-1]: f["plate"] for f in self.rows(out, "findings", "211302")}
        plates.update({f["vin"][-1]: f["plate"] for f in self.rows(out, "findings", "outside")})
        self.assertEqual(plates, {"1": "辽N12345", "2": "'+1,2", "3": "'@a\"b", "4": "'\tx", "5": "'-5", "6": "'＝1+1"})
        self.assertEqual({f["fleet"] for f in self.rows(out, "findings", "211302")}, {"'=HYPERLINK(\"http://x\")", ""})
        for name, data in self.content(out).items():
            if name.endswith(".csv"):
                self.assertTrue(data.startswith(b"\xef\xbb\xbfdivision_id,"), name)
                self.assertTrue(data.endswith(b"\r\n"))

    def test_same_week_same_bytes(self):
        one, two = self.new_dir(), self.new_dir()
        self.run_export(one)
        # Another physical order of the rows and other plans must not show.
        self.database.psql("UPDATE finding SET value = value; UPDATE vehicle_day SET km = km; UPDATE passage SET km = km; ANALYZE")
        self.run_export(two)
        self.assertEqual(self.content(one), self.content(two))
        # Into the same folder: already there, nothing touched.
        before = {n: os.stat(os.path.join(one, n)).st_ino for n in os.listdir(one)}
        self.assertIn("were already in", self.run_export(one).stderr)
        self.assertEqual(before, {n: os.stat(os.path.join(one, n)).st_ino for n in os.listdir(one)})

    def test_manifest_and_sums(self):
        out = self.new_dir()
        self.run_export(out)
        manifest = json.loads(self.content(out)["manifest.json"])
        self.assertEqual((manifest["kind"], manifest["week"], manifest["from"], manifest["to"]), ("weekly", WEEK, MONDAY, SUNDAY))
        self.assertEqual(len(manifest["files"]), len(KINDS) * (len(DIVISIONS) + 1))
        for f in manifest["files"]:
            data = self.content(out)[f["name"]]
            self.assertEqual((f["bytes"], f["sha256"]), (len(data), hashlib.sha256(data).hexdigest()))
            self.assertEqual(f["rows"], len(self.rows(out, f["kind"], f["division"])), f["name"])
        subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=out, check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(out, manifest["files"][0]["name"]), "ab") as f:
            f.write(b"x")
        self.assertNotEqual(subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=out, capture_output=True).returncode, 0)

    def test_run_is_recorded(self):
        out = self.new_dir()
        self.run_export(out)
        digest = hashlib.sha256(self.content(out)["manifest.json"]).hexdigest()
        rows = sum(f["rows"] for f in json.loads(self.content(out)["manifest.json"])["files"])
        self.assertEqual(self.database.psql("SELECT kind, period, files, rows, manifest, finished_at >= started_at FROM export_run "
                                            "ORDER BY id DESC LIMIT 1"), f"weekly|{WEEK}|29|{rows}|{digest}|t")

    def test_other_content_is_not_overwritten(self):
        out = self.new_dir()
        self.run_export(out)
        before = self.content(out)
        self.database.psql("UPDATE finding SET value = 700 WHERE vehicle_id = 1 AND day = '2026-11-17'")
        try:
            self.assertIn("--replace", self.run_export(out, code=1).stderr)
            self.assertEqual(self.content(out), before)
            self.run_export(out, "--replace")
            after = self.content(out)
            changed = {n for n in after if after[n] != before[n]}
            self.assertEqual(changed, {f"findings-{WEEK}-211302.csv", "manifest.json", "SHA256SUMS"})
        finally:
            self.database.psql("UPDATE finding SET value = -612.5 WHERE vehicle_id = 1")
        # Another week takes the folder over completely, or not at all.
        self.run_export(out, week="2026-W46", code=1)
        self.run_export(out, "--replace", week="2026-W46")
        self.assertEqual({n for n in os.listdir(out) if WEEK in n}, set())
        subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=out, check=True, stdout=subprocess.DEVNULL)

    def test_leftovers_of_a_killed_run_are_cleared(self):
        out = self.new_dir()
        os.makedirs(os.path.join(out, f".tmp-{WEEK}"))
        with open(os.path.join(out, f".tmp-{WEEK}", f"findings-{WEEK}-211302.csv"), "w", encoding="ascii") as f:
            f.write("half")
        self.run_export(out)
        self.assertFalse(any(n.startswith(".tmp") for n in os.listdir(out)))

    def test_killed_anywhere_it_can_be_repeated(self):
        """Method: kill it after a growing time until one run gets through; a folder with a manifest is complete."""
        out, wanted = self.new_dir(), self.new_dir()
        self.run_export(wanted)
        program = [os.path.join(BUILD, "tools", "cli", "haulgate-export"), "--week", WEEK, "--out", out, "--quiet", "--conninfo",
                   self.database.conninfo("haulgate_export")]
        for step in range(200):
            p = subprocess.Popen(program, stderr=subprocess.DEVNULL)
            time.sleep(step * 0.003)
            p.kill()
            p.wait()
            if os.path.exists(os.path.join(out, "manifest.json")):
                break
        self.run_export(out)
        self.assertEqual(self.content(out), self.content(wanted))

    def test_the_manifest_comes_last_and_all_is_flushed_before(self):
        """Method: the order of the system calls; a power cut cannot be had here."""
        out, trace = self.new_dir(), os.path.join(self.folder.name, "trace")
        subprocess.run(["strace", "-f", "-y", "-e", "trace=fsync,renameat,renameat2,rename", "-o", trace,
                        os.path.join(BUILD, "tools", "cli", "haulgate-export"), "--week", WEEK, "--out", out, "--quiet", "--conninfo",
                        self.database.conninfo("haulgate_export")], check=True,
                       env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))  # it cannot look for leaks under strace
        with open(trace, encoding="utf-8") as f:
            calls = [line for line in f if "(" in line and "+++" not in line]
        flushed, renamed = set(), []
        for line in calls:
            name = line.rsplit("/", 1)[-1].split(">")[0] if "fsync(" in line else line.split('"')[1]
            if "fsync(" in line:
                flushed.add(name)
            else:
                self.assertIn(name, flushed, "moved before it was flushed")
                renamed.append(name)
        self.assertEqual(len(renamed), 29)
        self.assertEqual(renamed[-1], "manifest.json")
        kinds = ["fsync" if "fsync(" in line else "rename" for line in calls]
        self.assertEqual(kinds[-3:], ["fsync", "rename", "fsync"], "the folder is flushed before and after the manifest")

    def test_a_snapshot_is_one_moment(self):
        """Rows that come after the transaction began are not in any file."""
        out, wanted = self.new_dir(), self.new_dir()
        self.run_export(wanted)
        # Passages wait for this lock: findings are written by then, with the snapshot taken.
        locker = subprocess.Popen(["psql", "-qXAt", "-d", self.database.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True)
        locker.stdin.write("BEGIN; LOCK TABLE passage; SELECT 'locked';\n")
        locker.stdin.flush()
        self.assertEqual(locker.stdout.readline().strip(), "locked")
        p = subprocess.Popen([os.path.join(BUILD, "tools", "cli", "haulgate-export"), "--week", WEEK, "--out", out, "--quiet",
                              "--conninfo", self.database.conninfo("haulgate_export")])
        waits = ("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'haulgate-export' AND wait_event_type = 'Lock' "
                 f"AND datname = '{self.database.name}'")
        await_true("the export at the lock", lambda: self.database.psql(waits, database="postgres") == "1")
        self.database.psql("UPDATE vehicle_day SET km = km + 1")
        try:
            locker.stdin.close()
            locker.wait()
            locker.stdout.close()
            self.assertEqual(p.wait(30), 0)
            self.assertEqual(self.content(out), self.content(wanted))
        finally:
            self.database.psql("UPDATE vehicle_day SET km = km - 1")

    def test_exit_codes(self):
        out = self.new_dir()
        for week in ("2026-W54", "2025-W53", "2026-W00", "2026W47", "2026-W4", "2026-47", "W47", "", "2026-W47x"):
            done = self.run_export(out, week=week, code=2)
            self.assertIn("ISO week", done.stderr)
        self.run_export(out, "--nonsense", code=2)
        self.run_export(out, "--conninfo", "host=x password=y", code=2)
        self.run_export(out, "--conninfo", "host=/nonexistent dbname=x", code=75)
        self.run_export("/proc/none", code=1)
        # A role that may not write export_run.
        self.run_export(out, user="haulgate_query", code=1)
        # Another export into this folder, and another one in the database.
        os.makedirs(out, exist_ok=True)
        fd = os.open(out, os.O_RDONLY)
        fcntl.flock(fd, fcntl.LOCK_EX)
        self.assertIn("another export writes", self.run_export(out, code=75).stderr)
        os.close(fd)

    def test_long_weeks(self):
        out = self.new_dir()
        self.run_export(out, week="2026-W53")  # 2026 has 53 weeks
        manifest = json.loads(self.content(out)["manifest.json"])
        expected = datetime.date.fromisocalendar(2026, 53, 1)
        self.assertEqual((manifest["from"], manifest["to"]), (str(expected), str(expected + datetime.timedelta(6))))

    def test_config_names_the_database(self):
        out = self.new_dir()
        config = os.path.join(self.folder.name, "haulgate.conf")
        with open(config, "w", encoding="ascii") as f:
            f.write(f"[export]\nconninfo = {self.database.conninfo('haulgate_export')}\n")
        done = subprocess.run([os.path.join(BUILD, "tools", "cli", "haulgate-export"), "--week", WEEK, "--out", out, "--config",
                               config], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_memory_is_constant(self):
        """Method: 300,000 vehicle-days more; the peak stays where it was."""
        name = "LMEM"
        self.database.psql(f"INSERT INTO vehicle (vin) SELECT '{name}' || i FROM generate_series(1, 50000) i;"
                           "INSERT INTO vehicle_day (vehicle_id, day, division_id, samples, engine_on_s, nox_valid_s, "
                           "position_valid_s, gap_s, km, fuel_kg, nox_g, gateway_id) SELECT id, d::date, 211303, 1, 1, 1, 1, 1, 1, 1,"
                           f" 1, 1 FROM vehicle, generate_series(date '2026-12-07', date '2026-12-12', interval '1 day') d "
                           f"WHERE vin LIKE '{name}%'; ANALYZE")
        small, _ = self.peak("2026-W51")
        large, seconds = self.peak("2026-W50")
        print(f"300,000 rows in {seconds:.1f} s, peak {large} KiB (empty week {small} KiB)", flush=True)
        if not SANITIZED:
            self.assertLess(large - small, 2048)

    def peak(self, week):
        """Highest VmHWM seen (ru_maxrss would count this Python before its exec)."""
        start, peak = time.monotonic(), 0
        p = subprocess.Popen([os.path.join(BUILD, "tools", "cli", "haulgate-export"), "--week", week, "--out", self.new_dir(),
                              "--quiet", "--conninfo", self.database.conninfo("haulgate_export")])
        while p.poll() is None:
            with open(f"/proc/{p.pid}/status", encoding="ascii") as f:
                text = f.read()
            if "haulgate" in text and "VmHWM" in text:
                peak = max(peak, int(text.split("VmHWM:")[1].split()[0]))
            time.sleep(0.005)
        self.assertEqual(p.returncode, 0)
        return peak, time.monotonic() - start


if __name__ == "__main__":
    unittest.main(verbosity=2)
