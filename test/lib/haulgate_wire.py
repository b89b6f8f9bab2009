"""Frames for tests, written from the byte tables of the standards, not from the C code.

Header V is that of GB 17691-2018 table Q.2 (no answer flag), header P that of GB/T 32960.3 table 2.
Times are unix seconds here and six bytes of Beijing time on the wire.
"""
import datetime
import struct

BEIJING = datetime.timezone(datetime.timedelta(hours=8))
VIN = "LTEST000000000001"
COMMAND = 0xFE
SUCCESS, ERROR, VIN_DUPLICATE, VIN_UNKNOWN = 1, 2, 3, 4
LOGIN, REALTIME, SUPPLEMENT, LOGOUT = 1, 2, 3, 4
PLATFORM_LOGIN, PLATFORM_LOGOUT, HEARTBEAT, TIME = 5, 6, 7, 8  # of GB/T 32960
TIME_V = 5  # of GB 17691


def bcc(data):
    x = 0
    for byte in data:
        x ^= byte
    return x


def seal(head, unit):
    body = head + struct.pack(">H", len(unit)) + unit
    return body + bytes([bcc(body[2:])])


def frame_p(command, unit=b"", vin=VIN, answer=COMMAND, encryption=1, start=b"##"):
    head = start + bytes([command, answer]) + vin.encode().ljust(17, b"\0") + bytes([encryption])
    return seal(head, unit)


def frame_v(command, unit=b"", vin=VIN, version=1, encryption=1, start=b"##"):
    head = start + bytes([command]) + vin.encode().ljust(17, b"\0") + bytes([version, encryption])
    return seal(head, unit)


def time6(at):
    t = datetime.datetime.fromtimestamp(at, BEIJING)
    return bytes([t.year - 2000, t.month, t.day, t.hour, t.minute, t.second])


def stream_body(speed_kmh=50.0, lon=120.45, lat=41.57):
    """Type 02, 37 bytes: GB 17691-2018 table Q.8."""
    return (struct.pack(">HBBB", round(speed_kmh * 256), 200, 175, 130)
            + struct.pack(">HHHH", 12000, 400, 8000, 4600)  # rpm, fuel, NOx up, NOx down
            + bytes([150]) + struct.pack(">HHHH", 8000, 18000, 17500, 20)  # reagent, air, SCR, DPF
            + bytes([120, 150, 0]) + struct.pack(">III", round(lon * 1e6), round(lat * 1e6), 123456))


def ev_vehicle_body():
    """GB/T 32960.3-2016 type 01, 20 bytes: a parked car with every value in range."""
    return struct.pack(">BBBHIHHBBBHBB", 1, 3, 1, 0, 1234, 3500, 10000, 80, 1, 0, 500, 0, 0)


def login_v(at, serial=1, iccid="89860000000000000001", vin=VIN, **head):
    return frame_v(LOGIN, time6(at) + struct.pack(">H", serial) + iccid.encode(), vin, **head)


def logout_v(at, serial=1, vin=VIN, **head):
    return frame_v(LOGOUT, time6(at) + struct.pack(">H", serial), vin, **head)


def login_p(at, serial=1, iccid="89860000000000000001", vin=VIN, **head):
    unit = time6(at) + struct.pack(">H", serial) + iccid.encode() + b"\1\0"
    return frame_p(LOGIN, unit, vin, **head)


def logout_p(at, serial=1, vin=VIN, **head):
    return frame_p(LOGOUT, time6(at) + struct.pack(">H", serial), vin, **head)


def report_a(at, count=3, command=REALTIME, vin=VIN, serial=1, **head):
    """Layout A: time, { type, serial, body }*, with header V."""
    unit = time6(at) + b"".join(b"\2" + struct.pack(">H", serial) + stream_body(40 + i % 60)
                                for i in range(count))
    return frame_v(command, unit, vin, **head)


def unit_c(at, count=3, serial=1):
    """Layout C of HJ 1239.3: time, serial, { type, time, body }*, unsigned."""
    return time6(at) + struct.pack(">H", serial) + b"".join(
        b"\2" + time6(at + i) + stream_body(40 + i % 60) for i in range(count))


def report_c(at, count=3, command=REALTIME, vin=VIN, serial=1, **head):
    return frame_p(command, unit_c(at, count, serial), vin, **head)


def report_ev(at, command=REALTIME, vin=VIN, **head):
    return frame_p(command, time6(at) + b"\1" + ev_vehicle_body(), vin, **head)


def platform_login(at, user="platform", password="secret-word", serial=1, vin="PLATFORM"):
    unit = (time6(at) + struct.pack(">H", serial) + user.encode().ljust(12, b"\0")
            + password.encode().ljust(20, b"\0") + b"\1")
    return frame_p(PLATFORM_LOGIN, unit, vin)


def answer_p(command, flag, unit=b"", vin=VIN, start=b"##"):
    """What the gateway is to send back to a frame with header P."""
    return frame_p(command, unit, vin, answer=flag, start=start)


def split(data):
    """Cuts a stream of answers into frames: (bytes, command, flag or None)."""
    frames = []
    while data:
        assert len(data) >= 25 and data[0] == data[1] and data[0] in b"#~$", data.hex()
        size = 25 + struct.unpack(">H", data[22:24])[0]
        one, data = data[:size], data[size:]
        assert len(one) == size and bcc(one[2:]) == 0, one.hex()
        flag = one[3] if one[3] <= 7 or one[3] == COMMAND else None
        frames.append((one, one[2], flag))
    return frames
