"""tools/command, with a gateway and a terminal at the other end."""
import json
import os
import subprocess
import unittest

from fixture import CONTROL, QUERY, SET, DownlinkTest

TOOL = os.environ["HAULGATE_COMMAND"]


class Tool(DownlinkTest):
    def run_tool(self, *arguments, code=0, user="haulgate_operator"):
        done = subprocess.run([TOOL, *arguments, "--conninfo", self.conninfo(user), "--actor", "li"], capture_output=True,
                              text=True, timeout=60)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def start_tool(self, *arguments):
        process = subprocess.Popen([TOOL, *arguments, "--conninfo", self.conninfo("haulgate_operator"), "--actor", "li"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (process.kill(), process.wait(), process.stdout.close(), process.stderr.close()))
        return process

    def test_an_order_that_is_waited_for(self):
        t = self.terminal(self.start())
        tool = self.start_tool("order", "query", self.vin, "heartbeat_s", "firmware_version", "--reason", "check", "--wait")
        command, at, unit = t.told()
        self.assertEqual((command, unit), (QUERY, bytes([2, 9, 8])))
        t.answer(QUERY, at + bytes([2, 9, 60, 8]) + b"V1.20")
        out, told = tool.communicate(timeout=20)
        self.assertEqual(tool.returncode, 0, told)
        self.assertRegex(out, r"(?s)state +answered.*ordered_by +li.*heartbeat_s +60\n.*firmware_version +V1.20\n")
        self.assertIn(": answered, attempts 1\n", told)

    def test_every_kind_reaches_the_wire(self):
        t = self.terminal(self.start())
        for arguments, expected in (
                (("set", "heartbeat_s=30", "sampling_monitor=no"), (SET, bytes([2, 9, 30, 0x10, 2]))),
                (("control", "alarm", "level=1", "text=高"), (CONTROL, b"\6\1" + "高".encode("gb18030"))),
                (("control", "sampling"), (CONTROL, b"\7"))):
            done = self.run_tool("order", arguments[0], self.vin, *arguments[1:], "--reason", "r", "--json")
            ident = json.loads(done.stdout)["id"]
            command, at, unit = t.told()
            self.assertEqual((command, unit), expected)
            t.answer(command, at)
            self.assertEqual(json.loads(self.run_tool("watch", str(ident), "--json").stdout)["state"], "answered")

    def test_a_refusal_is_another_exit_code(self):
        t = self.terminal(self.start())
        tool = self.start_tool("order", "set", self.vin, "heartbeat_s=30", "--reason", "r", "--wait")
        _, at, _ = t.told()
        t.answer(SET, at, 2)
        out, _ = tool.communicate(timeout=20)
        self.assertEqual(tool.returncode, 3)
        self.assertIn("the terminal answered with flag 02", out)

    def test_a_timeout_leaves_the_order(self):
        done = self.run_tool("order", "set", self.vin, "heartbeat_s=30", "--reason", "r", "--wait", "--timeout", "1", "--json", code=4)
        ident = json.loads(done.stdout)["id"]
        self.assertEqual(self.look(ident)["state"], "queued")
        listed = self.run_tool("list", self.vin, "--state", "open").stdout
        self.assertRegex(listed, rf"(?m)^ *{ident} +queued +set +{{\"heartbeat_s\": 30}} +li ")
        self.run_tool("cancel", str(ident), "--reason", "wrong truck")
        self.assertIn("cancelled by li: wrong truck", self.run_tool("show", str(ident)).stdout)
        self.assertIn("ended already", self.run_tool("cancel", str(ident), "--reason", "r", code=1).stderr)
        self.run_tool("watch", str(ident), code=3)
        self.assertEqual(self.sql(f"SELECT DISTINCT actor, role FROM audit_log WHERE subject = '{self.vin}'"), "li|haulgate_operator")

    def test_wrong_words(self):
        reason = ("--reason", "r")
        for arguments, says in (
                (("order", "set", self.vin, "heartbeat_s=30"), "--reason is needed"),
                (("order", "set", self.vin, "heartbeat_s", *reason), "NAME=VALUE is wanted"),
                (("order", "set", self.vin, "heartbeat_s=300", *reason), "heartbeat_s is 300; it must be 1 to 240"),
                (("order", "set", self.vin, "heartbeat_s=1x", *reason), "heartbeat_s is not a whole number"),
                (("order", "set", self.vin, "heartbeat_s=1", "heartbeat_s=2", *reason), "heartbeat_s is given twice"),
                (("order", "query", self.vin, "speed", *reason), "parameter 'speed' is unknown; allowed: "),
                (("order", "control", self.vin, "explode", *reason), "action 'explode' is unknown; allowed: upgrade, "),
                (("order", "control", self.vin, "upgrade", "url=f", "dial_password=p", *reason), "dial_password=@FILE"),
                (("order", "query", self.vin, "heartbeat_s", *reason, "--expires", "soon"), "--expires soon"),
                (("list", self.vin, "--state", "lost"), "no such state"),
                (("show", "x"), "the number of a command is wanted"),
                (("cancel", "1"), "--reason is needed"),
                (("order", "erase", self.vin), "")):
            self.assertIn(says, self.run_tool(*arguments, code=2).stderr)
        for arguments, says in ((("show", "999999999"), "there is none"), (("list", "LNOBODY"), "LNOBODY is not registered"),
                                (("order", "query", "LNOBODY", "heartbeat_s", *reason), "no vehicle with this VIN is registered"),
                                (("order", "query", self.vin, "heartbeat_s", *reason, "--expires", "31d"), "expires_s is 2678400")):
            self.assertIn(says, self.run_tool(*arguments, code=1).stderr)
        self.assertIn("permission denied", self.run_tool("list", self.vin, code=1, user="haulgate_gateway").stderr)

    def test_a_secret_comes_from_a_file(self):
        path = os.path.join(self.folder, "password")
        with open(path, "w", encoding="ascii") as f:
            f.write("apn-secret\n")
        done = self.run_tool("order", "control", self.vin, "upgrade", "url=ftp://h/f", f"dial_password=@{path}", "--reason", "r", "--json")
        self.assertNotIn("apn-secret", done.stdout)
        t = self.terminal(self.start())
        self.assertEqual(t.told()[2], b"\1;;apn-secret;;;;;;ftp://h/f;")

    def test_help_and_names(self):
        self.assertIn("Exit: 0 done", subprocess.run([TOOL, "--help"], capture_output=True, text=True, check=True).stdout)
        self.assertIn("heartbeat_s", subprocess.run([TOOL, "names"], capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
