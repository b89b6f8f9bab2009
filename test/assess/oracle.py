"""The emissions of a trip by brute force, straight from the text of docs/assess.md and docs/rules.md.

Shares nothing with the C code: reads the CSV itself, keeps all samples, makes each window on its own by adding up from its
start, and adds with math.fsum.  Quadratic, and meant to be.
"""
import bisect
import csv
import datetime
import itertools
import math
from fractions import Fraction

import numpy as np

U_G_PER_KG_PPM = 0.001587
CO2_PER_FUEL = 3.16
EQUAL = 1e-12
HOLE_S = 600
NEEDED = ("net_torque_pct", "friction_torque_pct", "engine_rpm", "fuel_flow_lph", "air_flow_kgph", "nox_downstream_ppm",
          "coolant_c", "baro_kpa")
DEFAULTS = {"reference_torque": None, "rated_power": None, "whtc_work": None, "fuel_density": 0.84, "torque": "indicated",
            "limit": 690.0, "thresholds": (20.0, 15.0, 10.0), "co2": 650.0, "baro_min": 82.5}


def seconds_of(text):
    try:
        return int(float(text))
    except ValueError:
        return int(datetime.datetime.fromisoformat(text).timestamp())


def read(path):
    """Times and a dictionary of columns, NaN where a value is absent; the first sample of a second only, and how many others."""
    with open(path, newline="", encoding="utf-8-sig") as f:
        rows = list(csv.DictReader(f))
    at, kept = [], []
    for row in rows:
        second = seconds_of(row["at"])
        if not at or second != at[-1]:
            at.append(second)
            kept.append(row)
    columns = {name: np.array([float(row.get(name) or "nan") for row in kept]) for name in NEEDED}
    nox, fuel = columns["nox_downstream_ppm"], columns["fuel_flow_lph"]
    nox[(nox > 3000) | (nox < -199.99)] = np.nan
    fuel[fuel > 200] = np.nan
    return np.array(at), columns, len(rows) - len(at)


def windows_by_adding(quantity, reference):
    """For each start the first end at which the quantity since then reaches the reference, or None."""
    ends, array = [], np.array(quantity)
    for i in range(len(quantity)):
        guess = int(np.searchsorted(np.cumsum(array[i:]), reference * (1 - EQUAL)))
        # The running sum rounds; a correctly rounded one decides.
        j = i + max(guess - 2, 0)
        while j < len(quantity) and math.fsum(quantity[i:j + 1]) < reference * (1 - EQUAL):
            j += 1
        while j > i and math.fsum(quantity[i:j]) >= reference * (1 - EQUAL):
            j -= 1
        ends.append(j if j < len(quantity) else None)
    return ends


def windows_by_prefix(quantity, reference):
    """The same by another way: exact prefix sums, as integers."""
    prefix = list(itertools.accumulate((int(Fraction(q) * 2**1074) for q in quantity), initial=0))
    limit = int(Fraction(reference * (1 - EQUAL)) * 2**1074)
    found = [bisect.bisect_left(prefix, prefix[i] + limit, i + 1) - 1 for i in range(len(quantity))]
    return [j if j < len(quantity) else None for j in found]


def pieces(at):
    """Index ranges of samples without a hole between them."""
    cuts = [0, *(i + 1 for i in range(len(at) - 1) if at[i + 1] - at[i] - 1 >= HOLE_S), len(at)]
    return [slice(a, b) for a, b in zip(cuts, cuts[1:]) if b > a]


def windows(at, quantity, mass, reference):
    """(mass / quantity, quantity, seconds) of every window."""
    result = []
    for piece in pieces(at):
        q, m = quantity[piece].tolist(), mass[piece].tolist()
        ends = windows_by_adding(q, reference)
        assert ends == windows_by_prefix(q, reference), "the two searches of the oracle differ"
        for i, j in enumerate(ends):
            if j is not None:
                total = math.fsum(q[i:j + 1])
                result.append((math.fsum(m[i:j + 1]) / total, total, j - i + 1))
    return result


def summary(found, valid, factor, unit):
    values = sorted(w[0] * factor for w in found if valid(w))
    rank = -(-9 * len(values) // 10)
    return {"windows": len(found), "valid": len(values), f"min_{unit}": values[0] if values else None,
            f"max_{unit}": values[-1] if values else None, f"p90_{unit}": values[rank - 1] if values else None}


def two_bin(at, nox_g, co2_kg, co2_kg_per_kwh, rated_kw):
    """40 CFR 1036.530 (c) to (g)."""
    valid = set(at.tolist())
    points = [(t, n, c) for t, n, c in zip(at.tolist(), nox_g.tolist(), co2_kg.tolist()) if t - 1 in valid or t + 1 in valid]
    rates, load_nox, load_co2 = [], [], []
    for i, (start, _, _) in enumerate(points):
        if start + 1 not in valid:
            continue
        for j in range(i + 299, len(points)):
            if points[j][0] - points[j - 1][0] == 1:
                break
        else:
            continue
        interval = points[i:j + 1]
        if any(b[0] - a[0] - 1 >= HOLE_S for a, b in zip(interval, interval[1:])):
            continue
        seconds = len(interval)
        nox, co2 = math.fsum(p[1] for p in interval), math.fsum(p[2] for p in interval)
        if round(10000 * co2 / (co2_kg_per_kwh * rated_kw * seconds / 3600)) <= 600:
            rates.append(nox / seconds)
        else:
            load_nox.append(nox)
            load_co2.append(co2)
    return {"bin1_windows": len(rates), "bin1_nox_gph": math.fsum(rates) / len(rates) * 3600 if rates else None,
            "bin2_windows": len(load_nox),
            "bin2_nox_mgpkwh": 1000 * math.fsum(load_nox) / math.fsum(load_co2) * co2_kg_per_kwh if load_nox else None}


def work_windows(at, work, mass, o):
    if not o["whtc_work"] or not o["rated_power"] or not len(at):
        return None
    found, rows = windows(at, work, mass, o["whtc_work"]), []
    for threshold in o["thresholds"]:
        least = threshold / 100 * o["rated_power"]
        row = {"threshold_pct": threshold,
               **summary(found, lambda w: w[1] * 3600 / w[2] > least * (1 + EQUAL) or not least, 1000, "mgpkwh")}
        row["conformity_factor"] = row["p90_mgpkwh"] / o["limit"] if row["valid"] else None
        rows.append(row)
    return rows


def co2_windows(at, co2, mass, o):
    cycle_kwh = o["whtc_work"] or 0.0926 * o["rated_power"]
    most = 3600 * cycle_kwh / (0.2 * o["rated_power"])
    reference = o["co2"] / 1000 * cycle_kwh
    row = summary(windows(at, co2, mass, reference), lambda w: w[2] <= most * (1 + EQUAL), 1, "gpkg")
    row |= {"reference_kg": reference, "duration_max_s": most,
            "conformity_factor": row["p90_gpkg"] * o["co2"] / o["limit"] if row["valid"] else None}
    return row


def excluded_of(at, c, o):
    """The reason for which each second does not count, or "valid"."""
    warm = np.flatnonzero(c["coolant_c"] >= 70)
    first = warm[0] if len(warm) else len(at)
    friction = c["friction_torque_pct"] if o["torque"] == "indicated" else np.zeros(len(at))
    torque = np.isnan(c["net_torque_pct"]) | np.isnan(friction) | np.isnan(c["engine_rpm"]) | (not o["reference_torque"])
    checks = [("before_warm", np.arange(len(at)) < first), ("engine_off", c["engine_rpm"] < 400),
              ("altitude", c["baro_kpa"] < o["baro_min"]), ("nox_invalid", np.isnan(c["nox_downstream_ppm"])),
              ("air_invalid", np.isnan(c["air_flow_kgph"])), ("fuel_invalid", np.isnan(c["fuel_flow_lph"])),
              ("torque_invalid", torque)]
    reasons = np.full(len(at), "valid", dtype="U16")
    for name, holds in reversed(checks):
        reasons[holds] = name
    return reasons, [name for name, _ in checks]


def assess(path, **options):
    o = DEFAULTS | options
    at, c, repeated = read(path)
    reasons, names = excluded_of(at, c, o)
    fuel = c["fuel_flow_lph"] * o["fuel_density"] / 3600
    signed = U_G_PER_KG_PPM * c["nox_downstream_ppm"] * (c["air_flow_kgph"] / 3600 + fuel)
    mass, co2 = np.maximum(signed, 0), CO2_PER_FUEL * fuel
    friction = c["friction_torque_pct"] if o["torque"] == "indicated" else 0
    torque_nm = np.maximum(c["net_torque_pct"] - friction, 0) / 100 * (o["reference_torque"] or math.nan)
    work = torque_nm * (c["engine_rpm"] * 2 * math.pi / 60) / 1000 / 3600

    with_torque, without = reasons == "valid", (reasons == "valid") | (reasons == "torque_invalid")
    has_work = bool(with_torque.any())
    v = with_torque if has_work else without
    excluded = {"repeated": repeated} | {name: int((reasons == name).sum()) for name in names}
    if not has_work:
        excluded["torque_invalid"] = 0

    def total(values, some=True):
        return math.fsum(values[v]) if v.any() and some else None

    trip = {"work_kwh": total(work, has_work), "nox_g": total(mass), "fuel_kg": total(fuel), "co2_kg": total(co2)}
    trip["nox_mgpkwh"] = 1000 * trip["nox_g"] / trip["work_kwh"] if trip["work_kwh"] else None
    trip["nox_gpkg"] = trip["nox_g"] / trip["fuel_kg"] if trip["fuel_kg"] else None
    trip |= {"samples": len(at) + repeated, "valid": int(v.sum()), "excluded": excluded,
             "missing_s": int(at[-1] - at[0] + 1 - len(at))}

    powered = bool(o["rated_power"]) and bool(without.any())
    reference = 0.0926 * o["rated_power"] * 0.21 if o["rated_power"] else 5
    fuel_row = summary(windows(at[without], fuel[without], mass[without], reference), lambda w: True, 1, "gpkg")
    return {
        "trip": trip,
        "work_window": work_windows(at[with_torque], work[with_torque], mass[with_torque], o),
        "co2_window": co2_windows(at[without], co2[without], mass[without], o) if powered else None,
        "fuel_window": fuel_row | {"reference_kg": reference} if without.any() else None,
        "two_bin": two_bin(at[without], signed[without], co2[without], o["co2"] / 1000, o["rated_power"]) if powered else None,
    }
