"""Two gateways with a database each, a link from the first to the second, and trucks that report to the first."""
import os
import subprocess
import threading
import time

from link_case import Client, LinkTest, make_certificate, wire
from registry import Terminal

KEYS = os.environ["HAULGATE_KEYS"]
NEAR, FAR = 1, 2
PASSWORD = "between-us-only"
SECONDS = 10  # in a report


def chip_of(vin):
    return Terminal(vin, "CHIP" + vin[5:])


class Truck(threading.Thread):
    """Sends reports one behind the other, each answered; what was not answered is sent again on a new connection."""

    def __init__(self, case, gateway, number, pace, signing):
        super().__init__(daemon=True)
        self.case, self.gateway, self.pace = case, gateway, pace
        self.vin, self.kind = f"LTRUCK00000{number:06d}", number % 4
        self.chip = chip_of(self.vin) if signing else None
        self.sent, self.delays, self.connections = 0, [], 0
        self.ending, self.fault = threading.Event(), None

    def frame(self, n):
        at = self.case.now - 3 * 86400 + n * SECONDS
        if self.chip is not None:
            return wire.frame_p(wire.REALTIME, self.chip.signed(wire.unit_c(at, SECONDS, n % 65531 + 1)), self.vin)
        if self.kind == 0:
            return wire.report_a(at, SECONDS, vin=self.vin, serial=n % 65531 + 1)
        if self.kind == 1:
            return wire.frame_v(wire.REALTIME, wire.unit_c(at, SECONDS, n % 65531 + 1), self.vin)
        if self.kind == 2:
            return wire.report_ev(at, vin=self.vin)
        return wire.report_c(at, SECONDS, vin=self.vin, serial=n % 65531 + 1)

    def login(self):
        at = self.case.now - 3 * 86400
        return (wire.login_v if self.kind < 2 and self.chip is None else wire.login_p)(at, vin=self.vin)

    def run(self):
        try:
            while not self.ending.is_set():
                try:
                    self.talk()
                except (OSError, AssertionError):
                    time.sleep(0.1)  # the gateway restarts
        except Exception as e:
            self.fault = e

    def talk(self):
        c = Client(self.gateway)
        try:
            self.connections += 1
            c.send(self.login())
            if c.frame() is None:
                return
            while not self.ending.is_set():
                begin = time.monotonic()
                c.send(self.frame(self.sent))
                answer = c.frame()
                if answer is None:
                    return
                assert answer[2] in (None, wire.SUCCESS), answer
                self.delays.append(time.monotonic() - begin)
                self.sent += 1
                self.ending.wait(max(0, self.pace - (time.monotonic() - begin)))
        finally:
            c.close()


class PairTest(LinkTest):
    """self.a forwards to self.b; the account there speaks for all trucks."""

    def set_up_pair(self, trucks, pace, signing=(), **link):
        """signing: numbers of trucks that sign their reports (layout C, SM2); both sides know their keys."""
        cert, key = make_certificate(self.folder, "far")
        self.far_database = self.new_database()
        vins = [f"LTRUCK00000{i:06d}" for i in range(trucks)]
        for database in (self.database, self.far_database):
            self.sql("INSERT INTO vehicle (vin) SELECT unnest(string_to_array('" + ",".join(vins) + "', ','))", database)
            for i in signing:
                chip = chip_of(vins[i])
                self.sql("INSERT INTO terminal_key (vehicle_id, purpose, algorithm, chip_id, public_key) SELECT id, 'sign', 'sm2', "
                         f"'{chip.chip}', decode('{chip.public.hex()}', 'hex') FROM vehicle WHERE vin = '{vins[i]}'", database)
        with open(self.password_file, "w", encoding="ascii") as f:
            print(PASSWORD, file=f)
        self.keys("platform", "add", "City A", "--login", "city-a", "--file", self.password_file)
        self.keys("platform", "vehicles", "city-a", "--add", *vins)
        sections = {"store": {"batch_ms": 50}, "limit": {"vin_frames": 0, "platform_frames": 0},
                    "session": {"answer_gb17691": "yes"}}
        self.a = self.near_side(NEAR, link=link, **sections)
        # Answers only what it has committed: so there is always something on its way when it is killed.
        self.b = self.gateway(FAR, listen={"tls": "127.0.0.1:0", "tls_certificate": cert, "tls_key": key}, **{
            **sections, "store": {"batch_ms": 50, "ack": "store",
                                  "conninfo": self.conninfo("haulgate_gateway", self.far_database)}})
        # The other side keeps its port over a restart, as a real one does.
        self.b.sections["listen"]["tls"] = self.b.ports["tls"]
        self.certificate = cert
        self.add_link(self.b.ports["tls"], "--ca", cert, "--in-flight", "512", name="b")
        self.service = self.link(self.a)
        self.trucks = [Truck(self, self.a, i, pace, i in signing) for i in range(trucks)]

    def keys(self, *arguments, database=None):
        subprocess.run([KEYS, *arguments, "--conninfo", self.conninfo("haulgate_operator", database or self.far_database)],
                       check=True, capture_output=True)

    def sent(self):
        return sum(t.sent for t in self.trucks)

    def end_load(self):
        for t in self.trucks:
            t.ending.set()
        for t in self.trucks:
            t.join(60)
        self.assertEqual([t.fault for t in self.trucks], [None] * len(self.trucks))

    def tracks(self, database):
        return self.sql("SELECT v.vin, extract(epoch FROM t.at)::bigint, t.part, t.sample_count, t.span_s, md5(t.samples) "
                        "FROM track t JOIN vehicle v ON v.id = t.vehicle_id ORDER BY 1, 2, 3", database).split("\n")

    def await_drained(self, seconds):
        """Until the link has settled all that A has stored of what was sent, and B has stored it."""
        end = time.monotonic() + seconds
        wanted = str(self.sent())
        steps = [(f"A stores {wanted} tracks", lambda: self.sql("SELECT count(*) FROM track") == wanted),
                 ("the link settles all", lambda: self.sql(
                     "SELECT p.position >= i.position FROM platform_link_position p JOIN ingest_position i "
                     f"USING (gateway_id) WHERE gateway_id = {NEAR}") == "t"),
                 ("B stores all", lambda: self.b.metrics().get("spool_backlog_bytes") == 0)]
        for what, done in steps:
            while not done():
                if time.monotonic() > end:
                    raise AssertionError(f"waited {seconds} s in vain for: {what}; {self.figures()}")
                time.sleep(0.1)

    def figures(self):
        return (f"sent {self.sent()}, link {self.service.metrics()}, message {self.row('message', 'b')!r}, "
                f"tracks A {self.sql('SELECT count(*) FROM track')}, B {self.sql('SELECT count(*) FROM track', self.far_database)}")

    def assert_same_tracks(self):
        near, far = self.tracks(self.database), self.tracks(self.far_database)
        self.assertEqual(len(near), self.sent())
        self.assertEqual(len(near), len(set(near)))
        missing, extra = sorted(set(near) - set(far)), sorted(set(far) - set(near))
        self.assertEqual((missing[:5], extra[:5], len(far)), ([], [], len(near)))
        self.assertEqual(self.sql("SELECT count(*) FROM replay", self.far_database), "0")
        self.assertEqual(self.sql("SELECT refused, missing FROM platform_link_position"), "0|0")
