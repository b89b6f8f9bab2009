#!/usr/bin/python3
"""tools/assess against an independent oracle, and against what can be reckoned by hand.

usage: test_assess_tool.py HAULGATE_ASSESS [--trips N] [--seed N]

Random and adversarial trips; every figure must agree to 1e-9.  The largest relative difference is printed.
"""
import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle  # noqa: E402

TOLERANCE = 1e-9
START = 1795478400
COLUMNS = ["at", *oracle.NEEDED]
# 100 kW out of 1000 Nm at 50 % net.
CRUISE = {"net_torque_pct": 58.0, "friction_torque_pct": 8.0, "engine_rpm": 100e3 * 30 / math.pi / 500,
          "fuel_flow_lph": 20.0, "air_flow_kgph": 600.0, "nox_downstream_ppm": 200.0, "coolant_c": 85.0, "baro_kpa": 98.0}
FACTS = {"reference_torque": 1000.0, "rated_power": 300.0, "whtc_work": 10.0}
PROGRAM, TRIPS, SEED = None, 25, 1


def cruise(n, **changes):
    return [{"at": START + i} | CRUISE | changes for i in range(n)]


def write(path, rows, columns=COLUMNS):
    with open(path, "w", encoding="utf-8") as f:
        f.write(",".join(columns) + "\n")
        for row in rows:
            f.write(",".join("" if row.get(c) is None else str(row[c]) if c == "at" else repr(row[c]) for c in columns) + "\n")


def arguments(options):
    for name, value in options.items():
        text = ",".join(map(repr, value)) if name == "thresholds" else value if isinstance(value, str) else repr(value)
        yield from ("--" + name.replace("_", "-"), text)


def run(*words):
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=120)


def assess(rows, columns=COLUMNS, **options):
    """What the program says about these rows, after the oracle agreed."""
    with tempfile.NamedTemporaryFile(suffix=".csv") as f:
        write(f.name, rows, columns)
        out = run(f.name, "--json", *arguments(options))
        assert out.returncode == 0, out.stderr
        result = json.loads(out.stdout)
        compare(result, oracle.assess(f.name, **options))
    return result


largest = {"difference": 0.0, "where": "", "figures": 0}


def compare(got, expected, where=""):
    if isinstance(expected, dict):
        missing = set(expected) ^ set(got) - {"findings"}
        assert not missing, f"{where}: only one side has {missing}"
        for key in expected:
            compare(got[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(got) == len(expected), f"{where}: {got} is not {expected}"
        for i, (a, b) in enumerate(zip(got, expected)):
            compare(a, b, f"{where}[{i}]")
    elif expected is None or isinstance(expected, int):
        assert got == expected and (got is None) == (expected is None), f"{where}: {got} is not {expected}"
    else:
        assert got is not None, f"{where}: null is not {expected!r}"
        difference = abs(got - expected) / abs(expected) if expected else abs(got)
        largest["figures"] += 1
        if difference > largest["difference"]:
            largest.update(difference=difference, where=where)
        assert difference <= TOLERANCE, f"{where}: {got!r} is not {expected!r}, off by {difference:.3g}"


# ---- random trips ----

def burst(r, rows, name, value, most):
    a = r.randrange(len(rows))
    for row in rows[a:a + r.randint(1, most)]:
        row[name] = value


def driving(r, n):
    """A truck that idles, accelerates and cruises; each value on its own grid, as on the wire, or not."""
    load, rows = 0.3, []
    for i in range(n):
        load = min(1, max(-0.2, load + r.gauss(0, 0.08)))
        fuel = max(0.8, 45 * load + r.gauss(0, 1))
        rows.append({"at": START + i, "net_torque_pct": float(round(100 * load)), "friction_torque_pct": float(r.randint(6, 12)),
                     "engine_rpm": 600 + 900 * abs(load) + r.uniform(0, 50), "fuel_flow_lph": fuel,
                     "air_flow_kgph": 80 + 18 * fuel, "nox_downstream_ppm": r.gauss(60, 60) if r.random() < 0.9 else r.uniform(0, 2900),
                     "coolant_c": float(min(85, 40 + i // 5)), "baro_kpa": 98.0})
    return rows


def wide(r, n):
    """Values over a dozen orders of magnitude, large ones in bursts: differences of running sums would drown in them."""
    rows, small = [], True
    for i in range(n):
        small = small if r.random() < 0.98 else not small
        scale = r.uniform(-12, -4) if small else r.uniform(-3, 0)
        rows.append({"at": START + i, "net_torque_pct": 125 * 10**r.uniform(-6, 0), "friction_torque_pct": 0.0,
                     "engine_rpm": r.uniform(500, 8000), "fuel_flow_lph": 200 * 10**r.uniform(-12, 0),
                     "air_flow_kgph": 3200 * 10**r.uniform(-9, 0), "nox_downstream_ppm": 3000 * 10**scale, "coolant_c": 80.0,
                     "baro_kpa": 100.0})
    return rows


def faults(r, rows):
    """Holes, silent sensors, a stopped engine, a mountain, seconds that came twice."""
    for name in ("nox_downstream_ppm", "air_flow_kgph", "fuel_flow_lph", "net_torque_pct", "friction_torque_pct", "engine_rpm"):
        if r.random() < 0.4:
            burst(r, rows, name, None, 200)
    if r.random() < 0.3:
        burst(r, rows, "engine_rpm", r.choice([0.0, 399.875, 400.0]), 700)
    if r.random() < 0.3:
        burst(r, rows, "baro_kpa", r.choice([82.0, 82.5, None]), 400)
    if r.random() < 0.3:
        burst(r, rows, "nox_downstream_ppm", r.choice([-200.0, -20.0, 3012.75, 3000.0]), 100)
    if r.random() < 0.2:
        for row in rows:
            if r.random() < 0.3:
                row["nox_downstream_ppm"] = None
    for _ in range(r.randrange(3)):
        a, hole = r.randrange(len(rows)), r.choice([1, 2, 30, 598, 599, 600, 601, 5000])
        for row in rows[a:]:
            row["at"] += hole
    for _ in range(r.randrange(4)):
        a = r.randrange(len(rows))
        rows.insert(a, dict(rows[a], nox_downstream_ppm=7.0))


def random_options(r):
    o = {"reference_torque": r.choice([700.0, 1900.0, 2600.0, r.uniform(1, 10000)]),
         "rated_power": r.choice([120.0, 260.0, 380.0, r.uniform(1, 2000)]), "whtc_work": 10**r.uniform(-1.5, 1.5)}
    for name in list(o):
        if r.random() < 0.08:
            del o[name]
    if r.random() < 0.5:
        o |= {"torque": r.choice(["net", "indicated"]), "fuel_density": r.uniform(0.78, 0.9), "limit": r.choice([460.0, 690.0, 1200.0]),
              "thresholds": tuple(float(r.randint(0, 60)) for _ in range(r.randint(1, 6))), "co2": r.uniform(500, 800)}
    if r.random() < 0.3:
        o["baro_min"] = r.choice([0.0, 76.0, 82.5])
    return o


class Oracle(unittest.TestCase):
    def test_random_trips(self):
        for i in range(TRIPS):
            r = random.Random(f"{SEED}.{i}")
            rows = (wide if r.random() < 0.3 else driving)(r, r.choice([1, 2, 30, 299, 300, 301, 302, 600, 1500, 2500]))
            if r.random() < 0.7:
                faults(r, rows)
            with self.subTest(trip=i):
                assess(rows, **random_options(r))


class ByHand(unittest.TestCase):
    def near(self, got, expected, tolerance=1e-12):
        self.assertLessEqual(abs(got - expected), tolerance * abs(expected), f"{got!r} is not {expected!r}")

    def test_constant_drive(self):
        """100 kW, 200 ppm, 600 kg/h air, 20 L/h: in the trip and in each window the same."""
        result = assess(cruise(1500), **FACTS)
        trip, work = result["trip"], result["work_window"]
        self.near(trip["nox_g"], 0.001587 * 200 * 616.8 / 2.4)
        self.near(trip["nox_mgpkwh"], 1957.7232)
        self.near(trip["nox_gpkg"], 11.6531142857142857)
        self.near(trip["work_kwh"], 1500 / 36)
        # 10 kWh take 360 s.
        self.assertEqual([(w["windows"], w["valid"]) for w in work], [(1141, 1141)] * 3)
        for figure in ("min_mgpkwh", "max_mgpkwh", "p90_mgpkwh"):
            self.near(work[0][figure], 1957.7232)
            self.near(result["fuel_window"][figure.replace("mgpkwh", "gpkg")], 11.6531142857142857)
        self.near(work[0]["conformity_factor"], 1957.7232 / 690)
        self.near(result["co2_window"]["p90_gpkg"], 11.6531142857142857 / 3.16)
        self.assertEqual(result["two_bin"]["bin2_windows"], 1201)

    def test_threshold_is_exceeded_not_reached(self):
        result = assess(cruise(500), thresholds=(20.000001, 20.0, 19.999999), **FACTS | {"rated_power": 500.0})
        self.assertEqual([w["valid"] for w in result["work_window"]], [0, 0, 141])

    def test_co2_window_may_last_as_long_as_its_limit(self):
        """53.088 kg/h at 530.88 g/kWh are the CO2 of 100 kW: 10 kWh last 360 s."""
        for power, valid in ((500.0, 241), (499.0, 241), (501.0, 0)):
            window = assess(cruise(600), **FACTS | {"rated_power": power, "co2": 530.88})["co2_window"]
            self.assertEqual((window["windows"], window["valid"]), (241, valid), power)

    def test_window_ends_at_the_first_sample_that_reaches(self):
        """One more in 1e-9 of the reference needs one second more."""
        self.assertEqual(assess(cruise(500), **FACTS | {"whtc_work": 10.00000001})["work_window"][0]["windows"], 140)
        self.assertEqual(assess(cruise(500), **FACTS | {"whtc_work": 9.99999999})["work_window"][0]["windows"], 141)
        # These many seconds of 100 kW reach the reference, though the sum of their doubles is a little less.
        for seconds in (7, 11, 14, 31, 65):
            self.assertEqual(assess(cruise(100), **FACTS | {"whtc_work": seconds / 36})["work_window"][0]["windows"], 101 - seconds)

    def test_no_window_over_a_hole_of_600_s(self):
        for hole, windows, intervals in ((599, 441, 500), (600, 82, 202)):
            rows = cruise(800)
            for row in rows[400:]:
                row["at"] += hole
            result = assess(rows, **FACTS)
            self.assertEqual(result["work_window"][0]["windows"], windows)
            self.assertEqual(result["trip"]["missing_s"], hole)
            self.assertEqual(result["two_bin"]["bin2_windows"], intervals)

    def test_silence_of_a_sensor_is_a_hole_too(self):
        for silent, windows in ((599, 441), (600, 82)):
            rows = cruise(800 + silent)
            for row in rows[400:400 + silent]:
                row["nox_downstream_ppm"] = None
            result = assess(rows, **FACTS)
            self.assertEqual(result["work_window"][0]["windows"], windows)
            self.assertEqual(result["trip"]["excluded"]["nox_invalid"], silent)
            self.near(result["trip"]["nox_mgpkwh"], 1957.7232)

    def test_cold_start(self):
        rows = cruise(1000, coolant_c=69.0, nox_downstream_ppm=2000.0)[:300] + cruise(1000)[300:]
        rows[300]["coolant_c"] = 70.0
        for row in rows[301:400]:
            row["coolant_c"] = 60.0
        trip = assess(rows, **FACTS)["trip"]
        self.assertEqual((trip["excluded"]["before_warm"], trip["valid"]), (300, 700))
        self.near(trip["nox_mgpkwh"], 1957.7232)
        result = assess(cruise(500, coolant_c=None), **FACTS)
        self.assertEqual((result["trip"]["nox_g"], result["work_window"], result["two_bin"]), (None, None, None))

    def test_edges_of_altitude_and_of_a_running_engine(self):
        for name, reason, inside, outside in (("baro_kpa", "altitude", 82.5, 82.0), ("engine_rpm", "engine_off", 400.0, 399.875)):
            for value, excluded in ((inside, 0), (outside, 100), (None, 0)):
                rows = cruise(200) + [row | {"at": row["at"] + 200} for row in cruise(100, **{name: value})]
                self.assertEqual(assess(rows, **FACTS)["trip"]["excluded"][reason], excluded, (name, value))
        trip = assess(cruise(100, baro_kpa=60.0), baro_min=0.0, **FACTS)["trip"]
        self.assertEqual(trip["excluded"]["altitude"], 0)

    def test_nearest_rank(self):
        """Each window is one second of 1 kWh, so its result is that second's: 1, 2, .. N times."""
        for n, rank in ((1, 1), (9, 9), (10, 9), (11, 10), (19, 18), (20, 18), (21, 19), (100, 90), (101, 91)):
            rows = cruise(n)
            for i, row in enumerate(rows):
                row["nox_downstream_ppm"] = float((i * 37) % n + 1) if math.gcd(37, n) == 1 else float(i + 1)
            window = assess(rows, **FACTS | {"whtc_work": 1 / 36})["work_window"][2]
            self.near(window["p90_mgpkwh"], rank * 1957.7232 / 200)
            self.near(window["max_mgpkwh"], n * 1957.7232 / 200)
            self.near(window["min_mgpkwh"], 1957.7232 / 200)

    def test_torque_below_friction_is_none(self):
        result = assess(cruise(500, net_torque_pct=5.0), **FACTS)
        self.assertEqual(result["trip"]["work_kwh"], 0)
        self.assertIsNone(result["trip"]["nox_mgpkwh"])
        self.assertEqual(result["work_window"][0]["windows"], 0)
        self.assertIsNone(result["work_window"][0]["p90_mgpkwh"])
        rows = cruise(500) + [row | {"at": row["at"] + 500} for row in cruise(500, net_torque_pct=-100.0)]
        self.near(assess(rows, **FACTS)["trip"]["work_kwh"], 500 / 36)

    def test_net_torque_needs_no_friction(self):
        columns = [c for c in COLUMNS if c != "friction_torque_pct"]
        trip = assess(cruise(100, net_torque_pct=50.0), columns, torque="net", **FACTS)["trip"]
        self.near(trip["nox_mgpkwh"], 1957.7232)
        trip = assess(cruise(100), columns, **FACTS)["trip"]
        self.assertIsNone(trip["work_kwh"])
        self.near(trip["nox_gpkg"], 11.6531142857142857)

    def test_two_bin_edge(self):
        """CO2 of 100 kW: 6.00 % of 1666.67 kW; up to 6.005 % rounds to it."""
        for percent, bin_ in ((5.9, 1), (6.0, 1), (6.0049, 1), (6.0051, 2), (6.1, 2)):
            result = assess(cruise(310), rated_power=100 / (percent / 100), co2=530.88)["two_bin"]
            self.assertEqual(result[f"bin{bin_}_windows"], 11, percent)
            self.assertEqual(result[f"bin{3 - bin_}_windows"], 0, percent)
        self.near(result["bin2_nox_mgpkwh"], 1957.7232)
        result = assess(cruise(310), rated_power=2000.0, co2=530.88)["two_bin"]
        self.near(result["bin1_nox_gph"], 195.77232)

    def test_two_bin_keeps_negative_mass_and_drops_single_points(self):
        result = assess(cruise(310, nox_downstream_ppm=-10.0), **FACTS)
        self.assertLess(result["two_bin"]["bin2_nox_mgpkwh"], 0)
        self.assertEqual(result["trip"]["nox_g"], 0)
        rows = cruise(400)
        for row in rows[300::2]:
            row["nox_downstream_ppm"] = None
        self.assertEqual(assess(rows, **FACTS)["two_bin"]["bin2_windows"], 1)

    def test_two_bin_interval_ends_with_a_pair(self):
        """The 300th second stands behind a gap: it is no pair with the one before, so the first interval has 301."""
        rows = cruise(301, nox_downstream_ppm=0.0)
        rows[300]["nox_downstream_ppm"] = 200.0
        result = assess([row for row in rows + [rows[300] | {"at": START + 301}] if row["at"] != START + 299], **FACTS)
        two_bin = result["two_bin"]
        self.assertEqual(two_bin["bin2_windows"], 2)
        # Of 601 seconds of CO2 four have the NOx of 200 ppm.
        self.near(two_bin["bin2_nox_mgpkwh"], 4 / 601 * 11.6531142857142857 / 3.16 * 650, 1e-9)

    def test_negative_and_impossible_readings(self):
        trip = assess(cruise(100, nox_downstream_ppm=3012.75), **FACTS)["trip"]
        self.assertEqual((trip["valid"], trip["excluded"]["nox_invalid"], trip["nox_g"]), (0, 100, None))


class Metamorphic(unittest.TestCase):
    def trip(self):
        r = random.Random("metamorphic")
        rows = driving(r, 2000)
        for row in rows:
            row["nox_downstream_ppm"] = abs(row["nox_downstream_ppm"]) / 2
        return rows

    def test_double_ppm_doubles_everything(self):
        rows = self.trip()
        once = assess(rows, **FACTS)
        for row in rows:
            row["nox_downstream_ppm"] *= 2
        twice = assess(rows, **FACTS)
        for section, figure in (("trip", "nox_mgpkwh"), ("trip", "nox_gpkg"), ("co2_window", "p90_gpkg"), ("two_bin", "bin2_nox_mgpkwh")):
            self.assertAlmostEqual(twice[section][figure], 2 * once[section][figure], delta=1e-9)
        for a, b in zip(once["work_window"], twice["work_window"]):
            self.assertEqual(a["valid"], b["valid"])
            self.assertAlmostEqual(b["p90_mgpkwh"], 2 * a["p90_mgpkwh"], delta=1e-9)

    def test_an_hour_without_values_changes_nothing(self):
        rows = self.trip()
        end = rows[-1]["at"]
        before = assess(rows, **FACTS)
        after = assess(rows + [{"at": end + 1 + i} for i in range(3600)], **FACTS)
        for section in ("work_window", "co2_window", "fuel_window", "two_bin"):
            self.assertEqual(before[section], after[section])
        self.assertEqual(before["trip"]["nox_mgpkwh"], after["trip"]["nox_mgpkwh"])

    def test_order_of_trips_does_not_change_sums(self):
        rows = self.trip()
        swapped = [row | {"at": START + i} for i, row in enumerate(rows[1000:] + rows[400:1000])]
        straight = [row | {"at": START + i} for i, row in enumerate(rows[400:])]
        a, b = assess(swapped, **FACTS)["trip"], assess(straight, **FACTS)["trip"]
        self.assertEqual(a, b)

    def test_scale_of_torque_and_reference(self):
        rows = self.trip()
        a = assess(rows, **FACTS)["work_window"]
        b = assess(rows, reference_torque=4000.0, rated_power=1200.0, whtc_work=40.0)["work_window"]
        for x, y in zip(a, b):
            self.assertEqual((x["windows"], x["valid"]), (y["windows"], y["valid"]))
            self.assertAlmostEqual(x["p90_mgpkwh"], 4 * y["p90_mgpkwh"], delta=1e-9)

    def test_a_tenth_missing_changes_little(self):
        rows, r = self.trip(), random.Random("tenth")
        whole = assess(rows, **FACTS)["trip"]["nox_mgpkwh"]
        part = assess([row for row in rows if r.random() >= 0.1], **FACTS)["trip"]["nox_mgpkwh"]
        self.assertLess(abs(part / whole - 1), 0.02)

    def test_a_higher_threshold_never_adds_windows(self):
        valid = [w["valid"] for w in assess(self.trip(), thresholds=tuple(map(float, range(0, 95, 5))), **FACTS)["work_window"]]
        self.assertEqual(valid, sorted(valid, reverse=True))
        self.assertGreater(valid[0], valid[-1])


class Tool(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "trip.csv")

    def tearDown(self):
        self.folder.cleanup()

    def text(self, text, *words):
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(text)
        return run(self.path, *words)

    def refused(self, out, *parts, code=1):
        self.assertEqual(out.returncode, code, out.stderr)
        self.assertEqual(out.stdout, "")
        for part in parts:
            self.assertIn(part, out.stderr)

    def test_times(self):
        for first, second in (("1795478400", "1795478401"), ("1795478400.0", "1795478401.00"),
                              ("2026-11-24T04:00:00Z", "2026-11-24T12:00:01+08:00")):
            out = self.text(f"at,coolant_c\n{first},80\n{second},80\n", "--json")
            self.assertEqual(json.loads(out.stdout)["trip"]["missing_s"], 0, out.stderr)
        for bad in ("", "yesterday", "1795478400.5", "2026-11-24", "-5", "1e9", "17954784001795478400"):
            self.refused(self.text(f"at,coolant_c\n1,80\n{bad},80\n"), "line 3: at:")

    def test_files_that_are_none(self):
        self.refused(self.text("at,coolant_c\n10,80\n9,80\n"), "line 3: at goes back by 1 s")
        self.refused(self.text("at,coolant_c\n10,warm\n"), "line 2: coolant_c: 'warm' is no number")
        self.refused(self.text("at,coolant_c\n10,0x50\n"), "line 2: coolant_c")
        self.refused(self.text("at,coolant_c\n10,80,3\n"), "line 2 has 3 cells")
        self.refused(self.text("at,coolant_c,coolant_c\n10,80,3\n"), "'coolant_c' stands twice")
        self.refused(self.text("time,coolant_c\n10,80\n"), "no column 'at'")
        self.refused(self.text("at,coolant_c\n"), "holds no sample")
        self.refused(self.text(""), "trip.csv")
        self.refused(run(self.path + ".none"), "trip.csv.none")

    def test_columns_nobody_knows_and_values_no_field_holds(self):
        out = self.text("at,coolant_c,weather,net_torque_pct,fuel_flow_lph,driver\n10,80,fine,500,-0.01,Li\n11,nan,,,,\n", "--json")
        self.assertEqual(out.returncode, 0)
        self.assertIn("note: columns not used: weather, driver\n", out.stderr)
        self.assertIn("note: 1 values of net_torque_pct are outside", out.stderr)
        self.assertIn("note: 1 values of fuel_flow_lph are outside", out.stderr)
        self.assertEqual(json.loads(out.stdout)["trip"]["excluded"]["nox_invalid"], 2)
        # Nothing that a file may hold is too much for the sums.
        extreme = "125,-125,8031.875,200,3212.75,3000,210\n"
        out = self.text("at,net_torque_pct,friction_torque_pct,engine_rpm,fuel_flow_lph,air_flow_kgph,nox_downstream_ppm,coolant_c\n" +
                        "".join(f"{START + i},{extreme}" for i in range(400)), "--json", "--reference-torque", "10000", "--rated-power", "1",
                        "--whtc-work", "0.01", "--fuel-density", "2", "--co2", "5000")
        self.assertEqual(json.loads(out.stdout)["work_window"][0]["windows"], 400, out.stderr)

    def test_arguments(self):
        for words in ((), ("a", "b"), ("a", "--limit", "x"), ("a", "--limit", "0"), ("a", "--rated-power", "nan"), ("a", "--torque", "gross"),
                      ("a", "--thresholds", "20,,10"), ("a", "--thresholds", "101"), ("a", "--what"), ("a", "--fuel-density", "840")):
            self.refused(run(*words), "--help", code=2)
        out = run("--help")
        self.assertEqual(out.returncode, 0)
        self.assertIn("--whtc-work KWH", out.stdout)

    def test_people_are_told_what_is_missing(self):
        write(self.path, cruise(400))
        out = run(self.path).stdout
        self.assertIn("no work: the reference torque is not known", out)
        self.assertIn("work windows: cannot be computed: the reference torque is not known", out)
        self.assertIn("CO2 windows: cannot be computed: the rated power is not known", out)
        out = run(self.path, *arguments(FACTS)).stdout
        self.assertIn("p90_mgpkwh 1957.72", out)
        self.assertIn("an assumed 650 g/kWh", out)

    def test_findings(self):
        """A dead catalyst over a Beijing midnight: found on both days; a good one: on none."""
        columns = COLUMNS + ["scr_in_c", "scr_out_c", "dpf_dp_kpa", "lon", "lat"]
        midnight = START - (START + 8 * 3600) % 86400 + 86400
        hot = {"scr_in_c": 320.0, "scr_out_c": 310.0, "dpf_dp_kpa": 5.0, "lon": 120.45, "lat": 41.57}
        for ppm, days in ((1500.0, 2), (60.0, 0)):
            write(self.path, [row | hot | {"at": midnight - 2400 + i} for i, row in enumerate(cruise(4800, nox_downstream_ppm=ppm))], columns)
            findings = json.loads(run(self.path, "--json", *arguments(FACTS)).stdout)["findings"]
            self.assertEqual([f["rule"] for f in findings], ["nox_high"] * days)
        write(self.path, [row | hot | {"at": midnight + i} for i, row in enumerate(cruise(2400, nox_downstream_ppm=1500.0))], columns)
        finding = json.loads(run(self.path, "--json").stdout)["findings"][0]
        self.assertEqual((finding["severity"], finding["value"], finding["limit"]), (4, 1500, 500))
        self.assertTrue(finding["from"].startswith("2026-11-25T00:"))
        self.assertIn("nox_g", finding["measured"])


def main():
    global PROGRAM, TRIPS, SEED
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--trips", type=int, default=TRIPS)
    parser.add_argument("--seed", type=int, default=SEED)
    a = parser.parse_args()
    PROGRAM, TRIPS, SEED = a.program, a.trips, a.seed
    result = unittest.main(argv=[sys.argv[0]], exit=False).result
    print(f"largest relative difference {largest['difference']:.3g} at {largest['where']}, of {largest['figures']} figures, {TRIPS} random trips")
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
