#!/usr/bin/env python3
"""x-ignore-shared: memory in a file stays in place, and both ends open the file; between runners,
through files, and with QEMUs at either end."""

import shutil
import sys
from collections import namedtuple

from lib import journey, ram, ramjet, table
from lib.monitor import Refused
from lib.qemu import Qemu
from lib.ramjet import Ramjet
from lib.runner import FAST, Vm, demand_kvm, dirtier, moved
from lib.scene import until
from lib.table import Skip, check

Case = namedtuple("Case", "label run")
CASES = []

MIB = 1 << 20
MOVES = 20
SET = ("--set", "x-ignore-shared=on")
SYNTH = ("--accel", "synth")


def case(label, *arguments):
    """Adds the next function to the table, once for these arguments."""
    def add(function):
        CASES.append(Case(label, lambda scene: function(scene, *arguments)))
        return function
    return add


# --- runners ---------------------------------------------------------------------------------------

def backend(scene):
    return "--backend", f"file:{scene.folder}/memory"


def source_of(scene, *options, accel=SYNTH, **shape):
    return dirtier(scene, *accel, *backend(scene), *SET, *options, **shape)


def target_of(scene, *options, accel=SYNTH, **shape):
    return Vm(scene, *accel, *backend(scene), *SET, *options, **shape)


def transferred(vm):
    return vm.qmp("query-migrate")["ram"]["transferred"]


def refused(vm, command, *words, **arguments):
    try:
        vm.qmp(command, **arguments)
    except Refused as why:
        check(all(word in str(why) for word in words), f"{why}")
        return
    check(False, f"{command} was taken")


def fails(source, target, *words):
    """A migration that the destination refuses; the source's guest runs on."""
    source.set(return_path=True)
    address = target.listen()
    source.qmp.forget()
    source.qmp("migrate", uri=address)
    source.qmp.status("failed")
    target.failed(*words)
    check(source.state() == "running", f"the source is {source.state()}")
    source.swept(source.guest()["sweeps"] + 1)


def many_moves(scene, memory, accel):
    """Many moves from process to process; each sends almost nothing."""
    if accel != SYNTH:
        demand_kvm(scene)
    size = int(memory[:-1]) * (1 << 30 if memory[-1] == "G" else MIB)
    if shutil.disk_usage(scene.folder).free < size + (1 << 30):
        raise Skip(f"no room for {memory} in {scene.folder}")
    # All of the memory is the guest's; parts that it never touches stay holes in the file.
    guest = "dirtier,rate=50M,working-set=16M"
    source = source_of(scene, accel=accel, memory=memory, guest=guest)
    for move in range(1, MOVES + 1):
        target = target_of(scene, accel=accel, memory=memory)
        moved(source, target, target.listen())
        sent = transferred(source)
        check(sent < MIB, f"move {move} of {memory} sent {sent} bytes")
        check(source.qmp("query-migrate")["ram"]["total"] == size, "the total is not the memory's")
        check(target.swept()["moves"] == move, f"{target.guest()}")
        target.parameters(**FAST)
        source.quit()
        source = target
    source.quit()


for _memory in ("64M", "1G", "8G"):
    case(f"small: 20 moves of {_memory}, as threads", _memory, SYNTH)(many_moves)
case("small: 20 moves of 64M, under KVM", "64M", ("--accel", "kvm"))(many_moves)


@case("small: the memory is one, with channels and without")
def same_memory(scene):
    source = source_of(scene)
    for settings in ({"multifd": False}, {"multifd": True}, {"switchover_ack": True}):
        target = target_of(scene)
        source.set(return_path=True, **settings)
        source.qmp("stop")
        digest = source.digest()
        moved(source, target, target.listen())
        check(target.digest() == digest, "the memory differs")
        check(transferred(source) < MIB, f"{settings}: {transferred(source)} bytes")
        target.qmp("cont")
        target.swept()
        target.parameters(**FAST)
        source.quit()
        source = target
    source.quit()


@case("small: who waits changes nothing in the file")
def waits(scene):
    source = source_of(scene)
    source.qmp("stop")
    digest = source.digest()
    for _ in range(3):
        target = target_of(scene)
        target.listen()
        check(target.state() == "inmigrate", target.state())
        target.qmp("quit")
        target.wait(10)
    check(source.digest() == digest, "the memory has changed")
    source.qmp("cont")
    source.swept(source.guest()["sweeps"] + 1)
    source.quit()


@case("small: two guests never run on one file")
def not_twice(scene):
    source = source_of(scene)
    Ramjet(scene, "vm", *SYNTH, "--guest", "idle", "--memory", "32M", *backend(scene)).failed(
        "in use by another guest")
    target = target_of(scene)
    moved(source, target, target.listen())
    refused(source, "cont", "in use by another guest")
    check(source.state() == "postmigrate", source.state())
    # A guest from another source cannot use the file either; that source's guest runs on.
    other = dirtier(scene, *SYNTH, "--backend", f"file:{scene.folder}/other", *SET)
    fails(other, target_of(scene), "in use by another guest")
    target.swept()
    for vm in (source, other, target):
        vm.quit()


@case("small: a file of another length, or none, is refused and not made")
def other_files(scene):
    source = source_of(scene, memory="16M")
    waiting = (*SYNTH, "--memory", "32M", "--incoming", "defer", *SET)
    Ramjet(scene, "vm", *waiting, *backend(scene)).failed(
        "16777216 bytes long, expected 33554432", code=2)
    Ramjet(scene, "vm", *waiting, "--backend", f"file:{scene.folder}/none").failed(
        "none: open: no such file")
    check(not (scene.folder / "none").exists(), "a file was made")
    source.quit()


@case("small: refused and cancelled, the guest goes on, and moves later")
def goes_on(scene):
    source = source_of(scene)
    fails(source, target_of(scene, cpus=1), "vcpu")
    target = target_of(scene)
    address = target.listen(exit_on_error=False)
    source.set(pause_before_switchover=True)
    source.qmp.forget()
    source.qmp("migrate", uri=address)
    source.qmp.status("pre-switchover")
    source.qmp("migrate_cancel")
    source.qmp.status("cancelled")
    source.swept(source.guest()["sweeps"] + 1)
    source.set(pause_before_switchover=False)
    until(lambda: target.qmp("query-migrate").get("status") in ("failed", "cancelled"), "its end")
    target.qmp.forget()
    moved(source, target, target.listen())
    target.swept()
    source.quit()
    target.quit()


@case("small: on at one end only")
def one_end(scene):
    source = source_of(scene)
    plain = Vm(scene, *SYNTH)
    fails(source, plain, "x-ignore-shared is on at the source, expected off")
    source.set(x_ignore_shared=False)
    fails(source, target_of(scene), "x-ignore-shared is off at the source, expected on")
    target = target_of(scene)
    target.set(x_ignore_shared=False)
    fails(source, target, "its pages come, but its file was opened as it is")
    source.quit()


@case("small: memory that is new at the destination is refused, and what is private there")
def not_the_same(scene):
    source = source_of(scene)
    late = Vm(scene, *SYNTH, "--backend", f"file:{scene.folder}/new")
    late.set(x_ignore_shared=True)
    fails(source, late, "its memory is new here, expected the source's")
    fails(source, Vm(scene, *SYNTH, *SET), "the source has left it out")
    source.quit()


@case("small: memory without a name travels all the same")
def travels(scene):
    source = dirtier(scene, *SYNTH, "--backend", "memfd", *SET)
    target = Vm(scene, *SYNTH, *SET)
    source.qmp("stop")
    moved(source, target, target.listen())
    check(transferred(source) > MIB, f"{transferred(source)} bytes")
    check(source.digest() == target.digest(), "the memory differs")
    target.qmp("cont")
    target.swept()
    source.quit()
    target.quit()


@case("small: through a file, and another process goes on")
def reboot(scene):
    source = source_of(scene)
    for move in range(1, 4):
        state = scene.folder / f"state-{move}"
        source.set(multifd=False)
        source.qmp.forget()
        source.qmp("migrate", uri=f"file:{state}")
        source.qmp.status("completed")
        digest = source.digest()
        source.quit()
        check(state.stat().st_size < MIB, f"the state has {state.stat().st_size} bytes")
        source = target_of(scene, "--incoming", f"file:{state}", "--paused")
        check(source.digest() == digest, "the memory differs")
        source.qmp("cont")
        check(source.swept()["moves"] == move, f"{source.guest()}")
        source.parameters(**FAST)
    source.quit()


@case("small: a capture without the memory: info, back into a runner, by send and by itself")
def captured(scene):
    source = source_of(scene)
    for form in ("file", "raw"):
        source.qmp("cont")
        source.qmp("stop")
        digest = source.digest()
        capture = f"{form}:{scene.folder}/{form}"
        receiver, address = ramjet.recv(scene, capture, "--json", "--digest", *SET)
        source.qmp.forget()
        source.qmp("migrate", uri=address)
        source.qmp.status("completed")
        check("digest" not in receiver.done(), "a digest of what is not there")
        block, = Ramjet(scene, "info", "--json", capture).done()["blocks"]
        check(block["elsewhere"] and block["pages-present"] == 0, f"{block}")
        text = Ramjet(scene, "info", capture)
        text.done()
        check(b"shared, elsewhere" in text.output, text.output)
        Ramjet(scene, "send", capture, "tcp:127.0.0.1:9").failed("'pc.ram'", "x-ignore-shared",
                                                                 code=2)
        target = target_of(scene, "--paused")
        sender = Ramjet(scene, "send", "--json", *SET, capture, target.listen())
        check(journey.completed(sender.done())["guest-bytes"] == 0, "pages")
        target.qmp.status("completed")
        check(target.digest() == digest, "the memory differs")
        target.quit()
        if form == "file":
            again = target_of(scene, "--incoming", capture, "--paused")
            check(again.digest() == digest, "the memory differs")
            again.quit()  # none of them ran the guest: the source may run it again
    source.quit()


# --- with QEMUs ------------------------------------------------------------------------------------

SHARED = ("x-ignore-shared",)


def qemu_source(scene, version, machine, devices, channels):
    source = Qemu(scene, "source", version, machine=machine, devices=devices)
    source.configure(SHARED, channels)
    return source


def with_memory(source, name):
    """A copy of the paused source's memory, for another machine: its guest will write to it."""
    shutil.copy(source.memory, source.memory.with_name(f"{name}.ram"))
    if source.plugged.exists():
        shutil.copy(source.plugged, source.plugged.with_name(f"{name}.virtio-mem"))


def qemu_target(scene, name, version, source, capabilities, channels):
    with_memory(source, name)
    target = Qemu(scene, name, version, **source.shape, incoming="defer", paused=True)
    target.configure(capabilities, channels)
    return target


def check_info(scene, capture):
    blocks = Ramjet(scene, "info", "--json", capture).done()["blocks"]
    left = [block["name"] for block in blocks if block["elsewhere"]]
    check("m" in left and "pc.bios" not in left, f"left out: {left}")


def through(scene, version, machine, form, channels, devices):
    """Moves a QEMU's running guest into a capture, and from there into a QEMU."""
    source = qemu_source(scene, version, machine, devices, channels)
    capture = f"{form}:" if form == "null" else f"{form}:{scene.folder}/capture"
    result = journey.capture(scene, source, capture, *SET, rounds=0)
    check(result["wire-bytes"] < MIB * 2, f"{result['wire-bytes']} bytes")
    if form == "null":
        return
    check_info(scene, capture)
    target = qemu_target(scene, "target", version, source, SHARED, channels)
    journey.deliver(scene, capture, target, channels, *SET)
    ram.same_files("memory", target.memory, source.memory)
    target.qmp("cont")
    target.passes(3)


for _version in ("7.2", "10.0"):
    for _form, _channels, _devices in (("null", 2, False), ("raw", 0, False), ("raw", 2, False),
                                       ("file", 0, False), ("file", 4, False), ("file", 2, True)):
        case(f"{_version} through {_form}, {_channels} channels{', devices' * _devices}", _version,
             f"pc-q35-{_version}", _form, _channels, _devices)(through)


@case("11.1 loads a capture, and its own file is read")
def newest(scene):
    """9.0 to 10.x can neither write nor read files with both x-ignore-shared and mapped-ram."""
    source = qemu_source(scene, "11.1", "pc-q35-11.1", False, 2)
    capture = scene.folder / "capture"
    journey.capture(scene, source, f"file:{capture}", *SET, rounds=0)
    both = ("mapped-ram", *SHARED)
    target = qemu_target(scene, "target", "11.1", source, both, 0)
    target.qmp("migrate_incoming", uri=f"file:{capture}")
    target.migrated()
    target.qmp("cont")
    target.passes(3)
    target.configure(both)
    written = scene.folder / "written"
    target.qmp("migrate", uri=f"file:{written}")
    target.migrated()
    check_info(scene, f"file:{written}")
    again = qemu_target(scene, "again", "11.1", target, SHARED, 2)
    journey.deliver(scene, f"file:{written}", again, 2, *SET)
    again.qmp("cont")
    again.passes(3)


@case("10.0 and recv do not agree on it")
def disagree(scene):
    source = Qemu(scene, "source", "10.0", machine="pc-q35-10.0")
    source.configure(("return-path",), 0)
    for at_source in (False, True):
        if at_source:
            source.configure(SHARED)
        receiver, address = ramjet.recv(scene, "null:", *(() if at_source else SET))
        source.passes(1)
        source.qmp("migrate", uri=address)
        receiver.failed("x-ignore-shared is " + ("on" if at_source else "off"), seconds=20)
        source.qmp.event(lambda _, data: data.get("status") == "failed")
        source.passes(2)


def run(scene, chosen):
    chosen.run(scene)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run, seconds=60))
