"""Another platform, as a script: what haulgate-link logs in to in the tests.

Written from the standards' tables by test/lib/haulgate_wire.py, not from the C code.  By default it lets everybody in and
answers every frame with success; a test sets what it does otherwise.
"""
import os
import socket
import ssl
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import haulgate_wire as wire  # noqa: E402

FLAGS = {b"~~": (7, 8), b"##": (5, 6)}  # platform login and logout


class Received:
    """A frame as it came."""

    def __init__(self, data, connection):
        self.bytes, self.connection = data, connection
        self.start, self.command, self.flag = data[:2], data[2], data[3]
        self.vin = data[4:21].rstrip(b"\0 ").decode()
        self.encryption, self.unit = data[21], data[24:-1]

    def __repr__(self):
        return f"{self.start} {self.command:02x} {self.vin} {self.unit[:8].hex()}"


class FarSide:
    """answer(frame) -> flag, bytes to send instead, None for silence, or "close"."""

    def __init__(self, context=None):
        self.context, self.port = context, 0
        self.lock = threading.Condition()
        self.logins, self.logouts, self.frames, self.beats = [], [], [], []
        self.connections, self.faults = 0, []
        self.answer = lambda frame: wire.SUCCESS
        self.answer_login = lambda frame: wire.SUCCESS
        self.greeting = b""  # sent before anything else
        self.unsolicited = b""  # sent behind a login's answer
        self.time = True  # answers carry the time of the unit
        self.reading = threading.Event()
        self.reading.set()
        self.listener, self.sockets, self.threads = None, set(), []

    def start(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        self.port = self.listener.getsockname()[1]
        thread = threading.Thread(target=self._accept, args=(self.listener,), daemon=True)
        thread.start()
        self.threads.append(thread)
        return self

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def stop(self):
        """Down: nobody listens, and what is open is cut."""
        self.reading.set()
        if self.listener is not None:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        with self.lock:
            sockets = list(self.sockets)
        for s in sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(20)
        self.threads = []

    def _accept(self, listener):
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                number = self.connections
                self.sockets.add(s)
                self.lock.notify_all()
            thread = threading.Thread(target=self._serve, args=(s, number), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, raw, number):
        s = raw
        try:
            if self.context is not None:
                s = self.context.wrap_socket(raw, server_side=True)
                with self.lock:
                    self.sockets.discard(raw)
                    self.sockets.add(s)
            if self.greeting:
                s.sendall(self.greeting)
            self._talk(s, number)
        except OSError:
            pass
        except Exception as e:  # a fault of the test: LinkTest looks here
            self.faults.append(e)
        with self.lock:
            self.sockets.discard(s)
            self.sockets.discard(raw)
        s.close()

    def _talk(self, s, number):
        data = b""
        while True:
            self.reading.wait()
            more = s.recv(65536)
            if not more:
                return
            data += more
            while len(data) >= 25 and len(data) >= 25 + int.from_bytes(data[22:24], "big"):
                size = 25 + int.from_bytes(data[22:24], "big")
                one, data = data[:size], data[size:]
                assert wire.bcc(one[2:]) == 0 and one[3] == wire.COMMAND, one.hex()
                if not self._take(s, Received(one, number)):
                    return

    def _take(self, s, frame):
        """False: the connection is to be cut."""
        login, logout = FLAGS.get(frame.start, (None, None))
        own = frame.vin == self.own
        with self.lock:
            if own and frame.command == login and len(frame.unit) == 41:
                self.logins.append(frame)
                answer = self.answer_login(frame)
            elif own and frame.command == logout and len(frame.unit) == 8:
                self.logouts.append(frame)
                answer = wire.SUCCESS
            elif own:
                self.beats.append(frame)
                answer = wire.SUCCESS
            else:
                self.frames.append(frame)
                answer = self.answer(frame)
            self.lock.notify_all()
        if answer is None:
            return True
        if answer == "close":
            return False
        if isinstance(answer, int):
            answer = wire.frame_p(frame.command, frame.unit[:6] if self.time else b"", frame.vin,
                                  answer=answer, start=frame.start)
        s.sendall(answer)
        if own and frame.command == login and self.unsolicited:
            s.sendall(self.unsolicited)
        return True

    own = "CITY-A"

    def await_that(self, what, condition, seconds=30):
        with self.lock:
            if not self.lock.wait_for(condition, seconds):
                raise AssertionError(f"waited in vain for: {what}; logins {len(self.logins)}, frames {self.frames}")


def server_context(cert, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context
