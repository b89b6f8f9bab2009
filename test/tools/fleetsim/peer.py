"""A platform that the simulator's rules are tried on: honest, but it can die and it can fall silent.

What it has not "synced" when it dies is gone, as with a process killed by -9; what it has synced it keeps.
A frame is answered after it was synced, as a gateway must.  Frames are kept raw; decode() reads them.
"""
import asyncio
import socket
import time

VIN_AT = {"V": 3, "P": 4}


def bcc(data):
    x = 0
    for b in data:
        x ^= b
    return x


def cut(buffer):
    """Cuts whole frames from the front of a bytearray; returns (header, frame) pairs."""
    frames = []
    while len(buffer) >= 25:
        assert buffer[0] == buffer[1] and buffer[0] in (0x23, 0x7E), buffer[:4].hex()
        size = 25 + int.from_bytes(buffer[22:24], "big")
        if len(buffer) < size:
            break
        frame = bytes(buffer[:size])
        del buffer[:size]
        assert bcc(frame[2:-1]) == frame[-1], frame.hex()
        frames.append(("P" if frame[3] == 0xFE else "V", frame))
    return frames


def answer_to(header, frame):
    out = bytearray(frame[:24])
    unit = b""
    if header == "P":
        out[3] = 1
        unit = frame[24:30] if frame[2] in (1, 2, 3, 4) else b""
    elif frame[2] == 5:
        now = time.gmtime(time.time() + 8 * 3600)
        unit = bytes([now.tm_year - 2000, now.tm_mon, now.tm_mday, now.tm_hour, now.tm_min, now.tm_sec])
    out[22:24] = len(unit).to_bytes(2, "big")
    out += unit
    return bytes(out) + bytes([bcc(out[2:])])


class Peer:
    def __init__(self, silent_every=0, sync_s=0.005):
        self.stored = {}  # VIN -> frames
        self.commands = {}
        self.silent_every, self.sync_s = silent_every, sync_s
        self.unsynced, self.writers, self.spoken = [], set(), {}
        self.mute = False  # reads, keeps nothing, says nothing
        self.count, self.silences, self.deaths, self.sessions = 0, 0, 0, 0
        self.port, self.server = 0, None

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, backlog=500)
        self.port = self.server.sockets[0].getsockname()[1]
        self.syncer = asyncio.create_task(self.sync())

    async def die(self, down_s):
        """As kill -9: sockets close, what was not synced is lost, and for a while nobody listens."""
        self.deaths += 1
        self.unsynced.clear()
        self.syncer.cancel()
        self.server.close()
        for w in list(self.writers):
            w.transport.abort()
        await self.server.wait_closed()
        await asyncio.sleep(down_s)
        await self.start()

    async def stop(self):
        self.syncer.cancel()
        self.server.close()
        for w in list(self.writers):
            w.transport.abort()

    async def sync(self):
        while True:
            await asyncio.sleep(self.sync_s)
            batch, self.unsynced = self.unsynced, []
            for writer, header, frame in batch:
                at = VIN_AT[header]
                vin = frame[at:at + 17].decode()
                self.stored.setdefault(vin, []).append((header, frame))
                if self.answered(vin, header, frame) and not writer.is_closing():
                    writer.write(answer_to(header, frame))

    def answered(self, vin, header, frame):
        """Header P always; header V where the vehicle has shown HJ 1239, as the gateway does by default."""
        if header == "V" and frame[0] == 0x7E or frame[20] == 17 and frame[2] in (2, 3):
            self.spoken[vin] = True
        return header == "P" or self.spoken.get(vin, False)

    async def serve(self, reader, writer):
        self.writers.add(writer)
        self.sessions += 1
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer = bytearray()
        try:
            while True:
                data = await reader.read(65536)
                if not data:
                    break
                buffer += data
                for header, frame in cut(buffer):
                    self.take(writer, header, frame)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    def take(self, writer, header, frame):
        if self.mute:
            return
        self.count += 1
        command = frame[2]
        self.commands[command] = self.commands.get(command, 0) + 1
        if command == 5 or command == 7:
            writer.write(answer_to(header, frame))  # a courtesy that promises nothing: at once
            return
        answerable = header == "P" or frame[20] in (6, 17)
        if self.silent_every and command in (2, 3) and answerable and self.count % self.silent_every == 0:
            self.silences += 1
            return  # neither kept nor answered: overload
        self.unsynced.append((writer, header, frame))


# ---- reading what was kept ----

def at_of(b):
    import calendar
    return calendar.timegm((2000 + b[0], b[1], b[2], b[3], b[4], b[5])) - 8 * 3600


def body_size(kind, data, at):
    if kind == 1:
        return 96 + 4 * data[at + 95]
    return {2: 37, 0x80: 17}[kind]


def blocks(dialect, unit):
    """Yields (type, unix second, body)."""
    base, n, at, first = at_of(unit), {}, 6, True
    at += 2 if dialect in ("gb-b", "hj-v", "hj-v-tilde", "hj-p", "hj-p-tilde") else 0
    while at < len(unit):
        kind = unit[at]
        at += 1
        if dialect == "gb-a" or dialect == "gb-a-prime" and first:
            at += 2
        first = False
        if dialect.startswith("hj"):
            when = at_of(unit[at:at + 6])
            at += 6
        else:
            when = base + n.get(kind, 0)
            n[kind] = n.get(kind, 0) + 1
        size = body_size(kind, unit, at)
        assert at + size <= len(unit)
        yield kind, when, unit[at:at + size]
        at += size


def samples_of(dialect, frames):
    """{(second, type): body}; a sample that came twice must be the same twice."""
    out, again = {}, 0
    for _, frame in frames:
        if frame[2] not in (2, 3):
            continue
        for kind, when, body in blocks(dialect, frame[24:-1]):
            if (when, kind) in out:
                assert out[when, kind] == body, (when, kind)
                again += 1
            out[when, kind] = body
    return out, again


def fnv(samples):
    h = 0xCBF29CE484222325
    for (when, kind), body in sorted(samples.items()):
        for b in bytes([kind]) + when.to_bytes(8, "big") + body:
            h = ((h ^ b) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"
