#!/usr/bin/env python3
"""`ramjet save` and `ramjet restore`, one command each: the snapshot has all memory, the VM gets its
settings back, its guest goes on as asked, and after any failure as before; nothing half-made is
left."""

import json
import os
import re
import signal
import sys
from collections import namedtuple

from lib import journey, table
from lib.asked_vm import Runner
from lib.driven import Vm
from lib.ramjet import Ramjet
from lib.scene import until
from lib.table import check

Case = namedtuple("Case", "label run")
CASES = []

# A capture that lasts until it is cancelled.
UNDER_WAY = ("--max-bandwidth", "4M", "--downtime-limit", "1ms")


def case(label):
    """Adds the next function to the table."""
    def add(function):
        CASES.append(Case(label, function))
        return function
    return add


def verb(scene, name, *words, **process):
    """A run whose private folders are in the scene's."""
    return Ramjet(scene, name, *words, env={**os.environ, "TMPDIR": str(scene.folder)}, **process)


def save(scene, vm, *words, **process):
    return verb(scene, "save", *words, vm.address, f"file:{scene.folder}/vm.snap", **process)


def restore(scene, vm, *words, **process):
    return verb(scene, "restore", *words, f"file:{scene.folder}/vm.snap", vm.address, **process)


def source_of(scene, version="10.0", **options):
    vm = Vm(scene, "source", version, **options)
    vm.passes(2)
    return vm


def target_of(scene, version="10.0", **options):
    options = {"incoming": "defer", "paused": True, **options}
    return Vm(scene, "target", version, **options)


def leaves(scene, *names):
    """The snapshots, and what else a save might have left, are just these."""
    found = {p.name for p in scene.folder.iterdir()
             if p.name.startswith("ramjet-") or ".snap" in p.name}
    check(found == set(names), f"left: {found}, want {names}")


def saved(scene, run, state):
    found = run.done()
    check(found["status"] == "completed" and found["from"]["run-state"] == state, f"{found}")
    check(found["file"] == f"file:{scene.folder}/vm.snap" and "to" not in found, f"{found}")
    check(found["ram"]["normal"] > 0 and "error-desc" not in found, f"{found}")
    leaves(scene, "vm.snap")
    return found


def compare(scene, source):
    journey.compare(scene.folder / "vm.snap", source)


def goes_on(vm):
    vm.qmp("cont")
    vm.passes(3)


def under_way(vm):
    """Memory travels. A QEMU 10.0 that is cancelled in its first moments may hang for ever: its
    migration's thread waits for a channel's, which has ended."""
    until(lambda: vm.qmp("query_migrate").get("ram", {}).get("normal", 0) > 1000, "pages", 40)


def unharmed(scene, vm, before, *left):
    """After a failure: as before, and nothing is left but these."""
    check(vm.settings() == before, f"settings: {vm.settings()}, were {before}")
    vm.runs_on()
    leaves(scene, *left)


# --- there and back ------------------------------------------------------------------------------

def round_trip(here, there, *words, back=()):
    @case(f"{here} to {there}, {' '.join(words)} and {' '.join(back)}")
    def _(scene):
        source = source_of(scene, here)
        before = source.settings()
        saved(scene, save(scene, source, "--json", "--then", "stop", *words), "postmigrate")
        compare(scene, source)
        check(source.settings() == before, f"settings: {source.settings()}, were {before}")
        target = target_of(scene, there)
        restore(scene, target, *back).done()
        journey.arrived(target, source)
        goes_on(source)


round_trip("7.2", "7.2")
round_trip("10.0", "10.0")
round_trip("7.2", "10.0", "--compress", "zstd", back=("--compress", "zlib"))
round_trip("10.0", "10.0", "--channels", "0", back=("--channels", "0"))
round_trip("10.0", "7.2", "--by", "vm", back=("--channels", "3"))
round_trip("7.2", "10.0", "--channels", "5", back=("--by", "vm"))
round_trip("10.0", "10.0", "--by", "vm", "--channels", "0", back=("--by", "vm", "--channels", "0"))


@case("devices and a UUID")
def _(scene):
    shape = {"devices": True, "uuid": "12345678-1234-5678-9abc-123456789abc"}
    source = source_of(scene, "7.2", **shape)
    saved(scene, save(scene, source, "--json", "--then", "stop"), "postmigrate")
    target = target_of(scene, "10.0", **shape)
    restore(scene, target).done()
    journey.arrived(target, source)


@case("a snapshot without a UUID is restored into a VM that has one")
def _(scene):
    shape = {"uuid": "12345678-1234-5678-9abc-123456789abc"}
    source = source_of(scene, **shape)
    saved(scene, save(scene, source, "--json", "--channels", 0, "--then", "stop"), "postmigrate")
    target = target_of(scene, **shape)
    restore(scene, target).done()
    journey.arrived(target, source)


# --- what becomes of the guest -------------------------------------------------------------------

def lives_on(version, *words):
    @case(f"{version} saved live, {' '.join(words)}")
    def _(scene):
        source = source_of(scene, version)
        before = source.settings()
        for _ in range(2):  # once more, with the same VM
            saved(scene, save(scene, source, "--json", "--force", *words), "running")
            check(source.settings() == before, f"settings: {source.settings()}, were {before}")
            source.runs_on()


lives_on("7.2")
lives_on("10.0")
lives_on("10.0", "--by", "vm")


def paused(version, *words):
    @case(f"{version} paused before, {' '.join(words)}")
    def _(scene):
        source = source_of(scene, version)
        source.qmp("stop")
        found = saved(scene, save(scene, source, "--json", *words), "postmigrate")
        check(not source.qmp("query_status")["running"], f"it runs: {found}")
        compare(scene, source)
        goes_on(source)


paused("7.2")
paused("10.0", "--by", "vm")


def ends(version, *words):
    @case(f"{version} quits, {' '.join(words)}")
    def _(scene):
        source = source_of(scene, version)
        saved(scene, save(scene, source, "--json", "--then", "quit", *words), None)
        check(source.wait(20) == 0, "it ended otherwise")


ends("7.2")
ends("10.0", "--by", "vm")


def restored(then, autostart, state):
    @case(f"restored, --then {then}, {'started with -S' if not autostart else 'started to run'}")
    def _(scene):
        source = source_of(scene)
        save(scene, source, "--then", "quit").done()
        target = target_of(scene, paused=not autostart)
        restore(scene, target, "--then", then).done()
        check(target.qmp("query_status")["status"] == state, f"{target.qmp('query_status')}")
        if state == "running":
            target.passes(2)
        else:
            goes_on(target)


restored("run", False, "running")
restored("pause", True, "paused")
restored("as-saved", True, "running")
restored("as-saved", False, "paused")


# --- settings ------------------------------------------------------------------------------------

@case("settings that are in the way are given back")
def _(scene):
    source = source_of(scene)
    source.configure(["xbzrle", "postcopy-ram", "release-ram", "x-ignore-shared"][:3])
    source.qmp("migrate_set_parameters", max_bandwidth=1 << 20, multifd_channels=9,
               multifd_compression="zlib", tls_creds="none-such", downtime_limit=123)
    before = source.settings()
    for by in ("ramjet", "vm"):
        saved(scene, save(scene, source, "--json", "--force", "--by", by), "running")
        check(source.settings() == before, f"settings: {source.settings()}, were {before}")


@case("a setting that the VM does not have")
def _(scene):
    source = source_of(scene, "7.2")
    before = source.settings()
    save(scene, source, "--set", "mapped-ram=on").failed("7.2", "mapped-ram", "since 9.0", code=2)
    unharmed(scene, source, before)
    save(scene, source, "--by", "vm").failed("7.2", "mapped-ram", "since 9.0", code=2)
    unharmed(scene, source, before)


# --- words ---------------------------------------------------------------------------------------

@case("for people")
def _(scene):
    source = source_of(scene)
    run = save(scene, source)
    run.done()
    lines = run.output.decode().splitlines()
    check(re.match(r"save: completed: 12\d MiB of RAM in [\d.]+ m?s, ", lines[0]), f"{lines}")
    check(lines[-1] == f"  file:{scene.folder}/vm.snap; the VM is running", f"{lines}")
    check(not run.errors, run.errors)
    run = restore(scene, target_of(scene))
    run.done()
    check(re.match(r"restore: completed: 12\d MiB of RAM in ", run.output.decode()), f"{run.output}")


WRONG = [
    (("save", "unix:nowhere"), "expected monitor and file:path"),
    (("save", "unix:nowhere", "vm.snap"), "expected file:path"),
    (("save", "unix:nowhere", "raw:folder"), "expected file:path"),
    (("save", "--then", "sleep", "unix:nowhere", "file:x"), "resume, stop or quit"),
    (("save", "--by", "vm", "--listen", "host", "unix:nowhere", "file:x"), "--listen"),
    (("save", "nowhere", "file:x"), "address 'nowhere'"),
    (("restore", "file:x"), "expected file:path and monitor"),
    (("restore", "raw:x", "unix:nowhere"), "expected file:path"),
    (("restore", "--by", "vm", "--uri", "tcp:h:1", "file:x", "unix:nowhere"), "--uri"),
]


@case("words that are wrong")
def _(scene):
    for words, why in WRONG:
        verb(scene, *words).failed(why, code=2)


# --- failures ------------------------------------------------------------------------------------

def interrupted(version, *words):
    @case(f"{version} interrupted, {' '.join(words)}")
    def _(scene):
        source = source_of(scene, version)
        before = source.settings()
        for number in (signal.SIGINT, signal.SIGTERM):
            run = save(scene, source, *UNDER_WAY, *words)
            under_way(source)
            run.send_signal(number)
            run.failed("cancelled", "the guest is running", "was not written", code=3)
            unharmed(scene, source, before)


interrupted("7.2")
interrupted("10.0")
interrupted("10.0", "--by", "vm")


@case("it takes too long")
def _(scene):
    source = source_of(scene)
    before = source.settings()
    save(scene, source, *UNDER_WAY, "--timeout", "500ms").failed("took too long", "--timeout",
                                                                "running", code=3)
    unharmed(scene, source, before)


@case("as JSON, a failure is an object")
def _(scene):
    source = source_of(scene)
    run = save(scene, source, *UNDER_WAY, "--json", "--timeout", "500ms")
    run.failed("took too long", code=3)
    found = json.loads(run.output)
    check(found["status"] == "cancelled", f"{found}")


def dies(version, *words):
    @case(f"{version} killed meanwhile, {' '.join(words)}")
    def _(scene):
        source = source_of(scene, version)
        run = save(scene, source, *UNDER_WAY, *words)
        under_way(source)
        source.send_signal(signal.SIGKILL)
        run.failed("does not answer any more", "was not written", seconds=20)
        leaves(scene)


dies("7.2")
dies("10.0", "--by", "vm")


def no_room(version, *words):
    @case(f"our end fails: no room for the file, {version}")
    def _(scene):
        source = source_of(scene, version)
        before = source.settings()
        save(scene, source, *words, file_limit=1 << 20).failed("vm.snap", "file",
                                                               "the guest is running")
        unharmed(scene, source, before)


# A QEMU 10.0 that loses its multifd channels may wait for them for ever: ramjet-save(1), BUGS.
no_room("7.2")
no_room("10.0", "--channels", 0)


def occupied(*words):
    @case(f"a file that exists already, {' '.join(words)}")
    def _(scene):
        source = source_of(scene)
        before = source.settings()
        path = scene.folder / "vm.snap"
        path.write_bytes(b"mine")
        save(scene, source, *words).failed("exists already", "--force")
        check(path.read_bytes() == b"mine", "it was changed")
        save(scene, source, "--force", *UNDER_WAY, "--timeout", "200ms", *words).failed(
            "took too long", code=3)
        check(path.read_bytes() == b"mine", "it was changed by a failure")
        unharmed(scene, source, before, "vm.snap")
        saved(scene, save(scene, source, "--json", "--force", *words), "running")
        check(path.stat().st_size > 4, "it was not replaced")


occupied()
occupied("--by", "vm")


@case("a VM that waits, and one that was migrated")
def _(scene):
    save(scene, target_of(scene)).failed("the vm waits for a migration", code=2)
    source = source_of(scene)
    save(scene, source, "--then", "stop").done()
    save(scene, source, "--force").failed("migrated away", "cont", code=2)
    leaves(scene, "vm.snap")


@case("a migration that is under way")
def _(scene):
    source = source_of(scene)
    source.qmp("migrate_set_parameters", max_bandwidth=1 << 20)
    source.qmp("migrate", uri=f"exec:cat > {scene.folder}/other")
    save(scene, source).failed("is being migrated already", code=2)
    check(source.status() in ("setup", "active"), "the other migration was disturbed")
    leaves(scene)


@case("what is no snapshot, and another VM's")
def _(scene):
    target = target_of(scene)
    path = scene.folder / "vm.snap"
    restore(scene, target).failed("no such file")
    path.write_bytes(b"#!/bin/sh\n" * 900)
    restore(scene, target).failed("vm.snap", "this is text")
    path.unlink()
    source = source_of(scene)
    save(scene, source, "--then", "quit").done()
    other = Vm(scene, "other", "10.0", incoming="defer", machine="pc-q35-10.0")
    restore(scene, other).failed("of a pc-q35-7.2, the vm is a pc-q35-10.0", code=2)
    check(other.qmp("query_status")["status"] == "inmigrate", "it was used up")
    cut = path.read_bytes()[:-4096]
    path.write_bytes(cut)
    restore(scene, target).failed("vm.snap")
    check(target.qmp("query_status")["status"] == "inmigrate", "it was used up")


@case("another VM's: its UUID")
def _(scene):
    shape = {"uuid": "12345678-1234-5678-9abc-123456789abc"}
    save(scene, source_of(scene, **shape), "--then", "quit").done()
    target = target_of(scene)
    restore(scene, target).failed("uuid", "12345678-1234", "00000000-0000", code=2)
    check(target.qmp("query_status")["status"] == "inmigrate", "it was used up")


@case("a VM that does not wait")
def _(scene):
    source = source_of(scene)
    save(scene, source).done()
    for by in ("ramjet", "vm"):
        restore(scene, source, "--by", by).failed("does not wait for a migration", "running",
                                                   code=2)
    source.runs_on()
    listens = target_of(scene, incoming="tcp:127.0.0.1:0")
    restore(scene, listens, "--by", "vm").failed("listens already", code=2)
    restore(scene, listens).done()


@case("a restore that is interrupted")
def _(scene):
    source = source_of(scene)
    save(scene, source, "--then", "stop").done()
    target = target_of(scene)
    run = restore(scene, target, "--max-bandwidth", "1M")
    until(lambda: target.status() == "active", "the migration", 40)
    run.send_signal(signal.SIGINT)
    run.failed("cancelled", "the vm is inmigrate", code=3)


@case("a VM that ends while it is restored")
def _(scene):
    source = source_of(scene)
    save(scene, source, "--then", "stop").done()
    target = target_of(scene)
    run = restore(scene, target, "--max-bandwidth", "1M")
    until(lambda: target.status() == "active", "the migration", 40)
    target.send_signal(signal.SIGKILL)
    run.failed("the vm has gone", seconds=20)


@case("the VM cannot read the file")
def _(scene):
    source = source_of(scene)
    save(scene, source, "--by", "vm", "--then", "quit").done()  # no checksum in the file
    path = scene.folder / "vm.snap"
    path.write_bytes(path.read_bytes().replace(b"timer", b"tamer"))
    target = target_of(scene)
    restore(scene, target, "--by", "vm").failed("the vm could not read file:/",
                                                 "the vm is inmigrate, its migration failed: ")


# --- ramjet vm -----------------------------------------------------------------------------------

def runner(scene, name, *options):
    return Runner(scene, name, "--accel", "synth", *options)


def ours(*words, back=()):
    @case(f"ramjet vm, {' '.join(words)} and {' '.join(back)}")
    def _(scene):
        source = runner(scene, "source", "--guest", "dirtier,rate=20M")
        before = source.ask("query-migrate-parameters"), source.ask("query-migrate-capabilities")
        saved(scene, save(scene, source, "--json", *words), "running")
        after = source.ask("query-migrate-parameters"), source.ask("query-migrate-capabilities")
        check(after == before, f"settings: {after}, were {before}")
        source.runs()
        saved(scene, save(scene, source, "--json", "--force", "--then", "stop", *words),
              "postmigrate")
        digest = source.ask("x-ram-digest")
        target = runner(scene, "target", "--incoming", "defer", "--paused")
        restore(scene, target, *back).done()
        check(target.ask("x-ram-digest") == digest, "the memory differs")
        for vm in (source, target):
            vm.ask("cont")
            vm.runs()
            result = vm.verdict(signal.SIGINT)
            check(result["errors"] == 0 and result["pages-verified"] > 0, f"{result}")


ours()
ours("--by", "vm", back=("--by", "vm"))
ours("--channels", "0", back=("--by", "vm", "--channels", "0"))


@case("ramjet vm, interrupted")
def _(scene):
    source = runner(scene, "source", "--guest", "dirtier,rate=20M")
    run = save(scene, source, *UNDER_WAY)
    until(lambda: source.ask("query-migrate").get("status") == "active", "the migration")
    run.send_signal(signal.SIGINT)
    run.failed("cancelled", "the guest is running", "was not written", code=3)
    source.runs()
    leaves(scene)
    save(scene, source, "--then", "quit").done()
    check(source.wait(20) == 0, "it ended otherwise")


@case("ramjet vm, of another size")
def _(scene):
    source = runner(scene, "source", "--guest", "idle")
    save(scene, source).done()
    target = Runner(scene, "target", "--accel", "synth", "--incoming", "defer", memory="64M")
    restore(scene, target).failed("32 mib in block pc.ram, the vm 64 mib", code=2)
    check(target.ask("query-status")["status"] == "inmigrate", "it was used up")


def run_case(scene, chosen):
    chosen.run(scene)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run_case))
