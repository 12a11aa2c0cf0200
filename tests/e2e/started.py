#!/usr/bin/env python3
"""How the program is started, and what happens to its output: without standard descriptors, with
output that fails, with ignored signals, and with a limit on the length of files."""

import itertools
import signal
import socket
import sys
from collections import namedtuple

from lib import table
from lib.monitor import Monitor
from lib.ramjet import STILL, Ramjet, recv
from lib.scene import until
from lib.snapshot import Snapshot
from lib.table import check

Case = namedtuple("Case", "label run")
CASES = []

MIB = 1 << 20
_LISTENS = 0x10000  # __SO_ACCEPTCON
LOST = 4  # the exit code: success, but the report is lost
GUEST = ["--accel", "synth", "--memory", "16M", "--cpus", 1]


def case(label):
    """Adds the next function to the table."""
    def add(function):
        CASES.append(Case(label, function))
        return function
    return add


def ended(process, code, *words):
    """Checks the exit code, and that the errors contain all `words`; none: that
    there are no errors."""
    found = process.wait(30)
    text = process.errors
    check(found == code, f"{process.name}: exit code {found}, want {code}: {text}")
    for word in words:
        check(word in text, f"{process.name}: want {word!r} in: {text}")
    check(words or not text, f"{process.name}: {text}")


def is_listening(path):
    """By the kernel's table: the path exists a moment before the socket listens."""
    with open("/proc/net/unix", encoding="utf-8") as table_of_sockets:
        rows = [line.split() for line in table_of_sockets]
    return any(row[-1] == str(path) and int(row[3], 16) & _LISTENS for row in rows[1:])


def listens(path, what):
    until(lambda: is_listening(path), f"{what} to listen", 60)


def transfer(scene, name, target, source="synth:4M", options=(), **process):
    """Both ends of a migration, both started in the same way."""
    at = scene.folder / f"{name}.socket"
    receiver = Ramjet(scene, "recv", f"unix:{at}", target, **process)
    listens(at, "recv")
    sender = Ramjet(scene, "send", "--channels", 2, *options, source, f"unix:{at}", **process)
    return sender, receiver


def files_of(path):
    """The files of a snapshot or a capture, by name."""
    if path.is_dir():
        return {p.name: p.read_bytes() for p in path.iterdir()}
    return {"": path.read_bytes()}


class Guest(Ramjet):
    """`ramjet vm` without KVM whose output is not read; `qmp` is its monitor."""

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


# ---- standard descriptors that are closed ----

NAMES = {0: "input", 1: "output", 2: "errors"}
CLOSED = [which for n in range(4) for which in itertools.combinations(NAMES, n)]


def label_of(closed):
    return " and ".join(NAMES[fd] for fd in closed) or "nothing"


def all_right(process, closed, **more):
    """For a program that has done everything: only its report may be lost, and one line says so."""
    lost = 1 in closed
    words = ["standard output: Bad file descriptor"] if lost and 2 not in closed else []
    ended(process, LOST if lost else 0, *words, **more)


def closed_snapshots(scene, closed):
    """A file is the same as with all descriptors open."""
    for kind in ("file", "raw"):
        whole, tried = scene.folder / f"{kind}.whole", scene.folder / f"{kind}.tried"
        for run in transfer(scene, f"{kind}-whole", f"{kind}:{whole}"):
            run.done()
        for run in transfer(scene, f"{kind}-tried", f"{kind}:{tried}", closed=closed):
            all_right(run, closed)
        check(files_of(whole) == files_of(tried), f"{kind}: not the bytes that were sent")


def closed_progress(scene, closed):
    """Lines that are written while pages travel: the migration takes longer than a
    second and a half."""
    whole, tried = scene.folder / "whole", scene.folder / "tried"
    slow = ["--max-bandwidth", "20Mbit", "--progress", "always"]
    source = "synth:4M,random=100,zero=0"
    for run in transfer(scene, "whole", f"file:{whole}", source):
        run.done()
    sender, receiver = transfer(scene, "tried", f"file:{tried}", source, slow, closed=closed)
    for run in (sender, receiver):
        run.wait(30)
        check(2 in closed or run is receiver or "B/s" in run.errors, f"no progress: {run.errors}")
    check(files_of(whole) == files_of(tried), "not the bytes that were sent")


def closed_files(scene, closed):
    """send into a file, both ways, and info about the file."""
    for setting in ("on", "off"):
        whole, tried = scene.folder / f"whole-{setting}", scene.folder / f"tried-{setting}"
        options = ["--set", f"mapped-ram={setting}", "synth:4M"]
        Ramjet(scene, "send", *options, f"file:{whole}").done()
        all_right(Ramjet(scene, "send", *options, f"file:{tried}", closed=closed), closed)
        check(whole.read_bytes() == tried.read_bytes(), f"mapped-ram {setting}: not the same bytes")


def closed_words(scene, closed):
    """Verbs that only print either print everything, or report that it is lost."""
    snapshot = scene.folder / "it.snap"
    Ramjet(scene, "send", "--set", "mapped-ram=on", "synth:4M", f"file:{snapshot}").done()
    for words in (["help"], ["help", "send"], ["help", "settings"], ["--version"],
                  ["probe", "--rules"], ["probe", "--rules", "--json"], ["info", snapshot],
                  ["info", "--json", snapshot], ["send", "--help"]):
        wanted, found = Ramjet(scene, *words), Ramjet(scene, *words, closed=closed)
        ended(wanted, 0)
        all_right(found, closed)
        check(1 in closed or found.output == wanted.output, f"{words}: {found.output}")
    for words, code in ((["info"], 2), (["nonsense"], 2), ([], 2),
                        (["info", scene.folder / "absent"], 1)):
        ended(Ramjet(scene, *words, closed=closed), code,
              *(["ramjet"] if 2 not in closed else []))


def closed_guests(scene, closed):
    """A guest whose memory is a file, and that verifies every page: here, at another end, and from
    a file; driven by migrate and queried by qmp."""
    memory, saved = scene.folder / "memory", scene.folder / "saved"
    source = Guest(scene, "source", "--guest", "dirtier,rate=20M", "--backend", f"file:{memory}",
                   closed=closed)
    source.sweeps()
    target = Guest(scene, "target", "--incoming", "defer", closed=closed)
    asked = Ramjet(scene, "qmp", f"unix:{source.path}", "query-status", closed=closed)
    all_right(asked, closed)
    check(1 in closed or b"running" in asked.output, f"{asked.output}")
    moved = Ramjet(scene, "migrate", "--progress", "always", f"unix:{source.path}",
                   f"unix:{target.path}", closed=closed)
    moved.wait(60)
    check(moved.wait() == (LOST if 1 in closed else 0), f"{moved.wait()}: {moved.errors}")
    check(2 in closed or 1 not in closed or "the guest is at TO" in moved.errors, moved.errors)
    target.sweeps()
    target.qmp("migrate-set-capabilities",
               capabilities=[{"capability": "mapped-ram", "state": True}])
    target.migrated(f"file:{saved}")
    for vm in (source, target):
        vm.quit()
        vm.wait(30)
        check(vm.wait() == (LOST if 1 in closed else 0), f"{vm.name}: {vm.wait()}: {vm.errors}")
    check(b"heartbeats" not in memory.read_bytes(), "the report stands in the guest's memory")
    again = Guest(scene, "again", "--incoming", f"file:{saved}", closed=closed)
    again.sweeps()
    again.quit()
    again.wait(30)


def closed_successor(scene, closed):
    """Memory that stays while another program takes over: its descriptors never
    become an output."""
    vm = Guest(scene, "vm", "--guest", "dirtier,rate=20M", "--backend", "memfd",
               closed=closed)
    vm.sweeps()
    monitor = scene.folder / "next.monitor"
    command = [vm.argv[0], "vm", "--incoming", f"file:{scene.folder}/state", *map(str, GUEST),
               "--backend", "memfd", "--qmp", f"unix:{monitor}"]
    vm.qmp("migrate-set-parameters", mode="cpr-exec", cpr_exec_command=command)
    vm.qmp("migrate", uri=f"file:{scene.folder}/state")
    listens(monitor, "the next program")
    vm.qmp.close()
    vm.qmp = Monitor(f"unix:{monitor}")
    scene.at_end.callback(vm.qmp.close)
    vm.sweeps()
    vm.quit()
    check(vm.wait(30) == (LOST if 1 in closed else 0), f"{vm.wait()}: {vm.errors}")


for _what, _run in (("snapshots", closed_snapshots), ("files", closed_files),
                    ("words", closed_words), ("guests", closed_guests)):
    for _closed in CLOSED:
        case(f"closed {label_of(_closed)}: {_what}")(
            lambda scene, run=_run, closed=_closed: run(scene, closed))
for _closed in ((), (2,), (0, 1, 2)):
    case(f"closed {label_of(_closed)}: progress")(
        lambda scene, closed=_closed: closed_progress(scene, closed))
case("closed input and output and errors: successor")(
    lambda scene: closed_successor(scene, (0, 1, 2)))


@case("words in the stream: an address that is standard output or standard error")
def same_place(scene):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        fd = theirs.fileno()
        for words in (["recv", f"fd:{fd}", "null:"], ["send", "--channels", 0, "synth:1M", f"fd:{fd}"],
                      ["vm", "--incoming", f"fd:{fd}", *GUEST]):
            for number, name in ((1, "standard output"), (2, "standard error")):
                run = Ramjet(scene, *words, pass_fds=[fd],
                             prefix=["sh", "-c", f'exec "$@" {number}>&{fd}', "sh"])
                check(run.wait(30) == 2, f"{words}: exit code {run.wait()}")
                check(number == 2 or f"{name} goes there too" in run.errors, run.errors)
        ours.setblocking(False)
        text = ours.recv(4096).decode()  # the bytes on standard error
        check("standard error goes there too" in text and "listening" not in text, text)
    target = scene.folder / "target"
    ended(Ramjet(scene, "send", "synth:1M", f"file:{target}", output=target), 2,
          "standard output goes there too")
    check(target.read_bytes() == b"", f"{target.read_bytes()[:80]}")


# ---- output that fails ---- ----

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
            lines = [line for line in run.errors.splitlines() if STILL not in line]
            check(len(lines) == 1, f"want one line: {run.errors}")
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


@case("lost: a digest that a signal ends, and the snapshot is whole")
def lost_digest(scene):
    receiver, address = recv(scene, f"file:{scene.folder}/vm.snap", "--digest")
    Ramjet(scene, "send", "synth:2G,zero=100", address).done()
    receiver.send_signal(signal.SIGTERM)
    if receiver.wait(60) != 0:  # the digest may be finished first
        ended(receiver, LOST, "the migration has succeeded", "digest was interrupted")
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
        check("the guest has found no error" in vm.errors, vm.errors)


# ---- signals that are ignored ----

@case("ignored: as nohup and a shell's & do it")
def ignored(scene):
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        receiver, address = recv(scene, f"file:{scene.folder}/{number}", ignored=[number])
        receiver.send_signal(number)
        Ramjet(scene, "send", "synth:4M", address).done()
        receiver.done()
        receiver, _ = recv(scene, f"file:{scene.folder}/not-{number}", ignored=[number])
        for other in (signal.SIGINT, signal.SIGTERM):
            if other != number:
                receiver.send_signal(other)
                break
        receiver.failed("cancelled", code=3)


@case("ignored: by a guest and by who drives two")
def ignored_guest(scene):
    ends = [signal.SIGHUP, signal.SIGINT, signal.SIGTERM]
    source = Guest(scene, "source", "--guest", "dirtier,rate=20M", ignored=ends)
    target = Guest(scene, "target", "--incoming", "defer", ignored=ends)
    for number in ends:
        source.send_signal(number)
    source.sweeps()
    driver = Ramjet(scene, "migrate", f"unix:{source.path}", f"unix:{target.path}", ignored=ends)
    driver.send_signal(signal.SIGINT)
    driver.done(60)
    target.send_signal(signal.SIGTERM)
    target.sweeps()
    for vm in (source, target):
        vm.quit()
        vm.done(30)


# ---- a limit on the length of files ----

def only(folder, *names):
    left = sorted(p.name for p in folder.iterdir())
    check(left == sorted(names), f"in the folder: {left}, want {names}")


def place(scene, name):
    made = scene.folder / name
    made.mkdir()
    return made


@case("file limit: recv")
def limit_recv(scene):
    for kind in ("file", "raw"):
        for channels in (0, 2):
            folder = place(scene, f"{kind}{channels}")
            receiver, address = recv(scene, f"{kind}:{folder}/it", file_limit=MIB)
            sender = Ramjet(scene, "send", "--channels", channels, "synth:16M,random=100,zero=0",
                            address)
            receiver.failed("file too large", "rlimit_fsize", f"here {MIB}", seconds=30)
            sender.failed(seconds=30)
            check("reset" not in sender.errors.lower(), f"the source was not told: {sender.errors}")
            only(folder)


@case("file limit: the last byte of a snapshot is what does not fit")
def limit_commit(scene):
    whole, folder = scene.folder / "whole", place(scene, "target")
    receiver, address = recv(scene, f"file:{whole}")
    Ramjet(scene, "send", "synth:4M", address).done()
    receiver.done()
    receiver, address = recv(scene, f"file:{folder}/it", file_limit=whole.stat().st_size - 1)
    sender = Ramjet(scene, "send", "synth:4M", address)
    receiver.failed("file too large", seconds=30)
    sender.failed(seconds=30)
    only(folder)


@case("file limit: send into a file")
def limit_send(scene):
    folder, there = place(scene, "target"), scene.folder / "there"
    for setting in ("on", "off"):
        for target in (folder / "it", there):
            there.write_text("front")
            Ramjet(scene, "send", "--set", f"mapped-ram={setting}", "synth:16M,random=100,zero=0",
                   f"file:{target},offset=5", file_limit=MIB).failed("file too large", seconds=30)
            check(there.read_text() == "front", f"{there.stat().st_size} bytes are left")
            only(folder)


@case("file limit: a guest's memory, and its migration into a file")
def limit_guest(scene):
    folder = place(scene, "target")
    Ramjet(scene, "vm", "--guest", "dirtier,rate=20M", *GUEST, "--backend", f"file:{folder}/memory",
           file_limit=MIB).failed("file too large", seconds=30)
    only(folder)
    Ramjet(scene, "vm", "--guest", "dirtier,rate=20M", *GUEST, "--backend", "memfd",
           file_limit=MIB).failed("file too large", seconds=30)
    vm = Guest(scene, "vm", "--guest", "dirtier,rate=20M", file_limit=MIB // 16)
    vm.sweeps()
    for mapped in (False, True):
        vm.qmp("migrate-set-capabilities",
               capabilities=[{"capability": "mapped-ram", "state": mapped}])
        vm.qmp("migrate", uri=f"file:{folder}/saved")
        until(lambda: vm.qmp("query-migrate")["status"] == "failed", "the failure", 60)
        why = vm.qmp("query-migrate")["error-desc"]
        check("File too large" in why, why)
        only(folder)
        until(lambda: vm.qmp("query-status")["status"] == "running", "the guest to run", 60)
    before = vm.guest()["heartbeats"]
    until(lambda: vm.guest()["heartbeats"] > before, "the guest's heartbeats", 60)
    vm.quit()
    vm.done(30)


@case("file limit: output into a file")
def limit_output(scene):
    text = scene.folder / "said"
    ended(Ramjet(scene, "help", "settings", output=text, file_limit=1000), LOST, "File too large")
    check(text.stat().st_size == 1000, f"{text.stat().st_size} bytes")


def run(scene, chosen):
    chosen.run(scene)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run, seconds=120))
