"""The service's life: start, readiness, reload, outages of the database, clients that leave, the end."""
import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import time
import unittest

from service import DAY, PROGRAM, TOKEN, Database, Service, await_true

VIN = "LTEST000000000001"


def postgres(action):
    """Starts or stops the private server as the user that owns it."""
    binary = sorted(d for d in os.listdir("/usr/lib/postgresql"))[-1]
    data = os.environ["HAULGATE_TEST_PGDATA"]
    command = [f"/usr/lib/postgresql/{binary}/bin/pg_ctl", "-D", data, "-w", action]
    if action == "stop":
        command += ["-m", "fast"]
    else:
        command += ["-l", os.path.join(data, "server.log"), "-o",
                    f"-c listen_addresses='' -c unix_socket_directories='{os.environ['PGHOST']}'"]
    if os.getuid() == 0:
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] + command
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


class Locked:
    """Holds a lock that every statement about vehicles waits for, so that they run until cancelled."""

    def __init__(self, database):
        self.process = subprocess.Popen(["psql", "-qXAt", "-d", database.name], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        self.process.stdin.write("BEGIN; LOCK TABLE vehicle; SELECT 'locked';\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline().strip() == "locked"
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Life(unittest.TestCase):
    def setUp(self):
        self.database = Database(seed=False)
        self.addCleanup(self.database.drop)
        self.database.add_vehicle(VIN)
        self.service = None

    def start(self, connections=2, conninfo=None):
        self.service = Service(conninfo or self.database.conninfo("haulgate_query"), connections)
        self.addCleanup(self.service.stop)
        return self.service

    def statements(self):
        return int(self.database.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'haulgate-query' "
                                      f"AND datname = '{self.database.name}' AND state = 'active'", database="postgres"))

    def test_ready_needs_database_and_gateway(self):
        s = self.start()
        self.assertIn("no gateway has written", s.json("/readyz", status=503)["detail"])
        s.heartbeat()
        self.assertEqual(s.json("/readyz"), {"status": "ready"})
        s.heartbeat(60)
        self.assertRegex(s.json("/readyz", status=503)["detail"], r"sign of life of a gateway is 6\d s old")
        metrics = s.get("/metrics", token=None)[2].decode()
        self.assertIn("haulgate_frames_received_total", metrics)
        self.assertIn("haulgate_query_database_connections 2", metrics)

    def test_ready_names_a_missing_schema(self):
        name = self.database.name + "_bare"
        self.database.psql("CREATE DATABASE " + name, database="postgres")
        self.addCleanup(self.database.psql, f"DROP DATABASE {name} WITH (FORCE)", "postgres")
        s = self.start(conninfo=self.database.conninfo("haulgate_query").replace(self.database.name, name))
        s.heartbeat()
        self.assertIn("lacks the schema", s.json("/readyz", status=503)["detail"])

    def test_database_that_is_not_there(self):
        s = self.start(conninfo="host=/nonexistent user=haulgate_query dbname=x")
        s.heartbeat()
        self.assertEqual(s.json("/healthz"), {"status": "ok"})
        self.assertEqual(s.json("/readyz", status=503)["detail"], "the database does not answer")
        status, headers, body = s.get(f"/api/v1/vehicles/{VIN}")
        self.assertEqual((status, headers["Retry-After"]), (503, "2"))

    def test_restart_of_the_database(self):
        """Requests sent while it restarts get an answer or a clean 503; afterwards all is as before."""
        s = self.start(connections=4)
        s.json(f"/api/v1/vehicles/{VIN}")
        postgres("stop")
        self.assertEqual(s.get(f"/api/v1/vehicles/{VIN}")[0], 503)
        with concurrent.futures.ThreadPoolExecutor(20) as threads:
            during = [threads.submit(s.get, f"/api/v1/vehicles/{VIN}") for _ in range(20)]
            postgres("start")
            for future in during:
                self.assertIn(future.result()[0], (200, 503))
        await_true("the database", lambda: s.get(f"/api/v1/vehicles/{VIN}")[0] == 200)
        await_true("all connections", lambda: s.metric("haulgate_query_database_connections") == 4)

    def test_a_killed_backend_is_not_noticed_by_the_client(self):
        s = self.start(connections=1)
        for _ in range(5):
            self.database.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
                               f"'{self.database.name}' AND application_name = 'haulgate-query'", database="postgres")
            s.json(f"/api/v1/vehicles/{VIN}")

    def test_client_that_leaves_has_its_statement_cancelled(self):
        s = self.start()
        with Locked(self.database):
            c = socket.create_connection((s.host, s.port))
            c.sendall(f"GET /api/v1/vehicles/{VIN} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
            await_true("the statement", lambda: self.statements() == 1)
            c.close()
            # Well before the statement_timeout of this route: it was cancelled, it did not end.
            await_true("the cancel", lambda: self.statements() == 0, 2.5)
            self.assertEqual(s.metric("haulgate_query_database_cancels_total"), 1)
        s.json(f"/api/v1/vehicles/{VIN}")
        self.assertIn("left=yes", s.log())

    def test_leaving_clients_do_not_disturb_the_others(self):
        """Method: many leave at once while others wait for the same connections; each of those is answered."""
        s = self.start(connections=2)
        with concurrent.futures.ThreadPoolExecutor(20) as threads:
            with Locked(self.database):
                leaving = []
                for _ in range(20):
                    c = socket.create_connection((s.host, s.port))
                    c.sendall(f"GET /api/v1/vehicles/{VIN} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
                              .encode())
                    leaving.append(c)
                await_true("the statements", lambda: self.statements() == 2)
                staying = [threads.submit(s.json, f"/api/v1/vehicles/{VIN}") for _ in range(20)]
                await_true("the line", lambda: s.metric("haulgate_query_database_waiting") == 38)
                for c in leaving:
                    c.close()
            self.assertEqual({f.result()["vin"] for f in staying}, {VIN})
        await_true("silence", lambda: s.metric("haulgate_query_requests_open") == 1)

    def test_busy_and_slow_are_503_with_a_reason(self):
        s = self.start(connections=1)
        with Locked(self.database), concurrent.futures.ThreadPoolExecutor(4) as threads:
            answers = [threads.submit(s.json, f"/api/v1/vehicles/{VIN}", 503) for _ in range(4)]
            details = {f.result()["detail"] for f in answers}
        self.assertTrue(any("took longer than 3 s" in d for d in details), details)
        self.assertTrue(any("connections are busy" in d for d in details), details)
        self.assertEqual(s.json("/healthz"), {"status": "ok"})

    def test_many_parallel_clients(self):
        s = self.start(connections=4)

        def work(_):
            c = s.connect()
            for _ in range(25):
                c.request("GET", f"/api/v1/vehicles/{VIN}", headers={"Authorization": "Bearer " + TOKEN})
                r = c.getresponse()
                body = r.read()
                if r.status != 200 or json.loads(body)["vin"] != VIN:
                    return 0
            c.close()
            return 25

        with concurrent.futures.ThreadPoolExecutor(60) as threads:
            self.assertEqual(sum(threads.map(work, range(60))), 1500)

    def test_more_connections_than_allowed(self):
        """The bound sheds connections; those that are open go on, and later ones come in again."""
        s = self.start()
        held = [socket.create_connection((s.host, s.port)) for _ in range(600)]
        for c in held:
            c.close()
        await_true("room again", lambda: self.answers(s))

    def answers(self, s):
        try:
            return s.get("/healthz")[0] == 200
        except OSError:
            return False

    def test_reload_of_tokens(self):
        s = self.start()
        new = "another-token-0123456789"
        s.write_tokens(new)
        s.process.send_signal(signal.SIGHUP)
        await_true("the new token", lambda: s.get("/api/v1/rules", token=new)[0] == 200)
        self.assertEqual(s.get("/api/v1/rules")[0], 401)
        # A file that cannot be used changes nothing.
        s.write_tokens("short")
        s.process.send_signal(signal.SIGHUP)
        await_true("the complaint", lambda: "tokens stay as they were" in s.log())
        self.assertEqual(s.get("/api/v1/rules", token=new)[0], 200)

    def test_end_lets_requests_finish(self):
        s = self.start()
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            with Locked(self.database):
                answer = threads.submit(s.get, f"/api/v1/vehicles/{VIN}")
                await_true("the statement", lambda: self.statements() == 1)
                s.process.send_signal(signal.SIGTERM)
                await_true("the end of listening", lambda: not self.answers(s))
            self.assertEqual(answer.result()[0], 200)
        self.assertEqual(s.process.wait(10), 0)

    def test_end_does_not_wait_for_ever(self):
        s = self.start()
        with Locked(self.database):
            c = socket.create_connection((s.host, s.port))
            c.sendall(f"GET /api/v1/vehicles/{VIN} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
            await_true("the statement", lambda: self.statements() == 1)
            s.process.send_signal(signal.SIGTERM)
            self.assertEqual(s.process.wait(15), 0)
            c.close()

    def test_wrong_starts_say_why(self):
        run = lambda *a: subprocess.run([PROGRAM, *a], capture_output=True, text=True, timeout=20)
        self.assertEqual(run("--help").returncode, 0)
        self.assertRegex(run("--version").stdout, r"^haulgate-query \d+\.\d+\.\d+$")
        self.assertEqual(run().returncode, 2)
        self.assertEqual(run("--config", "/nonexistent").returncode, 2)
        self.assertEqual(run("--nonsense").returncode, 2)
        s = self.start()
        again = os.path.join(s.dir, "again.conf")
        with open(s.config, encoding="utf-8") as f:
            text = f.read()
        for change, says in (("127.0.0.1:0", f"127.0.0.1:{s.port}"), (s.token_file, s.token_file + ".none")):
            with open(again, "w", encoding="utf-8") as f:
                f.write(text.replace(change, says).replace(f"run_dir = {s.dir}", f"run_dir = {s.dir}"))
            done = run("--config", again)
            self.assertIn(done.returncode, (1, 2), done.stderr)
            self.assertIn(says, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
