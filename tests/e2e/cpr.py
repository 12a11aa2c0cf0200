#!/usr/bin/env python3
"""A guest whose memory stays in place while the program around it is replaced: by exec in the same
process, by another process, or through a file."""

import fcntl
import os
import signal
import socket
import struct
import sys
from collections import namedtuple
from pathlib import Path

from lib import table
from lib.monitor import Monitor, Refused
from lib.ramjet import Ramjet
from lib.runner import Vm, demand_kvm, dirtier, moved
from lib.scene import until
from lib.table import check
from lib.upgrade import command, descriptors, kinds, replaced

Case = namedtuple("Case", "label run")
CASES = []
QUICK = int(os.environ.get("TEST_SLOWNESS", 1)) > 1
MIB = 1 << 20
GUEST = "dirtier,rate=50M,verify=40,write=avx,timer=10ms"


def case(label, *arguments):
    """Adds the next function to the table, once for these arguments."""
    def add(function):
        CASES.append(Case(label, lambda scene: function(scene, *arguments)))
        return function
    return add


def memfd_guest(scene, *options, backend="memfd", **shape):
    return dirtier(scene, "--backend", backend, *options, guest=GUEST, **shape)


def lives(vm):
    """The guest runs on, and its memory is right."""
    vm.beats()
    vm.swept(vm.guest()["sweeps"] + 1)


# --- another program in the same process -----------------------------------------------------------

@case("exec: one program after the other")
def rounds(scene):
    demand_kvm(scene)
    n, memory = (4, "64M") if QUICK else (50, "1G")
    vm = memfd_guest(scene, memory=memory)
    before = kinds(descriptors(vm))
    for _ in range(n):
        replaced(vm, scene.folder / "state")
        vm.swept()
        found = descriptors(vm)
        check(kinds(found) == before, f"descriptors: {found}, before: {before}")
        until(lambda: not Path(f"/proc/{vm.pid}/task/{vm.pid}/children").read_text(),
              "no process that is left over")
    check(vm.guest()["moves"] == n, f"{vm.guest()}")
    vm.quit()


@case("exec: memory of every kind, memfd", ["--backend", "memfd"])
@case("exec: memory of every kind, a file", ["--backend", "file:FOLDER/memory"])
@case("exec: memory of every kind, without KVM", ["--backend", "memfd", "--accel", "synth"])
def backends(scene, options):
    if "synth" not in options:
        demand_kvm(scene)
    options = [o.replace("FOLDER", str(scene.folder)) for o in options]
    vm = dirtier(scene, *options, guest="dirtier,rate=50M")
    for _ in range(3):
        replaced(vm, scene.folder / "state")
        lives(vm)
    vm.quit()


@case("exec: many blocks, one of which stays behind")
def blocks(scene):
    demand_kvm(scene)
    vm = memfd_guest(scene, "--memory-backend", "id=high,size=2M,kind=memfd,addr=6G",
                     "--memory-backend", f"id=named,size=4M,kind=file,path={scene.folder}/m,addr=5G",
                     "--memory-backend", "id=stays,size=2M,addr=7G,migratable=off")
    for _ in range(3):
        replaced(vm, scene.folder / "state")
        lives(vm)
    vm.quit()


@case("exec: a monitor at a port")
def monitor_at_port(scene):
    demand_kvm(scene)
    vm = memfd_guest(scene, qmp=f"tcp:127.0.0.1:{port()}")
    for _ in range(3):
        replaced(vm, scene.folder / "state")
        lives(vm)
    vm.quit()


@case("exec: a quit is obeyed")
def quits_instead(scene):
    demand_kvm(scene)
    vm = memfd_guest(scene)
    vm.set(pause_before_switchover=True)
    vm.parameters(mode="cpr-exec", cpr_exec_command=command(vm, scene.folder / "state"))
    vm.qmp("migrate", uri=f"file:{scene.folder}/state")
    vm.qmp.status("pre-switchover")
    vm.quit()
    check(vm.monitors() == 1, "the next program has run")
    check(not (scene.folder / "state").exists(), "the state is still there")


@case("exec: it may go elsewhere afterwards")
def onward(scene):
    demand_kvm(scene)
    vm = memfd_guest(scene)
    replaced(vm, scene.folder / "state")
    vm.swept()
    vm.parameters(mode="normal", max_bandwidth=0, downtime_limit=2000)
    vm.qmp("stop")
    target = Vm(scene)
    moved(vm, target, target.listen())
    check(vm.digest() == target.digest(), "memory differs")
    target.qmp("cont")
    lives(target)
    target.quit()


@case("exec: a paused guest stays so")
def paused(scene):
    demand_kvm(scene)
    vm = memfd_guest(scene)
    vm.qmp("stop")
    digest = vm.digest()
    vm.parameters(mode="cpr-exec", cpr_exec_command=command(vm, scene.folder / "state"))
    monitors = vm.monitors()
    vm.qmp("migrate", uri=f"file:{scene.folder}/state")
    check(vm.read(lambda _: vm.monitors() > monitors), vm.errors)
    vm.qmp.close()
    vm.qmp = Monitor(vm.address)
    check(vm.state() == "paused", f"it is {vm.state()}")
    check(vm.digest() == digest, "memory differs")
    vm.qmp("cont")
    lives(vm)
    vm.quit()


FAILING = {
    "missing": ("/nowhere/ramjet", "No such file"),
    "not in PATH": ("no-such-program-anywhere", "No such file"),
    "not executable": ("FOLDER/text", "Permission denied"),
    "no program": ("FOLDER/rubbish", "Exec format error"),
    "a folder": ("FOLDER", "Permission denied"),
}


@case("exec fails: missing", "missing")
@case("exec fails: not in PATH", "not in PATH")
@case("exec fails: not executable", "not executable")
@case("exec fails: no program", "no program")
@case("exec fails: a folder", "a folder")
def exec_fails(scene, which):
    demand_kvm(scene)
    program, why = FAILING[which]
    (scene.folder / "text").write_text("hello")
    (scene.folder / "rubbish").write_bytes(b"\x7fELF rubbish")
    (scene.folder / "rubbish").chmod(0o755)
    vm = memfd_guest(scene)
    before = descriptors(vm)
    state = scene.folder / "state"
    for _ in range(3):
        vm.qmp.forget()
        vm.parameters(mode="cpr-exec", cpr_exec_command=[
            program.replace("FOLDER", str(scene.folder)), "vm"])
        vm.qmp("migrate", uri=f"file:{state}")
        vm.qmp.status("failed")
        report = vm.qmp("query-migrate")["error-desc"]
        check("cpr-exec-command" in report and why in report, report)
        check(vm.state() == "running", f"the guest is {vm.state()}")
        check(not state.exists(), "the state is still there")
        lives(vm)
    check(descriptors(vm) == before, f"{descriptors(vm)}, before: {before}")
    check(b"RAMJET" not in Path(f"/proc/{vm.pid}/environ").read_bytes().replace(b"RAMJET=", b""),
          "a variable is left")
    replaced(vm, state)  # and a good state is accepted after it
    lives(vm)
    vm.quit()


@case("exec is refused before anything stops")
def exec_refused(scene):
    demand_kvm(scene)
    good = {"mode": "cpr-exec", "cpr_exec_command": ["/bin/true"]}
    for backend, parameters, uri, rule in (
            ("anon", good, "file:STATE", "M16"),
            ("memfd", {"mode": "cpr-exec"}, "file:STATE", "M14"),
            ("memfd", good, "tcp:127.0.0.1:1", "B7"),
            ("memfd", good, "unix:STATE", "B7")):
        vm = memfd_guest(scene, backend=backend)
        vm.parameters(**parameters)
        vm.qmp.forget()
        try:
            vm.qmp("migrate", uri=uri.replace("STATE", str(scene.folder / "state")))
            raise AssertionError(f"{rule}: it was let in")
        except Refused as refused:
            check(f"rule {rule}" in refused.desc, refused.desc)
        vm.qmp.forget()
        check(not vm.qmp.events and vm.state() == "running", f"{vm.qmp.events}")
        check(not (scene.folder / "state").exists(), "a file is there")
        vm.quit()


# --- damaged states ---------------------------------------------------------------------------------

SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK


def memfd(content=b"", length=None, seals=0):
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, content)
    if length is not None:
        os.ftruncate(fd, length)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def entry(name, fd):
    name = name.encode() + b"\0"
    return b"\1" + struct.pack(">I", len(name)) + name + struct.pack(">ii", 0, fd)


def listed(*entries, version=1):
    return b"QCPR" + struct.pack(">I", version) + b"".join(entry(*e) for e in entries) + b"\0"


def sealed(content):
    return memfd(content, seals=SEALS)


def lies(scene):
    """Values of the variable, open descriptors, and the message that each must cause."""
    memory, short = memfd(length=32 * MIB), memfd(length=MIB)
    plain = os.open(scene.folder / "plain", os.O_RDWR | os.O_CREAT)
    os.ftruncate(plain, 32 * MIB)
    good = listed(("pc.ram", memory))
    yield "no number", "x", [], "a descriptor's number"
    yield "a standard one", "1", [], "a descriptor's number"
    yield "a number and more", "17x", [], "a descriptor's number"
    yield "not open", "999", [], "descriptor 999: bad file"
    for what, fd in ("a file", plain), ("memory", memory), ("unsealed", memfd(good)):
        yield what, str(fd), [fd, memory], "not a memfd with a list"
    for what, content, words in (
            ("empty", b"", "cut off after 0 bytes"),
            ("foreign version", listed(version=2), "version 2, expected 1"),
            ("foreign magic", b"QEVM" + good[4:], "magic 0x5145564d"),
            ("cut", good[:-1], "cut off after"),
            ("cut in a name", good[:16], "cut off after"),
            ("more after it", good + b"more", "after the list"),
            ("too long", b"\0" * 40000, "a list of 40000 bytes"),
            ("not open there", listed(("pc.ram", 998)), "descriptor 998: bad file"),
            ("negative", listed(("pc.ram", -1)), "descriptor -1, which is something else"),
            ("standard output", listed(("pc.ram", 1)), "descriptor 1, which is something else"),
            ("twice", listed(("pc.ram", memory), ("b", memory)), "which is something else"),
            ("one name twice", listed(("b", memory), ("b", short)), "named twice"),
            ("nothing", listed(), "'pc.ram': it was not handed over"),
            ("another block", listed(("m", memory)), "'pc.ram': it was not handed over"),
            ("one too many", listed(("pc.ram", memory), ("m", short)), "no block of that name"),
            ("too short", listed(("pc.ram", short)), "1048576 bytes long, expected 33554432"),
            ("no memfd", listed(("pc.ram", plain)), "no memfd of small pages")):
        fd = sealed(content)
        yield what, str(fd), [fd, memory, short, plain], words
    itself = memfd()
    os.write(itself, listed(("pc.ram", itself)))
    fcntl.fcntl(itself, fcntl.F_ADD_SEALS, SEALS)
    yield "the list itself", str(itself), [itself], "which is something else"


@case("a state that lies")
def state_lies(scene):
    demand_kvm(scene)
    for what, variable, fds, words in lies(scene):
        run = Ramjet(scene, "vm", "--backend", "memfd", "--memory", "32M", "--incoming",
                     f"file:{scene.folder}/none", pass_fds=fds,
                     env=os.environ | {"RAMJET_CPR_STATE": variable})
        try:
            run.failed(words, seconds=10)
        except AssertionError as wrong:
            raise AssertionError(f"{what}: {wrong}") from None


@case("memory that came needs a guest that comes")
def state_without_guest(scene):
    for options in ["--guest", "counter"], ["--incoming", "tcp:127.0.0.1:0", "--cpr", "unix:x"]:
        memory = memfd(length=32 * MIB)
        fd = sealed(listed(("pc.ram", memory)))
        run = Ramjet(scene, "vm", "--backend", "memfd", *options, pass_fds=[fd, memory],
                     env=os.environ | {"RAMJET_CPR_STATE": str(fd)})
        run.failed("memory was handed over", code=2)


# --- another process ---------------------------------------------------------------------------------

class Successor(Vm):
    """Waits for a VM's memory, and then for its guest. Its monitor opens when it has the memory."""

    def __init__(self, scene, name, *options, at="tcp:127.0.0.1:0", memory="32M"):
        self.cpr = scene.folder / f"{name}.cpr"
        self._monitor = scene.folder / f"{name}.monitor"
        Ramjet.__init__(self, scene, "vm", "--backend", "memfd", "--memory", memory, "--cpus", 2,
                        "--cpr", f"unix:{self.cpr}", "--incoming", at, "--qmp",
                        f"unix:{self._monitor}", *options)
        check(self.read(lambda out: b"\n" in out), f"it ended before it listened: {self.errors}")
        check(self.output.startswith(b"cpr unix:"), f"its first line is {self.output}")
        self.address = f"unix:{self._monitor}"
        self._scene = scene

    def connect(self):
        check(self.read(lambda out: b"\nmonitor " in out), f"it has ended: {self.errors}")
        self.qmp = Monitor(self.address)
        self._scene.at_end.callback(self.qmp.close)


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def channels(main, cpr):
    def unix(path):
        return {"transport": "socket", "type": "unix", "path": str(path)}
    addr = unix(main) if isinstance(main, Path) else {
        "transport": "socket", "type": "inet", "host": "127.0.0.1", "port": str(main)}
    return [{"channel-type": "main", "addr": addr}, {"channel-type": "cpr", "addr": unix(cpr)}]


def hand_over(source, main, target):
    source.parameters(mode="cpr-transfer")
    source.qmp.forget()
    source.qmp("migrate", channels=channels(main, target.cpr))


@case("transfer: over tcp", "tcp", [])
@case("transfer: over a Unix socket", "unix", [])
@case("transfer: with multifd", "tcp", ["multifd"])
@case("transfer: without KVM", "unix", [], "--accel", "synth")
def transfer(scene, kind, capabilities, *options):
    if not options:
        demand_kvm(scene)
    source = dirtier(scene, "--backend", "memfd", *options,
                     guest="dirtier,rate=50M" if options else GUEST)
    for i in range(3):
        main = port() if kind == "tcp" else scene.folder / f"main-{i}"
        target = Successor(scene, f"successor-{i}", *options,
                           at=f"tcp:127.0.0.1:{main}" if kind == "tcp" else f"unix:{main}")
        source.set(**{name: True for name in capabilities})
        hand_over(source, main, target)
        target.connect()
        source.qmp.status("completed")
        check(source.state() == "postmigrate", f"the source is {source.state()}")
        check(source.qmp("query-migrate")["ram"]["normal"] == 0, "a page has travelled")
        check(not target.cpr.exists(), "the socket is still there")
        try:
            source.qmp("cont")
            raise AssertionError("two guests in one memory")
        except Refused as refused:
            check("in use by another guest" in refused.desc, refused.desc)
        source.quit()
        until(lambda: target.guest()["moves"] == i + 1, "the guest's going on")
        lives(target)
        target.set(events=True)
        source = target
    source.quit()


@case("transfer fails: nobody there", "nobody", "connect to unix:")
@case("transfer fails: another length", "length", "main channel")
@case("transfer fails: it goes when it has the memory", "goes", "main channel")
@case("transfer fails: it goes in the middle", "cut", "cpr channel")
@case("transfer fails: cancelled", "cancelled", None)
def transfer_fails(scene, how, words):
    demand_kvm(scene)
    source = memfd_guest(scene)
    source.parameters(mode="cpr-transfer")
    before = descriptors(source)
    main, path, peer = port(), scene.folder / "cpr", None
    if how == "length":
        target = Successor(scene, "other", memory="64M", at=f"tcp:127.0.0.1:{main}")
        path = target.cpr
    elif how != "nobody":
        peer = socket.socket(socket.AF_UNIX)
        peer.bind(str(path))
        peer.listen()
    source.qmp("migrate", channels=channels(main, path))
    if peer:
        taken, _ = peer.accept()
        while how != "cut" and taken.recv(1 << 16):
            pass
        if how == "cancelled":
            source.qmp("migrate_cancel")
        else:
            taken.close()
    source.qmp.status("failed" if words else "cancelled")
    if words:
        report = source.qmp("query-migrate")["error-desc"]
        check(words in report, report)
    if how == "length":
        target.failed("give both the same --memory", seconds=10)
    check(source.state() == "running", f"the source is {source.state()}")
    lives(source)
    check(kinds(descriptors(source)) == kinds(before), f"{descriptors(source)}")
    target = Successor(scene, "good", at=f"tcp:127.0.0.1:{main}")
    hand_over(source, main, target)
    target.connect()
    source.qmp.status("completed")
    lives(target)
    target.quit()


@case("transfer is refused before anything stops")
def transfer_refused(scene):
    demand_kvm(scene)
    main = port()
    inet = {"transport": "socket", "type": "inet", "host": "127.0.0.1", "port": "1"}
    good = channels(main, scene.folder / "cpr")
    for backend, mode, wanted, rule in (
            ("anon", "cpr-transfer", good, "M16"),
            ("memfd", "cpr-transfer", good[:1], "M15"),
            ("memfd", "cpr-transfer", [good[0], good[1] | {"addr": inet}], "M15"),
            ("memfd", "normal", good, "M1"),
            ("memfd", "cpr-transfer", good[1:], "M1"),
            ("memfd", "cpr-transfer", good + good[:1], "M1")):
        vm = memfd_guest(scene, backend=backend)
        vm.parameters(mode=mode)
        vm.qmp.forget()
        try:
            vm.qmp("migrate", channels=wanted)
            raise AssertionError(f"{rule}: it was let in")
        except Refused as refused:
            check(f"rule {rule}" in refused.desc, refused.desc)
        vm.qmp.forget()
        check(not vm.qmp.events and vm.state() == "running", f"{vm.qmp.events}")
        vm.quit()


@case("a successor that is ended before a source comes")
def successor_interrupted(scene):
    target = Successor(scene, "waits")
    target.send_signal(signal.SIGTERM)
    target.failed("cancelled", code=3)
    check(not target.cpr.exists(), "the socket is still there")


@case("what --cpr needs")
def cpr_options(scene):
    for options in (["--guest", "counter"], ["--incoming", "defer"], ["--incoming", "file:x"]):
        Ramjet(scene, "vm", *options, "--cpr", "unix:x").failed("--cpr", code=2)
    Ramjet(scene, "vm", "--incoming", "tcp:127.0.0.1:0", "--cpr", "tcp:127.0.0.1:0").failed(
        "unix:path only", code=2)


# --- through a file ----------------------------------------------------------------------------------

@case("reboot: into a file and out of it")
def reboot(scene):
    demand_kvm(scene)
    source = dirtier(scene, guest=GUEST)
    source.parameters(mode="cpr-reboot")
    source.qmp.forget()
    source.qmp("migrate", uri=f"file:{scene.folder}/state")
    source.qmp.status("completed")
    names = [name if name != "MIGRATION" else data["status"]
             for name, data in source.qmp.events if name != "MIGRATION_PASS"]
    check(names == ["setup", "active", "STOP", "device", "completed"], f"{names}")
    report = source.qmp("query-migrate")["ram"]
    check(report["normal"] > 0, f"no page was written: {report}")
    digest = source.digest()
    source.quit()
    target = Vm(scene, "--incoming", f"file:{scene.folder}/state", "--paused")
    check(target.digest() == digest, "memory differs")
    target.qmp("cont")
    lives(target)
    target.quit()


@case("reboot: to a peer")
def reboot_to_peer(scene):
    demand_kvm(scene)
    source = dirtier(scene, guest=GUEST)
    source.parameters(mode="cpr-reboot")
    target = Vm(scene)
    moved(source, target, target.listen())
    lives(target)
    target.quit()


@case("modes that need a guest are none of send's and recv's")
def without_a_guest(scene):
    for mode in "cpr-exec", "cpr-transfer":
        for verb, ends in ("send", ["synth:1M", "tcp:127.0.0.1:1"]), ("recv", ["tcp:127.0.0.1:0",
                                                                             "null:"]):
            Ramjet(scene, verb, "--set", f"mode={mode}", *ends).failed("rule r12", code=2)


def run(scene, chosen):
    chosen.run(scene)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run, seconds=60 if QUICK else 400))
