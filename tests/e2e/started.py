#!/usr/bin/env python3
"""How the program was started, and what becomes of what it says: without standard descriptors, with
an output that is lost, with signals ignored, and with a limit on the length of files."""

import sys
from collections import namedtuple

from lib import table
from lib.monitor import Monitor
from lib.ramjet import Ramjet, recv
from lib.scene import until
from lib.snapshot import Snapshot
from lib.table import check

Case = namedtuple("Case", "label run")
CASES = []

MIB = 1 << 20
LOST = 4  # the exit code: it was done, but the report is lost
GUEST = ["--accel", "synth", "--memory", "16M", "--cpus", 1]


def case(label):
    """Adds the function below it to the table."""
    def add(function):
        CASES.append(Case(label, function))
        return function
    return add


def ended(process, code, *words):
    """Demands an exit code, and that the errors hold all `words`; none: that there are none."""
    found = process.wait(30)
    said = process.errors
    check(found == code, f"{process.name}: exit code {found}, want {code}: {said}")
    for word in words:
        check(word in said, f"{process.name}: want {word!r} in: {said}")
    check(words or not said, f"{process.name}: {said}")


def listens(path, what):
    until(path.exists, f"{what} to listen")


def transfer(scene, name, target, source="synth:4M", options=(), **process):
    """Both ends of a migration, both started alike."""
    at = scene.folder / f"{name}.socket"
    receiver = Ramjet(scene, "recv", f"unix:{at}", target, **process)
    listens(at, "recv")
    sender = Ramjet(scene, "send", "--channels", 2, *options, source, f"unix:{at}", **process)
    return sender, receiver


def files_of(path):
    """The bytes of a snapshot or a capture, by name."""
    if path.is_dir():
        return {p.name: p.read_bytes() for p in path.iterdir()}
    return {"": path.read_bytes()}


class Guest(Ramjet):
    """`ramjet vm` without KVM, of whose output nothing is read; `qmp` is its monitor."""

    def __init__(self, scene, name, *what, **process):
        self.path = scene.folder / f"{name}.monitor"
        super().__init__(scene, "vm", *what, *GUEST, "--qmp", f"unix:{self.path}", **process)
        listens(self.path, name)
        self.qmp = Monitor(f"unix:{self.path}")
        scene.at_end.callback(self.qmp.close)

    def guest(self):
        return self.qmp("x-query-guest")

    def sweeps(self):
        """Waits until the guest has verified all of its memory once."""
        until(lambda: self.guest()["sweeps"] >= 1, "the guest's sweep over its memory", 60)
        check(self.guest()["errors"] == 0, f"{self.guest()}")

    def migrated(self, uri):
        self.qmp("migrate", uri=uri)
        until(lambda: self.qmp("query-migrate")["status"] in ("completed", "failed"),
              "the migration's end", 60)
        found = self.qmp("query-migrate")
        check(found["status"] == "completed", f"{found}")

    def quit(self):
        self.qmp("quit")
        self.qmp.close()


# ---- output that is lost ----

FULL = "/dev/full"


@case("lost: words into a full disk")
def lost_words(scene):
    for words in (["help"], ["help", "send"], ["help", "settings"], ["--version"], ["probe"],
                  ["probe", "--rules", "--json"], ["recv", "--help"]):
        ended(Ramjet(scene, *words, output=FULL), LOST, f"ramjet {words[0]}: standard output",
              "No space left on device")


@case("lost: a migration's report, and the snapshot is whole")
def lost_report(scene):
    for how in ((), ("--json",), ("--digest",)):
        target = scene.folder / f"snap{''.join(how)}"
        at = scene.folder / f"at{''.join(how)}"
        receiver = Ramjet(scene, "recv", *how, f"unix:{at}", f"file:{target}", output=FULL)
        listens(at, "recv")
        sender = Ramjet(scene, "send", *how, "synth:4M", f"unix:{at}", output=FULL)
        for run in (sender, receiver):
            ended(run, LOST, "the migration has succeeded", "No space left on device")
            check(len(run.errors.splitlines()) == 1, f"want one line: {run.errors}")
        info = Ramjet(scene, "info", target)
        ended(info, 0)
        check(b"pc.ram" in info.output, f"{info.output}")
        ended(Ramjet(scene, "info", target, output=FULL), LOST, "No space left on device")


@case("lost: a reader that goes after the first line")
def lost_reader(scene):
    receiver, address = recv(scene, f"file:{scene.folder}/vm.snap")
    receiver.leave()
    Ramjet(scene, "send", "synth:4M", address).done()
    ended(receiver, LOST, "the migration has succeeded", "Broken pipe")
    with Snapshot(scene.folder / "vm.snap") as snapshot:
        check("pc.ram" in snapshot.blocks, f"{snapshot.blocks}")


@case("lost: what failed is a failure, whatever becomes of the report")
def lost_failure(scene):
    ended(Ramjet(scene, "send", "--json", "synth:1M", "tcp:127.0.0.1:1", output=FULL), 1, "refused")
    ended(Ramjet(scene, "info", scene.folder / "absent", output=FULL), 1, "absent")


@case("lost: a guest's verdict, an answer, and what migrate has to say")
def lost_guest(scene):
    source = Guest(scene, "source", "--guest", "dirtier,rate=20M", output=FULL)
    source.sweeps()
    target = Guest(scene, "target", "--incoming", "defer", output=FULL)
    ended(Ramjet(scene, "qmp", f"unix:{source.path}", "query-status", output=FULL), LOST,
          "the command was executed", "No space left on device")
    ended(Ramjet(scene, "migrate", f"unix:{source.path}", f"unix:{target.path}", output=FULL), LOST,
          "the guest is at TO", "No space left on device")
    for vm in (source, target):
        vm.quit()
        vm.wait(30)
        check(vm.wait() == LOST, f"{vm.wait()}: {vm.errors}")
        check("the guest was right" in vm.errors, vm.errors)


def run(scene, chosen):
    chosen.run(scene)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run, seconds=120))
