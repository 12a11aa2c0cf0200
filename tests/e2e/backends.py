#!/usr/bin/env python3
"""Memory backends of ramjet vm: RAM blocks beside main memory that travel or stay, backends that
come and go through the monitor, and changes that are allowed or refused."""

import os
import sys
from collections import namedtuple

from lib import table
from lib.monitor import Refused
from lib.ramjet import Ramjet, recv
from lib.runner import CRAWL, FAST, Vm, demand_kvm, dirtier
from lib.table import check

Case = namedtuple("Case", "label run")
CASES = []

MIB = 1 << 20
PAGE = 4096


def case(label):
    """Adds the next function to the table."""
    def add(function):
        CASES.append(Case(label, function))
        return function
    return add


def each(label):
    """Adds the next function to the table, once for each kind of guest machine."""
    def add(function):
        for accel in ("kvm", "synth"):
            CASES.append(Case(f"{accel}: {label}", lambda scene, a=accel: function(scene, a)))
        return function
    return add


def backends(*texts):
    return [word for text in texts for word in ("--memory-backend", text)]


def refused(vm, word, command, **arguments):
    try:
        vm.qmp(command, **arguments)
    except Refused as refusal:
        check(refusal.kind == "GenericError" and word in refusal.desc, f"{refusal}")
    else:
        check(False, f"{command} {arguments} was let in")


def set_migratable(vm, name, on):
    vm.qmp("ram-block-set-migratable", name=name, migratable=on)


def is_migratable(vm, name):
    return vm.qmp("ram-block-get-migratable", name=name)["migratable"]


def described(vm, name):
    row, = [row for row in vm.qmp("query-memory-backends") if row["id"] == name]
    return row


def pair(scene, accel, here, there=None):
    """A source with a guest, and a VM that waits; both with these backends. The source asks for a
    verdict: without one its part is done when all is sent, even if the destination fails."""
    if accel == "kvm":
        demand_kvm(scene)
    source = dirtier(scene, "--accel", accel, *backends(*here))
    source.set(return_path=True)
    return source, Vm(scene, "--accel", accel, *backends(*(here if there is None else there)))


def migrate(source, target):
    source.qmp.forget()
    source.qmp("migrate", uri=target.listen())
    source.qmp.status("completed")
    target.qmp.status("completed")


def busy_pair(scene, accel, here):
    """The same, while a migration runs that will not complete soon."""
    source, target = pair(scene, accel, here)
    source.parameters(**CRAWL)
    source.qmp("migrate", uri=target.listen())
    source.qmp.status("active")
    return source, target


# --- what travels --------------------------------------------------------------------------------

@each("blocks beside main memory travel, and what stays stays")
def travels(scene, accel):
    if accel == "kvm":
        demand_kvm(scene)
    vms, files = [], []
    for end in ("from", "to"):
        paths = [scene.folder / f"{name}-{end}" for name in ("goes", "stays")]
        options = backends(f"id=goes,size=4M,kind=file,path={paths[0]},addr=0x10000000",
                           f"id=stays,size=2M,kind=file,path={paths[1]},addr=5G,migratable=off",
                           "id=high,size=2M,kind=memfd,addr=6G", "id=apart,size=2M")
        vms.append(dirtier(scene, "--accel", accel, *options) if end == "from" else
                   Vm(scene, "--accel", accel, *options))
        files.append(paths)
    source, target = vms
    for path, size in zip(files[0], (4 * MIB, 2 * MIB)):
        with path.open("r+b") as memory:  # the guest's data in it, written from outside
            for offset in range(0, size, 3 * PAGE):
                os.pwrite(memory.fileno(), b"page %d" % offset, offset)
    check([is_migratable(source, name) for name in ("pc.ram", "goes", "stays", "high", "apart")]
          == [True, True, False, True, False], "which are migratable")
    source.qmp("stop")
    migrate(source, target)
    come, left = ({row["name"]: row for row in vm.digest()} for vm in (target, source))
    check(list(left) == ["pc.ram", "goes", "stays", "high"], f"{left}")
    for name in left:
        check((come[name] == left[name]) == (name != "stays"), f"{name}: {come[name]}, {left[name]}")
    check(files[1][0].read_bytes() == files[0][0].read_bytes(), "the files differ")
    check(not any(files[1][1].read_bytes()), "a page of what stays has come")
    target.qmp("cont")
    target.swept()
    total = source.qmp("query-migrate")["ram"]["total"]
    check(total == (32 + 4 + 2) * MIB, f"total is {total}")
    for vm in vms:
        vm.quit()


@each("through a snapshot")
def snapshot(scene, accel):
    if accel == "kvm":
        demand_kvm(scene)
    here = scene.folder / "here"
    source = dirtier(scene, "--accel", accel, *backends(
        f"id=goes,size=4M,kind=file,path={here},addr=0x10000000",
        "id=stays,size=2M,addr=5G,migratable=off"))
    with here.open("r+b") as memory:
        os.pwrite(memory.fileno(), b"far away", 3 * MIB + 5)
    receiver, address = recv(scene, f"file:{scene.folder / 'snapshot'}")
    source.qmp("stop")
    source.qmp("migrate", uri=address)
    source.qmp.status("completed")
    receiver.done()
    info = Ramjet(scene, "info", scene.folder / "snapshot", "--json").done()
    names = [block["name"] for block in info["blocks"]]
    check(names == ["pc.ram", "goes"], f"{names}")
    there = scene.folder / "there"
    come = Vm(scene, "--accel", accel, "--incoming", f"file:{scene.folder / 'snapshot'}", *backends(
        f"id=goes,size=4M,kind=file,path={there},addr=0x10000000",
        "id=stays,size=2M,addr=5G,migratable=off"))
    left = {row["name"]: row for row in source.digest() if row["name"] != "stays"}
    check({row["name"]: row for row in come.digest() if row["name"] != "stays"} == left, "digests")
    check(there.read_bytes() == here.read_bytes(), "the files differ")
    come.qmp("cont")
    come.swept()
    source.quit()
    come.quit()


@case("main memory by its long form")
def long_form(scene):
    vm = Ramjet(scene, "vm", "--accel", "synth", "--guest", "counter", "--json", "--run-for",
                "200ms", *backends("id=pc.ram,size=24M,kind=memfd,addr=0"))
    check(vm.done(20)["errors"] == 0, "errors")
    check(b'"event":"running","guest":"counter","memory":25165824' in vm.output, f"{vm.output}")


# --- what may change at which moment --------------------------------------------------------------

EXTRA = {"qom-type": "memory-backend-ram", "id": "extra", "size": 4 * MIB}
BLOCK = "id=goes,size=4M,addr=0x10000000"


@each("the set is frozen from acceptance to the end, and backends come and go meanwhile")
def frozen(scene, accel):
    source, target = pair(scene, accel, [BLOCK])
    set_migratable(source, "goes", False)
    check(not is_migratable(source, "goes") and not described(source, "goes")["migratable"], "set")
    set_migratable(source, "goes", True)
    refused(target, "rule B10", "ram-block-set-migratable", name="goes", migratable=False)
    source.parameters(**CRAWL)
    uri = target.listen()
    refused(target, "rule B9", "ram-block-set-migratable", name="goes", migratable=False)
    source.qmp("migrate", uri=uri)
    refused(source, "rule B9", "ram-block-set-migratable", name="goes", migratable=False)
    source.qmp.status("active")
    for vm in (source, target):
        refused(vm, "rule B9", "ram-block-set-migratable", name="goes", migratable=False)
        refused(vm, "in use", "object-del", id="goes")
        refused(vm, "in use", "object-del", id="pc.ram")
        for _ in range(2):  # another one with the same properties
            vm.qmp("object-add", **EXTRA)
            refused(vm, "of this id already", "object-add", **EXTRA)
            check(not is_migratable(vm, "extra"), "B1")
            vm.qmp("object-del", id="extra")
        vm.qmp("object-add", **EXTRA)
    source.parameters(**FAST)
    source.qmp.status("completed")
    target.qmp.status("completed")
    target.swept()
    for vm in (source, target):
        set_migratable(vm, "goes", False)
        vm.qmp("object-del", id="extra")
        vm.quit()


@each("cancelled, it may change again; then both ends must be alike")
def cancelled(scene, accel):
    source, target = busy_pair(scene, accel, [BLOCK])
    target.qmp("query-status")
    source.qmp("migrate_cancel")
    source.qmp.status("cancelled")
    set_migratable(source, "goes", False)
    source.parameters(**FAST)
    other = Vm(scene, "--accel", accel, *backends(BLOCK))
    source.qmp.forget()
    source.qmp("migrate", uri=other.listen(exit_on_error=False))
    source.qmp.status("failed")
    other.qmp.status("failed")
    why = other.qmp("query-migrate")["error-desc"]
    check("1 RAM blocks, expected 2" in why, why)
    set_migratable(source, "goes", True)
    last = Vm(scene, "--accel", accel, *backends(BLOCK))
    migrate(source, last)
    last.swept()
    last.quit()


@each("quit while it is cancelled")
def quit_cancelling(scene, accel):
    source, _ = busy_pair(scene, accel, [BLOCK])
    source.qmp("migrate_cancel")
    source.quit()


# --- both ends must have the same -----------------------------------------------------------------

UNLIKE = [
    ("longer there", "id=goes,size=6M,addr=0x10000000",
     "RAM block 'goes': 4194304 bytes, expected 6291456"),
    ("shorter there", "id=goes,size=2M,addr=0x10000000",
     "RAM block 'goes': 4194304 bytes, expected 2097152"),
    ("of another name", "id=comes,size=4M,addr=0x10000000", "RAM block 'goes': there is none"),
    ("not there", None, "RAM block 'goes': there is none"),
    ("not mapped there", "id=goes,size=4M", "RAM block 'goes': there is none"),
    ("not migratable there", "id=goes,size=4M,addr=0x10000000,migratable=off",
     "RAM block 'goes': it is not migratable here"),
]


def unlike(scene, there, why):
    source, target = pair(scene, "synth", [BLOCK], [there] if there else [])
    source.qmp.forget()
    source.qmp("migrate", uri=target.listen(exit_on_error=False))
    source.qmp.status("failed")
    target.qmp.status("failed")
    found = target.qmp("query-migrate")["error-desc"]
    check(why in found, found)
    check(source.state() == "running", source.state())
    source.beats()
    source.quit()


for _label, _there, _why in UNLIKE:
    CASES.append(Case(f"unlike: {_label}",
                      lambda scene, there=_there, why=_why: unlike(scene, there, why)))


# --- what is refused ------------------------------------------------------------------------------

WRONG = [
    (["id=a"], "size is missing"),
    (["id=a,size=2M,addr=1M"], "expected multiples of 2M"),
    (["id=a,size=2M,addr=2M"], "overlaps the guest's main memory"),
    (["id=a,size=2M,addr=3G"], "overlaps x86's devices"),
    (["id=a,size=2M,addr=0"], "id=pc.ram, addr=0"),
    (["id=pc.ram,size=64M"], "id=pc.ram, addr=0"),
    (["id=pc.ram,size=64M,addr=0,migratable=off"], "cannot run without it"),
    (["id=pc.ram,size=64M,addr=0", "id=pc.ram,size=64M,addr=0"], "given twice"),
    (["id=a,size=2M", "id=a,size=2M"], "there is one of this id already"),
    (["id=a,size=2M,addr=1G", "id=b,size=2M,addr=1G"], "overlapping addresses"),
    (["id=a,size=2M,migratable=on"], "rule B1"),
    (["id=a,size=2M,kind=file,path=/dev/null"], "not a regular file"),
    ([f"id=m{i},size=2M,addr={1024 + 2 * i}M" for i in range(16)], "more than 15 of them"),
]


@case("what cannot be is refused before anything runs")
def wrong(scene):
    for texts, why in WRONG:
        run = Ramjet(scene, "vm", "--accel", "synth", "--guest", "idle", *backends(*texts))
        code = run.wait(20)
        check(code == 2 and why in run.errors, f"{texts}: exit code {code}: {run.errors}")
    run = Ramjet(scene, "vm", "--accel", "synth", "--guest", "idle", "--memory", "64M",
                 *backends("id=pc.ram,size=64M,addr=0"))
    check(run.wait(20) == 2 and "leave out --memory" in run.errors, run.errors)


if __name__ == "__main__":
    sys.exit(table.main(CASES, lambda scene, case: case.run(scene)))
