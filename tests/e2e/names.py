#!/usr/bin/env python3
"""Names that cannot be looked up: the name server takes the query and never answers, and the C
library waits for minutes. Time limits and cancelling work nevertheless, in every verb and at the
monitor, and no end waits for a look-up that was given up."""

import signal
import sys
from collections import namedtuple
from pathlib import Path

from lib import table
from lib.monitor import Monitor
from lib.ramjet import Ramjet
from lib.scene import until
from lib.table import Skip, check

Case = namedtuple("Case", "label run")
CASES = []

DEAF = Path(__file__).parent / "lib" / "no_answer.py"
NAME = "tcp:nobody.test:4444"
LIMIT = "500ms"
SOON = 30  # seconds, for what should take one: the library alone would take minutes
VM = ("--accel", "synth", "--memory", "32M")


def case(label):
    """Adds the next function to the table."""
    def add(function):
        CASES.append(Case(label, function))
        return function
    return add


def deaf(scene, *arguments):
    """A run of ramjet whose name server does not answer."""
    folder = scene.folder / "etc"
    folder.mkdir(exist_ok=True)
    return Ramjet(scene, *arguments, prefix=(sys.executable, "-B", DEAF, folder))


def looks_up(run):
    """Waits until it waits for the name server."""
    def found():
        tasks = Path(f"/proc/{run.pid}/task")
        names = [(task / "comm").read_text().strip() for task in tasks.iterdir()]
        if b"skipped: " in run.output:
            raise Skip(run.output.decode().strip().removeprefix("skipped: "))
        return "rj-lookup" in names
    until(found, f"{run.name} to look a name up", SOON)


def demand_namespaces(scene):
    run = deaf(scene, "--version")
    if run.wait(SOON) == 77:
        raise Skip(run.output.decode().strip().removeprefix("skipped: "))


def limited(label, *arguments, words=("look up", "timed out")):
    """A verb that ends by its time limit, with one line that says so."""
    @case(f"{label}: its limit")
    def run(scene):
        demand_namespaces(scene)
        deaf(scene, *arguments).failed(*words, seconds=SOON)


def interrupted(label, *arguments, code=3, words=("cancelled",)):
    """The same verb without a limit, ended by a signal."""
    @case(f"{label}: a signal")
    def run(scene):
        demand_namespaces(scene)
        for number in signal.SIGINT, signal.SIGTERM:
            verb = deaf(scene, *arguments)
            looks_up(verb)
            verb.send_signal(number)
            if code:
                verb.failed(*words, seconds=SOON, code=code)
            else:
                check(verb.wait(SOON) == -number, f"{verb.name}: {verb.errors}")


def both(label, verb, *arguments, option="--connect-timeout", **signalled):
    limited(label, verb, option, LIMIT, *arguments)
    interrupted(label, verb, option, "10min", *arguments, **signalled)


both("send", "send", "synth:1M", NAME)
both("send, channels", "send", "--channels", 4, "synth:1M", NAME)
both("recv", "recv", NAME, "null:")
both("vm, incoming", "vm", *VM, "--incoming", NAME)
both("vm, monitor", "vm", *VM, "--guest", "idle", "--qmp", NAME)
# These have nothing to clean up: a signal ends them as it ends any program.
both("qmp", "qmp", NAME, "query-status", option="--timeout", code=None)
both("migrate, from", "migrate", NAME, "unix:/nowhere", code=None)


class Vm:
    """A runner whose name server does not answer, and a client of its monitor."""

    def __init__(self, scene, *options):
        demand_namespaces(scene)
        path = scene.folder / "monitor"
        self.run = deaf(scene, "vm", *VM, "--qmp", f"unix:{path}", *options)
        lines = 1 if "--incoming" in options else 2
        check(self.run.read(lambda out: out.count(b"\n") >= lines), f"{self.run.errors}")
        self.address = f"unix:{path}"
        self.qmp = Monitor(self.address)

    def migration(self):
        return self.qmp("query-migrate")

    def ends(self):
        code = self.run.wait(SOON)
        check(code == 0, f"exit code {code}: {self.run.errors}")


@case("migrate to a name, then migrate_cancel, again, and quit")
def cancelled(scene):
    vm = Vm(scene, "--connect-timeout", "10min", "--guest", "idle")
    for _ in range(2):
        vm.qmp("migrate", uri=NAME)
        looks_up(vm.run)
        vm.qmp("migrate_cancel")
        until(lambda: vm.migration()["status"] == "cancelled", "the cancel", SOON)
        check(vm.qmp("query-status")["running"], "the guest stands still")
        looks_up(vm.run)  # the look-up still runs: the VM did not wait for it
    vm.qmp("quit")
    vm.ends()


@case("migrate to a name, and quit")
def quits(scene):
    vm = Vm(scene, "--connect-timeout", "10min", "--guest", "idle")
    vm.qmp("migrate", uri=NAME)
    looks_up(vm.run)
    vm.qmp("quit")
    vm.ends()


@case("migrate to a name: its limit")
def migrate_limit(scene):
    vm = Vm(scene, "--connect-timeout", LIMIT, "--guest", "idle")
    vm.qmp("migrate", uri=NAME)
    until(lambda: vm.migration()["status"] == "failed", "the limit", SOON)
    text = vm.migration()["error-desc"]
    check("look up" in text and "timed out" in text, text)
    check(vm.qmp("query-status")["running"], "the guest stands still")
    vm.qmp("quit")
    vm.ends()


@case("migrate-incoming at a name: others are heard, and quit")
def incoming(scene):
    vm = Vm(scene, "--connect-timeout", "10min", "--incoming", "defer")
    vm.qmp("migrate-incoming", uri=NAME)
    looks_up(vm.run)
    other = Monitor(vm.address)
    check(other("query-status")["status"] == "inmigrate", "a VM that waits")
    check("socket-address" not in vm.migration(), f"{vm.migration()}")
    vm.qmp("quit")
    check(vm.run.wait(SOON) is not None, "it ends")


@case("migrate-incoming at a name: its limit, then at a number")
def incoming_limit(scene):
    vm = Vm(scene, "--connect-timeout", "2s", "--incoming", "defer")
    vm.qmp("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
    vm.qmp("migrate-incoming", uri=NAME, exit_on_error=False)
    until(lambda: vm.migration().get("status") == "failed", "the limit", SOON)
    text = vm.migration()["error-desc"]
    check("look up" in text and "timed out" in text, text)
    vm.qmp("migrate-incoming", uri="tcp:127.0.0.1:0", exit_on_error=False)
    check(vm.migration()["socket-address"][0]["port"] != "0", f"{vm.migration()}")
    vm.qmp("quit")
    check(vm.run.wait(SOON) is not None, "it ends")


@case("ramjet migrate: TO is to listen at a name")
def driven(scene):
    source = Ramjet(scene, "vm", *VM, "--guest", "idle", "--qmp", f"unix:{scene.folder}/from")
    check(source.read(lambda out: out.count(b"\n") >= 2), f"{source.errors}")
    vm = Vm(scene, "--connect-timeout", "10min", "--incoming", "defer")
    host = NAME.split(":")[1]
    driver = Ramjet(scene, "migrate", "--connect-timeout", "2s", "--listen", host,
                    f"unix:{scene.folder}/from", vm.address)
    driver.failed(host, "still looks that name up", seconds=SOON)
    vm.qmp("quit")
    check(vm.run.wait(SOON) is not None, "it ends")


@case("a number and a name in /etc/hosts ask no server")
def no_question(scene):
    demand_namespaces(scene)
    (scene.folder / "etc" / "hosts").write_text("127.0.0.1 here.test\n")
    for host in "here.test", "127.0.0.1", "[::1]", "":
        deaf(scene, "send", "--connect-timeout", "10min", "synth:1M", f"tcp:{host}:9").failed(
            "connect to", seconds=SOON)


@case("a name that leads to a link-local address asks for its zone")
def link_local(scene):
    demand_namespaces(scene)
    if not Path("/proc/net/if_inet6").exists():
        raise Skip("no IPv6 on this machine")
    (scene.folder / "etc" / "hosts").write_text("fe80::1 link.test\n")
    for words in (("send", "synth:1M", "tcp:link.test:9"), ("recv", "tcp:link.test:0", "null:")):
        deaf(scene, *words).failed("fe80::1", "zone", "%eth0", seconds=SOON)
    deaf(scene, "send", "synth:1M", "tcp:[fe80::1%nowhere]:9").failed(
        "no interface 'nowhere'", seconds=SOON)


def main():
    return table.main(CASES, lambda scene, case: case.run(scene), seconds=120)


if __name__ == "__main__":
    sys.exit(main())
