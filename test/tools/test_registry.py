"""tools/registry against a real PostgreSQL: lists in and out, every kind of bad file, history, policies."""
import csv
import datetime
import hashlib
import io
import os
import re
import subprocess
import unittest
import zipfile

import openpyxl

from operator_tools import BUILD, TOP, VINS, Case, await_true

HEADING = "车架号,车牌号,排放阶段,车队,类别,参考扭矩,额定功率,whtc_work_kwh,ICCID,芯片,终端编号,valid_to\n"
ROWS = [f"{VINS[0]},辽N11111,国六b,朝阳运输,牵引车,2300,300,25.5,12345678901234567890,CHIP000000000001,S1,2026-12-31\n",
        f"{VINS[1]},辽N22222,国五,朝阳运输,货车,1800.5,,,,,,\n",
        f'{VINS[2]},"辽""N,3",VI-a,凌源车队,,,,,,,S3,2027/1/2 03:04:05\n']
LIST = HEADING + "".join(ROWS)
STORED = (f"{VINS[0]}|辽N11111|tractor|VI-b|2300|300|25.5|朝阳运输|registered|2026-12-31 23:59:59|S1|12345678901234567890|CHIP000000000001\n"
          f"{VINS[1]}|辽N22222|truck|V|1800.5|||朝阳运输|registered||||\n"
          f'{VINS[2]}|辽"N,3|truck|VI-a||||凌源车队|registered|2027-01-02 03:04:05|S3||')


class Registry(Case):
    def registry(self, *args, **more):
        return self.run_tool("registry", *args, **more)

    def load(self, content, *more, name="list.csv", code=0):
        return self.registry("import", self.write(name, content), *more, code=code)

    def stored(self):
        return self.psql("SELECT vin, plate, category, stage, reference_torque_nm, rated_power_kw, whtc_work_kwh, fleet, state,"
                         " to_char(valid_to AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'), serial, iccid, chip_id"
                         " FROM registry.vehicles ORDER BY vin")

    def refused(self, content, *told, name="list.csv", more=()):
        """The file is refused with these words, dry or not, and nothing changes."""
        before = self.stored(), self.audit(), self.psql("SELECT count(*) FROM fleet")
        for dry in ["--dry-run"], []:
            self.load(content, *dry, *more, name=name, code=1)
            for words in told:
                self.assertIn(words, self.stdout + self.stderr)
        self.assertEqual((self.stored(), self.audit(), self.psql("SELECT count(*) FROM fleet")), before)

    # ---- what is read ----

    def test_every_way_to_write_the_same_list(self):
        book = openpyxl.Workbook()
        for line in csv.reader(io.StringIO(LIST)):
            book.active.append(line)
        book.save(self.path("a.xlsx"))
        with open(self.path("a.xlsx"), "rb") as f:
            xlsx = f.read()
        self.load(LIST, "--create-fleets")
        self.assertEqual(self.stored(), STORED)
        for name, content in (("bom.csv", "\ufeff" + LIST), ("gb.csv", LIST.encode("gb18030")), ("a.xlsx", xlsx),
                              ("lf.csv", LIST.replace("\n", "\r\n")), ("last.csv", LIST[:-1]), ("blank.csv", "\n\n" + LIST + ",,,\n\n"),
                              ("wide.csv", LIST.replace(VINS[0], " \u3000" + VINS[0].lower() + "\u00a0")),
                              ("units.csv", LIST.replace("参考扭矩", "参考扭矩 (Nm)").replace("额定功率", "额定功率（kW）"))):
            with self.subTest(name):
                self.assertIn("0 inserted, 0 updated, 3 unchanged", self.load(content, name=name))
                self.assertEqual(self.stored(), STORED)
        self.assertIn("GB 18030", self.load(LIST.encode("gb18030")))
        self.assertEqual(self.psql("SELECT count(*) FROM registry_history"), "0")  # no import changed anything

    def test_cells_of_a_spreadsheet(self):
        book = openpyxl.Workbook()
        hidden = book.active
        hidden.append(["nothing"])
        hidden.sheet_state = "hidden"
        sheet = book.create_sheet("车辆")
        book.active = 1
        sheet.append(["VIN", "Plate", "valid_from", "额定功率", "终端编号", None, "reference_torque_nm"])
        sheet.append([VINS[0], 12345, datetime.date(2026, 1, 2), 300, 123456789012345, None, "2000"])
        sheet.append([])
        sheet.append([VINS[1], "辽N", datetime.datetime(2026, 1, 2, 3, 4, 5), 300.25])
        sheet.append([VINS[2], None, "2026/1/2 3:04"])
        book.save(self.path("a.xlsx"))
        self.registry("import", "a.xlsx")
        self.assertEqual(self.psql("SELECT vin, plate, to_char(valid_from AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'),"
                                   " rated_power_kw, serial, reference_torque_nm FROM registry.vehicles ORDER BY vin"),
                         f"{VINS[0]}|12345|2026-01-02 00:00:00|300|123456789012345|2000\n"
                         f"{VINS[1]}|辽N|2026-01-02 03:04:05|300.25||\n{VINS[2]}||2026-01-02 03:04:00|||")

    def test_the_1904_epoch_of_a_mac(self):
        book = openpyxl.Workbook()
        book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
        book.active.append(["vin", "valid_from"])
        book.active.append([VINS[0], datetime.datetime(2026, 1, 2)])
        book.save(self.path("a.xlsx"))
        self.registry("import", "a.xlsx")
        self.assertEqual(self.psql("SELECT valid_from AT TIME ZONE 'Asia/Shanghai' FROM vehicle"), "2026-01-02 00:00:00")

    # ---- what is refused ----

    def test_every_problem_is_told_with_its_place(self):
        self.load("vin,fleet,chip_id\n" + f"{VINS[4]},there,CHIP9\n", "--create-fleets")
        self.refused("vin,plate,排放阶段,fleet,参考扭矩,iccid,chip_id,valid_from,valid_to,类别\n"
                     f"{VINS[0]},=1+1,国七,there,0,123,CHIP9,2026-02-30,2026-13-01,car\n"
                     f"LTEST00000000000I,,,,,,,,,\n,辽N1,,,,,,,,\n"
                     f"{VINS[1]},,,,99999,,A B,2026-01-02,2026-01-01,\n"
                     f"{VINS[0]},{'x' * 21},,nowhere,1e3x,,,,,\n"
                     f"{VINS[2]},,,,nan,,,yesterday,,\n{VINS[3]},,,,,,,,2026-01-01 25:00,\n",
                     "line 2, column B: plate '=1+1': it begins like a formula",
                     "line 2, column C: stage '国七': allowed are III (国三), IV (国四), V (国五), VI-a (国六a), VI-b (国六b)",
                     "line 2, column E: reference_torque_nm '0': allowed is a number from 10 to 20000",
                     "line 2, column F: iccid '123': allowed are 20 letters and digits",
                     f"line 2, column G: chip_id CHIP9 is {VINS[4]}'s, too",
                     "line 2, column H: valid_from '2026-02-30': allowed is a date",
                     "line 2, column I: valid_to '2026-13-01'", "line 2, column J: category 'car': allowed are truck (货车)",
                     "line 3, column A: vin 'LTEST00000000000I': a VIN is 17 letters and digits without I, O and Q",
                     "line 4, column A: the VIN is missing",
                     "line 5, column E: reference_torque_nm '99999'", "line 5, column G: chip_id 'A B'",
                     "line 5: valid_to lies before valid_from",
                     f"line 6, column A: vin {VINS[0]}: line 2 has it already", "line 6, column B: plate",
                     "line 6, column D: fleet 'nowhere' is not there (1 lines)", "line 6, column E", "line 7, column E",
                     "line 7, column H: valid_from 'yesterday'", "line 8, column I", "20 problems, nothing was changed")
        lines = [int(m) for m in re.findall(r"^line (\d+)", self.stdout, re.M)]
        self.assertEqual(lines, sorted(lines))

    def test_headings(self):
        self.refused("vin,colour\n", "column B: the heading 'colour' is not known")
        self.refused("vin,plate,车牌号\n", "column C: the heading '车牌号' means plate, which column B is already")
        self.refused("plate\nA\n", "has no column vin")
        self.refused("", "the list is empty")
        self.assertIn("is passed over", self.load(f"vin,备注\n{VINS[0]},x\n", "--ignore-unknown"))

    def test_characters_that_are_none(self):
        broken = LIST.encode().replace("辽N22222".encode(), b"\xe8\xbeN22222")
        self.refused(broken, "line 3 has bytes that are not UTF-8, in a file that is UTF-8 otherwise")
        self.refused(b"\xef\xbb\xbfvin,plate\n" + VINS[0].encode() + b",\xff\n", "line 2 has bytes that are not UTF-8")
        self.refused(b"vin,plate\n" + VINS[0].encode() + b",\xff\xff\n", "line 2 is neither UTF-8 nor GB 18030 (byte ff)")
        self.refused(LIST.encode("utf-16"), "UTF-16")
        self.refused(b"vin\n\0\n", "is no CSV")
        self.refused(f"vin,plate\n{VINS[0]},a\x1b[2Jb\n", "a\\x1b[2Jb")
        self.assertNotIn("\x1b", self.stdout)

    def test_csv_that_is_none(self):
        self.refused(f'vin,plate\n{VINS[0]},"open\n', "line 2: a quote is opened and never closed")
        self.refused(f'vin,plate\n{VINS[0]},"a"b\n', "line 2: text behind a closing quote")
        self.refused("vin" + "," * 300 + "\n", "line 1 has more than 256 columns")
        self.refused(f"vin,plate\n{VINS[0]},{'x' * 5000000}\n", "line 2, column B", "more than 1000 bytes")
        self.refused(b"\xd0\xcf\x11\xe0 old", "old XLS")
        self.registry("import", self.path("absent"), code=1)
        self.registry("import", "/dev/zero", code=1)
        self.assertIn("is no file of at most", self.stderr)

    # ---- XLSX that somebody made to hurt ----

    def xlsx(self, rows, name="a.xlsx"):
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.save(self.path(name))
        with open(self.path(name), "rb") as f:
            return f.read()

    def repacked(self, content, change, level=6):
        """The file with some parts changed: change maps names to bytes."""
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as new:
            for item in old.namelist():
                new.writestr(item, change.get(item, old.read(item)))
            for item in change.keys() - set(old.namelist()):
                new.writestr(item, change[item])
        return out.getvalue()

    def test_formulas_and_errors(self):
        self.refused(self.xlsx([["vin", "plate"], [VINS[0], '=HYPERLINK("http://x")'], [VINS[1], "#N/A"], [VINS[2], True],
                                [VINS[3], 12345678901234567890]]), "line 2, column B: plate '': a formula is not taken",
                     "line 3, column B: plate '#N/A': the spreadsheet shows an error", "line 5, column B", "cut it at 15 digits",
                     name="a.xlsx")
        self.refused(self.xlsx([["vin", "plate"], [VINS[0], "x" * 30000]]), "more than 1000 bytes", name="a.xlsx")
        self.refused(self.xlsx([["vin"] + [None] * 300 + ["x"]]), "row 1 has more than 256 columns", name="a.xlsx")

    def test_damaged_and_cut_files(self):
        good = self.xlsx([["vin", "plate"], *([v, "辽N" + str(i)] for i, v in enumerate(VINS))])
        for size in 10, len(good) // 2, len(good) - 1:
            self.refused(good[:size], "damaged or cut off", name="cut.xlsx")
        place = zipfile.ZipFile(io.BytesIO(good)).getinfo("xl/worksheets/sheet1.xml").header_offset + 60
        self.refused(good[:place] + bytes([good[place] ^ 0xFF]) + good[place + 1:], "sheet1.xml", name="flipped.xlsx")
        self.refused(self.repacked(good, {"xl/workbook.xml": b"<workbook/>"}), "no visible sheet", name="a.xlsx")
        self.refused(self.repacked(good, {"xl/worksheets/sheet1.xml": b"<worksheet><sheetData><row>"}), "save the sheet again", name="a.xlsx")
        self.refused(self.repacked(good, {"xl/worksheets/sheet1.xml": b"<a>" * 1000}), "nests too deep", name="a.xlsx")
        row = b'<row r="1"><c r="A1" t="str"><v>vin</v></c></row>'
        twice = b"<worksheet><sheetData>" + row + row + b"</sheetData></worksheet>"
        self.refused(self.repacked(good, {"xl/worksheets/sheet1.xml": twice}), "stands behind row 1", name="a.xlsx")
        self.refused(b"PK\x03\x04" + b"x" * 100, "damaged or cut off", name="a.xlsx")

    def test_bombs(self):
        good = self.xlsx([["vin"], [VINS[0]]])
        entities = (b'<!DOCTYPE w [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
                    b'<worksheet><sheetData><row r="1"><c r="A1" t="str"><v>&b;</v></c></row></sheetData></worksheet>')
        self.refused(self.repacked(good, {"xl/worksheets/sheet1.xml": entities}), "has a DOCTYPE", name="a.xlsx")
        self.refused(self.repacked(good, {"xl/worksheets/sheet1.xml": entities.replace(b'"aaaaaaaaaa"', b'SYSTEM "file:///etc/passwd"')}),
                     "has a DOCTYPE", name="a.xlsx")
        # 129 MiB of shared strings in 130 KiB: the limit is on what is unpacked, not on what the file claims.
        text = b"<sst><si><t>" + b" " * (129 << 20)
        self.refused(self.repacked(good, {"xl/sharedStrings.xml": text}), "unpacks to more than 128 MiB", name="bomb.xlsx")
        self.assertLess(os.path.getsize(self.path("bomb.xlsx")), 1 << 20)
        cells = b"".join(b'<c r="A1" t="str"><v>' + b"x" * 999 + b"</v></c>" for _ in range(2000))
        self.refused(self.repacked(good, {"xl/worksheets/sheet1.xml": b'<w><row r="1">' + cells + b"</row></w>"}),
                     "row 1 repeats its cells", name="a.xlsx")

    def test_a_bomb_that_lies_about_its_size(self):
        bomb = self.repacked(self.xlsx([["vin"], [VINS[0]]]), {"xl/sharedStrings.xml": b"<sst><si><t>" + b" " * (129 << 20)})
        size = zipfile.ZipFile(io.BytesIO(bomb)).getinfo("xl/sharedStrings.xml").file_size.to_bytes(4, "little")
        self.assertEqual(bomb.count(size), 2)
        self.refused(bomb.replace(size, (1000).to_bytes(4, "little")), "haulgate-registry: ", name="a.xlsx")

    def test_shared_strings(self):
        """Excel writes texts aside; openpyxl of Debian and our own export write them inline."""
        strings = (f"<sst><si><t>vin</t></si><si><t>plate</t></si><si><t>{VINS[0]}</t></si>"
                   "<si><r><t>辽N</t></r><r><rPr/><t>12345</t></r><rPh><t>liao</t></rPh></si></sst>")
        cells = [("A1", "s", 0), ("B1", "s", 1), ("A2", "s", 2), ("B2", "s", 3)]
        rows = "".join('<x:row r="%d">' % n + "".join(f'<x:c r="{r}" t="{t}"><x:v>{v}</x:v></x:c>' for r, t, v in cells if r.endswith(str(n)))
                       + "</x:row>" for n in (1, 2))
        sheet = f'<x:worksheet xmlns:x="urn:any"><x:sheetData>{rows}</x:sheetData></x:worksheet>'
        parts = {"xl/sharedStrings.xml": strings.encode(), "xl/worksheets/sheet1.xml": sheet.encode()}
        good = self.repacked(self.xlsx([["x"]]), parts)
        self.load(good, name="a.xlsx")
        self.assertEqual(self.psql("SELECT vin, plate FROM vehicle"), f"{VINS[0]}|辽N12345")
        for wrong in "99", "-1", "x", "99999999999999999999":
            parts["xl/worksheets/sheet1.xml"] = sheet.replace("<x:v>2</x:v>", f"<x:v>{wrong}</x:v>").encode()
            self.refused(self.repacked(good, parts), "the VIN is missing", name="a.xlsx")

    # ---- what is stored ----

    def test_a_dry_run_tells_and_changes_nothing(self):
        self.load(LIST, "--create-fleets")
        before = self.whole_database()
        changed = (LIST.replace("辽N11111", "辽N99999").replace("S1", "S9") + f"{VINS[3]},辽N4,,,,,,,,,,\n").replace("国五", "")
        out = self.load(changed, "--dry-run")
        self.assertIn(f"  update {VINS[0]}: plate 辽N11111 -> 辽N99999, serial S1 -> S9; the terminal is exchanged\n", out)
        self.assertIn(f"  insert {VINS[3]}: plate 辽N4, category truck, state registered\n", out)
        self.assertNotIn(VINS[2] + ":", out.replace("vin " + VINS[2], ""))
        self.assertIn("would be: 1 inserted, 1 updated, 2 unchanged\nterminals: 0 new, 0 corrected, 1 exchanged, 0 removed\n", out)
        self.assertIn("empty cells leave what is stored", out)
        self.assertEqual(self.whole_database(), before)
        self.assertIn("\n1 inserted, 1 updated, 2 unchanged\n", self.load(changed))
        self.assertEqual(self.psql("SELECT state, serial, valid_to IS NULL FROM terminal_identity WHERE vehicle_id ="
                                   f" (SELECT id FROM vehicle WHERE vin = '{VINS[0]}') ORDER BY id"), "removed|S1|f\nactive|S9|t")

    def test_missing_columns_and_empty_cells_lose_nothing(self):
        self.load(LIST, "--create-fleets")
        self.assertIn("0 inserted, 0 updated, 3 unchanged", self.load("vin\n" + "\n".join(VINS[:3]) + "\n"))
        self.assertIn("0 inserted, 0 updated, 3 unchanged", self.load(HEADING + "".join(f"{v}{',' * 11}\n" for v in VINS[:3])))
        self.assertEqual(self.stored(), STORED)
        out = self.load(f"vin,plate,whtc_work_kwh,category,state,chip_id\n{VINS[0]},,,,,\n", "--clear-empty")
        self.assertIn("0 inserted, 1 updated", out)
        self.assertEqual(self.stored().splitlines()[0],
                         f"{VINS[0]}||tractor|VI-b|2300|300||朝阳运输|registered|2026-12-31 23:59:59|S1|12345678901234567890|")
        self.load(f"vin,serial,iccid\n{VINS[0]},,\n", "--clear-empty")
        self.assertEqual(self.psql("SELECT state, serial FROM terminal_identity ORDER BY id LIMIT 1"), "removed|S1")

    def test_states(self):
        self.psql(f"INSERT INTO vehicle (vin, state) VALUES ('{VINS[0]}', 'provisional'), ('{VINS[1]}', 'blocked'), ('{VINS[2]}', 'provisional')")
        self.load(f"vin,状态\n{VINS[0]},\n{VINS[1]},\n{VINS[2]},provisional\n{VINS[3]},报废\n")
        self.assertEqual(self.psql("SELECT state FROM vehicle ORDER BY vin").split(), ["registered", "blocked", "provisional", "retired"])

    def test_what_a_person_sets_during_an_import_stays(self):
        """Method: the import has its plan and waits for a fleet that somebody else is adding; meanwhile others change its vehicles."""
        self.psql(f"INSERT INTO fleet (name) VALUES ('A'), ('C'); INSERT INTO vehicle (vin, fleet_id, state)"
                  f" VALUES ('{VINS[0]}', 1, 'provisional')")
        self.write("list.csv", f"vin,plate,fleet\n{VINS[0]},辽N1,\n{VINS[1]},辽N2,B\n")
        other = self.open_transaction("INSERT INTO fleet (name) VALUES ('B')")
        load = self.start_tool("registry", "import", "list.csv", "--create-fleets")
        await_true("the import to wait", lambda: self.is_waiting("import"))
        move = self.start_sql("move", f"UPDATE vehicle SET fleet_id = 2 WHERE vin = '{VINS[0]}'")
        await_true("the move", lambda: self.is_waiting("move") or move.poll() is not None)
        block = self.start_tool("registry", "block", VINS[0], "--reason", "cloned")
        await_true("the block", lambda: self.is_waiting("block") or block.poll() is not None)
        # A vehicle that the plan did not know: met by a gateway, blocked by a person.
        self.psql(f"INSERT INTO vehicle (vin, state, valid_to) VALUES ('{VINS[1]}', 'blocked', '2030-01-01')")
        self.close_transaction(other, "ROLLBACK")
        for running in load, move, block:
            self.assertEqual((running.communicate()[0], running.returncode)[1], 0)
        self.assertEqual(self.psql("SELECT v.state, plate, f.name, valid_to IS NULL FROM vehicle v JOIN fleet f ON f.id = fleet_id"
                                   " ORDER BY vin"), "blocked|辽N1|C|t\nblocked|辽N2|B|f")
        self.assertEqual(self.audit()[-1][3]["from"], "registered")  # what the import had made of it

    def test_the_audit_line_leads_to_the_vehicles(self):
        self.load(f"vin,plate,serial\n{VINS[0]},辽N1,S1\n{VINS[1]},辽N2,S2\n{VINS[2]},辽N3,S3\n{VINS[3]},辽N4,\n")
        changed = f"vin,plate,serial,maker\n{VINS[0]},辽N9,,\n{VINS[1]},,S9,\n{VINS[2]},,,M\n{VINS[3]},,S4,\n{VINS[4]},辽N5,\n"
        self.load(changed)
        self.load(f"vin,plate\n{VINS[1]},辽N7\n")
        with open(os.path.join(TOP, "docs", "registry.md"), encoding="utf-8") as f:
            query = re.search(r"    (SELECT vin .*?);\n", f.read(), re.S).group(1)
        for content, vins in (changed, VINS), (f"vin,plate\n{VINS[1]},辽N7\n", [VINS[1]]):
            sha256 = hashlib.sha256(content.encode()).hexdigest()
            self.assertEqual(self.psql(query.replace("'SHA256'", f"'{sha256}'"), user="haulgate_operator").split(), vins)

    def test_boxes_can_change_places_in_one_list(self):
        self.load(f"vin,chip_id,iccid\n{VINS[0]},A,{'1' * 20}\n{VINS[1]},B,{'2' * 20}\n")
        self.refused(f"vin,chip_id\n{VINS[0]},B\n", f"chip_id B is {VINS[1]}'s, too")
        self.load(f"vin,chip_id,iccid\n{VINS[0]},B,{'2' * 20}\n{VINS[1]},A,{'1' * 20}\n")
        self.assertEqual(self.psql("SELECT chip_id FROM registry.vehicles ORDER BY vin").split(), ["B", "A"])

    def test_an_import_is_audited_and_remembered(self):
        self.load(LIST, "--create-fleets")
        self.load(LIST.replace("辽N11111", "辽N99999"))
        sha256 = hashlib.sha256(LIST.replace("辽N11111", "辽N99999").encode()).hexdigest()
        self.assertIn(sha256, self.stdout)
        actor, action, subject, detail = self.audit()[-1]
        self.assertEqual((actor, action, subject), ("tester", "registry.import", None))
        self.assertEqual({k: detail[k] for k in ("file", "sha256", "lines", "inserted", "updated", "unchanged")},
                         {"file": "list.csv", "sha256": sha256, "lines": 3, "inserted": 0, "updated": 1, "unchanged": 2})
        self.assertEqual(self.psql("SELECT actor, kind, old ->> 'plate' FROM registry_history"), "tester|vehicle|辽N11111")
        out = self.registry("history", VINS[0])
        self.assertRegex(out, r"tester +vehicle \d+ +plate 辽N11111 -> 辽N99999\n")
        self.registry("history", "LTEST000000000999", code=1)

    def test_a_failure_at_the_commit_changes_nothing(self):
        self.psql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused at commit'; END $$;"
                  "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON audit_log DEFERRABLE INITIALLY DEFERRED"
                  " FOR EACH ROW EXECUTE FUNCTION refuse()")
        self.load(LIST, "--create-fleets", code=1)
        self.assertIn("refused at commit", self.stderr)
        self.assertEqual((self.stored(), self.audit()), ("", []))

    def test_many_lines(self):
        heading = "vin,plate,stage,fleet,serial\n"
        big = heading + "".join(f"LTEST{i:012d},辽N{i},VI-b,F{i % 7},S{i}\n" for i in range(20000))
        self.assertIn("\n20000 inserted, 0 updated, 0 unchanged", self.load(big, "--create-fleets"))
        self.assertIn("20000 lines read", self.stderr)
        self.assertIn("\n0 inserted, 0 updated, 20000 unchanged", self.load(big, "--quiet"))
        self.assertEqual(self.stderr, "")
        self.assertIn("\n0 inserted, 20000 updated, 0 unchanged", self.load(big.replace("VI-b", "V")))
        self.registry("export", "--out", "big.xlsx", "--quiet")
        self.assertIn("\n0 inserted, 0 updated, 20000 unchanged", self.registry("import", "big.xlsx"))

    # ---- out ----

    def test_export_comes_back_as_it_was(self):
        self.load(LIST, "--create-fleets")
        self.psql("UPDATE vehicle SET valid_from = '2026-01-02 03:04:05.678+08', plate = '-1' WHERE vin = '%s';"
                  "UPDATE fleet SET name = '=cmd|x' WHERE name = '凌源车队'" % VINS[1])
        self.psql("INSERT INTO vehicle (vin, state, valid_to) VALUES ('%s', 'provisional', '2030-01-01 00:00:00+08')" % VINS[4])
        for name, more in ("a.csv", []), ("b.csv", ["--chinese"]), ("a.xlsx", []), ("b.xlsx", ["--chinese"]):
            with self.subTest(name):
                self.registry("export", "--out", name, *more)
                self.assertEqual(os.stat(self.path(name)).st_mode & 0o777, 0o640)
                self.registry("export", "--out", name, *more, code=1)  # never overwrites
                self.assertIn("is there already", self.stderr)
        with open(self.path("a.csv"), encoding="utf-8-sig", newline="") as f:
            rows = list(csv.DictReader(f))
        self.assertEqual([r["plate"] for r in rows], ["辽N11111", "'-1", '辽"N,3', ""])
        self.assertEqual(rows[2]["fleet"], "'=cmd|x")
        sheet = openpyxl.load_workbook(self.path("b.xlsx")).active
        self.assertEqual([c.value for c in sheet[1]][:3], ["车架号", "车牌号", "车队"])
        self.assertEqual([c.data_type for c in sheet[4]][:3], ["s", "s", "s"])  # no formula cell
        self.assertEqual(sheet["G2"].value, 300)
        # The names that look like formulas were never taken by an import; the others come back unchanged.
        self.psql("UPDATE fleet SET name = '凌源车队' WHERE name = '=cmd|x'; UPDATE vehicle SET plate = '辽N22222' WHERE plate = '-1'")
        before = self.stored()
        for name in "c.csv", "c.xlsx":
            self.registry("export", "--out", name)
            self.assertIn("\n0 inserted, 0 updated, 4 unchanged", self.registry("import", name))
        self.assertEqual(self.stored(), before)
        self.assertEqual(self.psql(f"SELECT extract(milliseconds FROM valid_from) FROM vehicle WHERE vin = '{VINS[1]}'"), "5678.000")

    def test_an_export_follows_no_link(self):
        """Method: the link lies under the name that the tool takes for the file before it is whole."""
        self.load(f"vin,plate\n{VINS[0]},辽N1\n")
        program = os.path.join(BUILD, "tools", "cli", "haulgate-registry")
        for name in "a.csv", "a.xlsx":
            self.write("precious", "precious")
            done = subprocess.run(["sh", "-c", 'ln -s precious "$1.$$" && exec "$2" export --out "$1" --conninfo "$3"', "sh", name, program,
                                   self.conninfo("haulgate_operator")], cwd=self.dir, capture_output=True, text=True)
            self.assertEqual((done.returncode, self.read("precious")), (1, "precious"), done.stderr)
            self.assertIn("File exists", done.stderr)
            self.assertFalse(os.path.exists(self.path(name)))
        self.assertEqual(len([n for n in os.listdir(self.dir) if os.path.islink(self.path(n))]), 2)

    def test_export_to_stdout(self):
        self.load(f"vin,plate\n{VINS[0]},辽N1\n")
        self.assertTrue(self.registry("export").startswith("\ufeffvin,plate,fleet,"))
        self.registry("export", "--format", "xlsx", code=2)
        self.registry("export", "--format", "pdf", code=2)
        self.registry("export", "--out", "no/folder.csv", code=1)
        self.registry("export", "--out", "no/folder.xlsx", code=1)
        self.assertEqual(sorted(os.listdir(self.dir)), ["list.csv"])

    # ---- one vehicle, one fleet ----

    def test_block_unblock_retire(self):
        self.add_vehicles()
        self.registry("block", VINS[0], code=2)
        self.registry("block", VINS[0], "--reason", "clone")
        self.registry("block", VINS[0], "--reason", "clone", code=1)
        self.registry("unblock", VINS[0], "--reason", "mistake")
        self.registry("unblock", VINS[0], "--reason", "mistake", code=1)
        self.registry("retire", VINS[0], "--reason", "scrapped")
        self.registry("block", VINS[0], "--reason", "x", code=1)
        self.registry("block", "LTEST000000000999", "--reason", "x", code=1)
        self.assertEqual([(a[1], a[2], a[3]["from"], a[3]["to"]) for a in self.audit()],
                         [("registry.block", VINS[0], "registered", "blocked"), ("registry.unblock", VINS[0], "blocked", "registered"),
                          ("registry.retire", VINS[0], "registered", "retired")])
        out = self.registry("history", VINS[0])
        self.assertEqual(len(re.findall(r"state \w+ -> \w+", out)), 3)
        self.assertIn("reason clone", out)

    def test_fleets(self):
        self.registry("fleet", "set", "朝阳运输", "--signature", "required", code=1)
        self.registry("fleet", "set", "朝阳运输", "--create", "--grade", "B-")
        self.registry("fleet", "set", "朝阳运输", "--signature", "required", "--signature-share", "0.25", "--transport", "certificate",
                      "--encryption", "required", "--reason", "pilot")
        self.assertEqual(self.psql("SELECT name, grade, signature, signature_share, transport, encryption FROM fleet"),
                         "朝阳运输|B-|required|0.25|certificate|required")
        for bad in (["--signature", "maybe"], ["--signature-share", "1.5"], ["--signature-share", "x"], ["--transport", "req"],
                    ["--encryption", "inherit"], ["--grade", "E"], []):
            self.registry("fleet", "set", "朝阳运输", *bad, code=2)
        self.assertIn("certificate", self.registry("fleet", "list"))
        self.assertEqual(self.audit()[-1][1:], ("fleet.set", "朝阳运输", {
            "signature": "required", "signature_share": "0.25", "transport": "certificate", "encryption": "required", "reason": "pilot"}))
        self.assertEqual(self.psql("SELECT old ->> 'signature' FROM registry_history ORDER BY id DESC LIMIT 1"), "inherit")

    def test_the_policy_of_activations(self):
        self.assertIn("automatic   30 days", self.registry("policy"))
        self.registry("policy", "--activation", "approval", code=2)
        self.registry("policy", "--activation", "maybe", "--reason", "x", code=2)
        self.assertEqual(self.registry("policy", "--activation", "approval", "--reason", "strangers know VINs"),
                         "activation: automatic -> approval\n")
        self.assertEqual(self.psql("SELECT activation FROM registry_policy"), "approval")
        self.assertEqual(self.audit(), [("tester", "registry.policy", None,
                                         {"from": "automatic", "to": "approval", "reason": "strangers know VINs"})])

    def test_check_digit_is_a_warning(self):
        out = self.load("vin\n1M8GDM9AXKP042788\n1M8GDM9A1KP042788\n11111111111111111\n", "--dry-run")
        self.assertEqual(re.findall(r"warning: line (\d+)", out), ["3"])

    def test_the_page_has_the_columns(self):
        with open(os.path.join(TOP, "docs", "registry.md"), encoding="utf-8") as f:
            self.assertIn(self.run_tool("registry", "columns", database=False), f.read())

    def test_usage(self):
        for args in [], ["import"], ["import", "a", "b"], ["fleet"], ["export", "--dry-run"]:
            self.run_tool("registry", *args, code=2, database=False)
        text = self.run_tool("registry", "--help", database=False)
        self.assertIn("import FILE", text)


if __name__ == "__main__":
    unittest.main()
