"""Memory of an idle connection: python3 test/ingest/idle_memory.py [CONNECTIONS]

Prints key=value: user-space bytes of the gateway for each connection that is logged in and silent, from
/proc/PID/smaps_rollup before and after.  HAULGATE_BINARY and HAULGATE_PEEK name the programs.
"""
import resource
import shutil
import ssl
import sys
import tempfile
import time

from gateway import Client, Gateway, make_certificate, wire


def private_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return 1024 * sum(int(line.split()[1]) for line in f if line.startswith("Private_"))


def measure(g, kind, count, context):
    now = int(time.time())

    def log_in(first, n):
        clients = []
        for i in range(n):
            clients.append(Client(g, kind, context).send(wire.login_p(now, vin=f"{kind.upper()}{first + i:014}")))
            assert clients[-1].frame()[2] == wire.SUCCESS
        return clients

    warm = log_in(0, 100)  # what is paid once is paid before
    before = private_bytes(g.process.pid)
    clients = log_in(100, count)
    after = private_bytes(g.process.pid)
    for c in warm + clients:
        c.close()
    return (after - before) / count


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    folder = tempfile.mkdtemp(prefix="haulgate-idle-")
    g = None
    try:
        cert, key = make_certificate(folder, "idle")
        context = ssl.create_default_context(cafile=cert)
        context.check_hostname = False
        g = Gateway(folder, gateway={"log_level": "error"},
                    listen={"tls": "127.0.0.1:0", "tls_certificate": cert, "tls_key": key})
        g.start()
        print(f"connections={count}")
        print(f"plain_bytes_per_connection={measure(g, 'tcp', count, None):.0f}")
        print(f"tls_bytes_per_connection={measure(g, 'tls', count, context):.0f}")
    finally:
        if g is not None and g.process is not None:
            g.kill()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
