#!/usr/bin/env python3
"""The monitors of two ramjet vm, used as QEMU's documents describe: lines on a socket, by a client
that knows no monitor in particular. Names and types of the answers are QEMU's."""

import json
import signal
import socket
import sys
from collections import namedtuple

from lib import table
from lib.ramjet import Ramjet
from lib.table import Skip, check

Case = namedtuple("Case", "label run")
CASES = []

NEGOTIATE = '{"execute": "qmp_capabilities"}'


def case(label):
    """Adds the next function to the table."""
    def add(function):
        CASES.append(Case(label, function))
        return function
    return add


# --- a client ------------------------------------------------------------------------------------

class Monitor:
    """One connection. Lines are sent as they are given; every answer is a JSON
    object on one line."""

    def __init__(self, scene, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("rb")
        scene.at_end.callback(self._socket.close)
        self.events = []  # received so far, (name, data)
        self.greeting = self._hear()

    def _hear(self):
        line = self._lines.readline()
        check(line.endswith(b"\r\n"), f"the monitor has gone: {line}")
        return json.loads(line)

    def _note(self, message):
        check(type(message["timestamp"]["seconds"]) is int and
              type(message["timestamp"]["microseconds"]) is int, f"{message}")
        self.events.append((message["event"], message.get("data")))

    def say(self, line):
        self._socket.sendall(line.encode() + b"\n")

    def answer(self):
        """The next message that is not an event."""
        while "event" in (message := self._hear()):
            self._note(message)
        return message

    def __call__(self, name, arguments="{}"):
        """Sends a command with its arguments as written; returns its result."""
        self.say(f'{{"execute": "{name}", "arguments": {arguments}, "id": "{name}"}}')
        answer = self.answer()
        check(answer.get("id") == name and "return" in answer, f"{name} {arguments}: {answer}")
        return answer["return"]

    def refused(self, name, arguments, word):
        self.say(f'{{"execute": "{name}", "arguments": {arguments}}}')
        error = self.answer().get("error", {})
        check(error.get("class") == "GenericError" and word in error["desc"], f"{name}: {error}")

    def statuses(self):
        return [data["status"] for name, data in self.events if name == "MIGRATION"]

    def await_status(self, *wanted):
        """Returns when one of these statuses was reported after the last forget."""
        while not set(wanted) & set(self.statuses()):
            message = self._hear()
            check("event" in message, f"an answer to nothing: {message}")
            self._note(message)
        return self.statuses()[-1]

    def forget(self):
        self.events.clear()


class Vm:
    """A runner with a monitor, and a client of it that receives MIGRATION events."""

    def __init__(self, scene, name, *options):
        self.path = scene.folder / name
        self.run = Ramjet(scene, "vm", "--json", "--name", name, "--memory", "32M", "--cpus", 2,
                          "--qmp", f"unix:{self.path}", *options)
        check(self.run.read(lambda out: b"\n" in out), f"{name} has ended: {self.run.errors}")
        self.monitor = Monitor(scene, self.path)
        self.monitor.say(NEGOTIATE)
        check(self.monitor.answer() == {"return": {}}, "no negotiation")
        for capability in ("events", "return-path"):
            self.capability(capability, True)
        self.monitor("migrate-set-parameters", '{"max-bandwidth": 0}')

    def capability(self, name, on):
        state = json.dumps(on)
        self.monitor("migrate-set-capabilities",
                     f'{{"capabilities": [{{"capability": "{name}", "state": {state}}}]}}')

    def listen(self, stay=True):
        """Makes it listen; returns the arguments for migrate."""
        self.monitor("migrate-incoming", json.dumps({"uri": "tcp:127.0.0.1:0",
                                                     "exit-on-error": not stay}))
        at = self.monitor("query-migrate")["socket-address"][0]
        return json.dumps({"channels": [{"channel-type": "main",
                                         "addr": {"transport": "socket", **at}}]})

    def state(self):
        return self.monitor("query-status")["status"]

    def end(self):
        """Quits; the guest's verdict must be a success."""
        self.monitor("quit")
        code = self.run.wait(20)
        check(code == 0, f"{self.run.name}: exit code {code}: {self.run.errors}")
        result = json.loads(self.run.output.decode().splitlines()[-1])
        check(result["errors"] == 0, f"{result}")


def demand_kvm(scene):
    answers = Ramjet(scene, "probe", "--json").done()
    if not answers["kvm"]:
        raise Skip(f"no KVM here: {answers['reasons']['kvm']}")


def source_of(scene):
    demand_kvm(scene)
    return Vm(scene, "source", "--guest", "counter")


def target_of(scene, name="target"):
    return Vm(scene, name, "--incoming", "defer")


SLOWLY = '{"max-bandwidth": 1048576, "downtime-limit": 1}'
FAST = '{"max-bandwidth": 0, "downtime-limit": 2000}'


def migrate_well(scene, source, name="last"):
    """Migrates to a new VM; the guest runs on there, and finds everything as it was."""
    target = target_of(scene, name)
    to = target.listen()
    source.monitor.forget()
    source.monitor("migrate-set-parameters", FAST)
    source.monitor("migrate", to)
    check(source.monitor.await_status("completed", "failed") == "completed",
          f"{source.monitor('query-migrate')}")
    target.monitor.await_status("completed")
    check(source.state() == "postmigrate" and target.state() == "running", "who runs?")
    before = target.monitor("x-query-guest")
    while (now := target.monitor("x-query-guest"))["heartbeats"] == before["heartbeats"]:
        pass
    check(now["errors"] == 0 and now["running"], f"{now}")
    target.end()


# --- lines ---------------------------------------------------------------------------------------

LINES = (  # what is sent, and what the answer contains
    ('{"execute": "query-status"}', '"class": "CommandNotFound"'),
    ("stop", '"class": "GenericError"'),
    (NEGOTIATE, '{"return": {}}'),
    (NEGOTIATE, '"class": "CommandNotFound"'),
    ('{ "execute": "query-status", "id": 17 }', '"id": 17'),
    ('{"execute":"query-name"\n,"id":{"a":[]}}', '{"return": {"name": "source"}, "id": {"a": []}}'),
    ('{"execute": "no-such-command"}', '"class": "CommandNotFound"'),
    ('{"execute": "query-status", "arguments": {"x": 1}}', "Parameter 'x' is unexpected"),
    ('{"execute": "query-status"', None),
    (', "id": 1}', '"id": 1'),
    ('{"execute": "query-status}', '"class": "GenericError"'),
    ('{"execute": "query-version", "id": "last"}', '"id": "last"'),
)


@case("lines, well-formed and not")
def lines(scene):
    vm = source_of(scene)
    monitor = Monitor(scene, vm.path)  # a second client, while the first one stays
    version = monitor.greeting["QMP"]["version"]
    check(monitor.greeting["QMP"]["capabilities"] == [] and
          {type(n) for n in version["qemu"].values()} == {int}, f"{monitor.greeting}")
    for text, expected in LINES:
        monitor.say(text)
        if expected:
            heard = json.dumps(monitor.answer())
            check(expected in heard, f"{text}: {heard}, want {expected}")
    vm.monitor("stop")
    check(vm.state() == "paused", "not paused")
    monitor("query-status")
    check(monitor.events == [("STOP", None)], f"{monitor.events}")
    vm.monitor("cont")
    vm.end()


# --- names and types -----------------------------------------------------------------------------

RAM = {name: int for name in (
    "transferred remaining total duplicate normal normal-bytes page-size dirty-pages-rate "
    "dirty-sync-count dirty-sync-missed-zero-copy pages-per-second multifd-bytes precopy-bytes "
    "downtime-bytes postcopy-bytes postcopy-requests").split()} | {"mbps": float}
STATUS = {"status": str, "channels": list}
UNDER_WAY = STATUS | {"total-time": int, "setup-time": int, "expected-downtime": int,
                      "remaining": int, "ram": dict}
COMPLETED = STATUS | {"total-time": int, "setup-time": int, "downtime": int, "ram": dict}
PARAMETERS = {name: int for name in (
    "announce-initial announce-max announce-rounds announce-step throttle-trigger-threshold "
    "cpu-throttle-initial cpu-throttle-increment max-cpu-throttle max-bandwidth "
    "avail-switchover-bandwidth downtime-limit x-checkpoint-delay multifd-channels "
    "multifd-zlib-level multifd-zstd-level multifd-qatzip-level xbzrle-cache-size "
    "max-postcopy-bandwidth vcpu-dirty-limit x-vcpu-dirty-limit-period "
    "x-rdma-chunk-size").split()} | {name: str for name in (
        "tls-creds tls-hostname tls-authz multifd-compression mode zero-page-detection").split()
    } | {"cpu-throttle-tailslow": bool, "direct-io": bool, "cpr-exec-command": list}


def check_types(what, answer, expected):
    found = {name: type(value) for name, value in answer.items()}
    check(found == expected, f"{what}: {found}, want {expected}")


@case("the answers' names and types")
def types(scene):
    source, target = source_of(scene), target_of(scene)
    s, t = source.monitor, target.monitor
    check_types("nothing yet", s("query-migrate"), {})
    check_types("parameters", s("query-migrate-parameters"), PARAMETERS)
    check_types("query-status", s("query-status"), {"status": str, "running": bool})
    check_types("query-uuid", s("query-uuid"), {"UUID": str})
    for entry in s("query-migrate-capabilities"):
        check_types("capability", entry, {"capability": str, "state": bool})
    for entry in s("query-commands"):
        check_types("command", entry, {"name": str})
    check_types("a dirty rate", s("query-dirty-rate"), {
        "status": str, "start-time": int, "calc-time": int, "calc-time-unit": str,
        "sample-pages": int, "mode": str})
    to = target.listen()
    check_types("listening", t("query-migrate"), STATUS | {"socket-address": list})
    source.capability("pause-before-switchover", True)
    source.capability("multifd", True)
    s("migrate-set-parameters", FAST)
    s("migrate", to)
    s.await_status("pre-switchover")
    under_way = s("query-migrate")
    check_types("under way", under_way, UNDER_WAY)
    check_types("ram", under_way["ram"], RAM)
    s.refused("migrate", to, "runs already")
    s("migrate-continue", '{"state": "pre-switchover"}')
    s.await_status("completed")
    t.await_status("completed")
    check(s.statuses() == ["setup", "active", "pre-switchover", "device", "completed"],
          f"{s.statuses()}")
    check(t.statuses() == ["setup", "active", "completed"], f"{t.statuses()}")
    check_types("completed", s("query-migrate"), COMPLETED)
    check_types("at the destination", t("query-migrate"), STATUS)
    check(len(s("query-migrate")["channels"]) == 2, "channels")
    s.refused("migrate", to, "migrated away")
    source.end()
    target.end()


# --- disturbances --------------------------------------------------------------------------------

def stop_in(source, state, to):
    """Starts a migration that stays in this state."""
    source.capability("pause-before-switchover", state == "pre-switchover")
    source.monitor("migrate-set-parameters", FAST if state == "pre-switchover" else SLOWLY)
    source.monitor.forget()
    source.monitor("migrate", to)
    source.monitor.await_status(state)


def runs_on(source, status):
    """The guest runs as if nothing had happened."""
    found = source.monitor("query-migrate")
    check(found["status"] == status and source.state() == "running", f"{found}")
    check(status != "failed" or found.get("error-desc"), f"no reason: {found}")
    source.capability("pause-before-switchover", False)


for _state in ("active", "pre-switchover"):
    @case(f"cancelled in {_state}, then once more")
    def cancelled(scene, state=_state):
        source, target = source_of(scene), target_of(scene)
        stop_in(source, state, target.listen(stay=False))
        source.monitor("migrate_cancel")
        source.monitor.await_status("cancelled")
        runs_on(source, "cancelled")
        target.run.failed()
        migrate_well(scene, source)
        source.end()

    @case(f"the destination is killed in {_state}, then once more")
    def target_killed(scene, state=_state):
        source, target = source_of(scene), target_of(scene)
        stop_in(source, state, target.listen())
        target.run.send_signal(signal.SIGKILL)
        source.monitor.await_status("failed")
        runs_on(source, "failed")
        migrate_well(scene, source)
        source.end()

    @case(f"the source is killed in {_state}")
    def source_killed(scene, state=_state):
        source, target = source_of(scene), target_of(scene)
        stop_in(source, state, target.listen(stay=False))
        source.run.send_signal(signal.SIGKILL)
        target.run.failed(seconds=20)

    @case(f"quit in {_state}")
    def quits(scene, state=_state):
        source, target = source_of(scene), target_of(scene)
        stop_in(source, state, target.listen(stay=False))
        source.end()
        target.run.failed(seconds=20)


def run(scene, chosen):
    chosen.run(scene)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run))
