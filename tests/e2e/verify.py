#!/usr/bin/env python3
"""Checksums of snapshots, and `ramjet verify`: written by each of our writers, true by a reader of
their own, no trouble to a QEMU 10.0; damage anywhere is found and named, and stops what would read
it; what is stale, cut, padded or without checksums is told as that."""

import json
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from lib import journey, ramjet, table
from lib.checksums import Table
from lib.qemu import Qemu
from lib.ramjet import Ramjet
from lib.runner import FAST, Vm, dirtier
from lib.scene import until
from lib.table import check

MIB = 1 << 20
RAM = "synth:24M,zero=0"  # every page is in the file


@dataclass
class Case:
    label: str
    run: object
    channels: int = 0
    direct: bool = False


def run(scene, case):
    case.run(scene, case)


# --- what is written -------------------------------------------------------------------------------

def verified(scene, target, **want):
    """`ramjet verify` finds it whole, and leaves its holes."""
    path = target.partition(":")[2].partition(",")[0] if ":" in target else target
    before = os.stat(path)
    result = journey.completed(Ramjet(scene, "verify", "--json", target).done())
    for name, value in {"verdict": "whole", "damaged": 0, "damage": [], **want}.items():
        check(result[name] == value, f"{name}: {result}")
    after = os.stat(path)
    check((after.st_blocks, after.st_size) == (before.st_blocks, before.st_size),
          f"{after.st_blocks} blocks, were {before.st_blocks}")
    return result


def made(scene, name="vm.snap", *options):
    """A snapshot of generated memory, by `send` with mapped-ram."""
    path = scene.folder / name
    sender = Ramjet(scene, "send", "--set", "mapped-ram=on", *options, RAM, f"file:{path}")
    check(sender.wait() == 0, sender.errors)
    return path


def received(scene, case):
    """A guest that writes the same pages again and again while it is captured."""
    source = dirtier(scene, guest="dirtier,rate=100M,write=avx,timer=10ms", memory="48M")
    source.set(multifd=case.channels > 0, return_path=True)
    source.parameters(max_bandwidth=48 * MIB, downtime_limit=1)
    path = scene.folder / "vm.snap"
    receiver, address = ramjet.recv(scene, f"file:{path}", "--json", "--set",
                                    f"direct-io={'on' if case.direct else 'off'}")
    source.qmp("migrate", uri=address)
    source.qmp.event("MIGRATION_PASS", **{"pass": 4})
    source.parameters(**FAST)
    source.qmp.status("completed")
    journey.completed(receiver.done())
    result = verified(scene, str(path))
    check(result["pieces"] == 24 and result["bytes"] > 0, f"{result}")
    Table(path).check()
    digest = source.digest()
    for options in ((), ("--eager",)):
        resumed = Vm(scene, "--incoming", f"file:{path}", "--paused", *options, memory="48M")
        check(resumed.digest() == digest, "memory differs")
        resumed.quit()
    source.quit()


def saved(scene, case):
    """A guest writes its file itself, after bytes that are not its own."""
    source = dirtier(scene, guest="dirtier,rate=100M,write=avx,timer=10ms", memory="48M")
    source.set(mapped_ram=True, multifd=case.channels > 0)
    source.parameters(max_bandwidth=48 * MIB, downtime_limit=1)
    path = scene.folder / "vm.snap"
    path.write_bytes(b"front" * 1000)
    source.qmp("migrate", uri=f"file:{path},offset=0x1000")
    source.qmp.event("MIGRATION_PASS", **{"pass": 4})
    source.parameters(**FAST)
    source.qmp.status("completed")
    check(Table(path).start == 0x1000, "the table is of another stream")
    Table(path).check()
    for target in f"file:{path},offset=4096", str(path):
        verified(scene, target)
    source.quit()


def read_by_qemu(scene, case):
    """QEMU 10.0 captured, loaded by a QEMU 10.0 from the file with its checksums; then a QEMU
    writes its own snapshot over it."""
    source = Qemu(scene, "source", "10.0", machine="pc-q35-10.0")
    source.configure(channels=2)
    path = scene.folder / "vm.snap"
    journey.capture(scene, source, f"file:{path}")
    verified(scene, str(path))
    Table(path).check()
    journey.compare(path, source)
    journey.load(scene, path, source, case.channels)
    verified(scene, str(path))
    again = Qemu(scene, "again", "10.0", machine="pc-q35-10.0")
    again.configure(["mapped-ram"], case.channels)
    again.passes(2)
    again.migrate(f"file:{path}")
    Ramjet(scene, "verify", str(path)).failed("without checksums: nothing was checked", code=2)


# --- damage ----------------------------------------------------------------------------------------

def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 4]))


def found(scene, path, place):
    """verify names the place; what would read the file refuses it with one line."""
    verify = Ramjet(scene, "verify", path)
    verify.failed(str(path).lower(), "damaged")
    check(place in verify.output.decode() + verify.errors, f"no {place!r} in {verify.output!r}")
    Ramjet(scene, "send", f"file:{path}", "--set", "mapped-ram=on",
           f"file:{scene.folder}/copy").failed("damaged")
    check(not (scene.folder / "copy").exists(), "send has left a copy")


def damaged(scene, _):
    path = made(scene)
    sums = Table(path)
    name, length, bitmap, pages = sums.blocks[0]
    last = length - 4096
    spots = [
        (pages + 4096 * 511, f"{name} 0x0-0x1fffff: expected "),
        (pages + last, f"{name} 0x{last // (2 * MIB) * 2 * MIB:x}-0x{length - 1:x}: expected "),
        (9, "the header and the bitmap of RAM block"),
        (bitmap, "the header and the bitmap of RAM block"),
        (sums.stream - 2, "the device sections"),
        (sums.distance + 100, "table of checksums"),
        (path.stat().st_size - 3, "table of checksums"),
        (sums.distance + 3, "table of checksums"),
    ]
    for at, place in spots:
        flip(path, at)
        found(scene, path, place)
        flip(path, at)
    verified(scene, str(path))


def as_json(scene, _):
    path = made(scene)
    pages = Table(path).blocks[0][3]
    flip(path, pages + 5 * MIB)
    flip(path, pages + 9 * MIB)
    verify = Ramjet(scene, "verify", "--json", f"file:{path}")
    check(verify.wait() == 1, f"{verify.errors}")
    result = json.loads(verify.output.decode())
    check((result["status"], result["verdict"], result["damaged"]) == ("failed", "damaged", 2),
          f"{result}")
    check("damaged in 2 places" in result["error"]["desc"], f"{result}")
    ranges = sorted((d["first"], d["last"]) for d in result["damage"])
    check(ranges == [(4 * MIB, 6 * MIB - 1), (8 * MIB, 10 * MIB - 1)], f"{ranges}")
    check(all(d["block"] and d["expected"] != d["found"] for d in result["damage"]), f"{result}")


def no_guest_on_it(scene, _):
    """A VM whose memory is read before its guest runs does not run on a damaged page."""
    source = dirtier(scene)
    source.set(mapped_ram=True)
    path = scene.folder / "vm.snap"
    source.qmp("migrate", uri=f"file:{path}")
    source.qmp.status("completed")
    source.quit()
    page = Table(path).page()
    flip(path, page)
    load = ["vm", "--incoming", f"file:{path}", "--memory", "32M", "--cpus", "2", "--run-for",
            "100ms"]
    Ramjet(scene, *load, "--eager").failed("ram block 'pc.ram': damaged at 0x")
    flip(path, page)
    flip(path, 9)
    Ramjet(scene, *load).failed("the header and the bitmap")


def forced(scene, _):
    """A capture over a damaged one is whole."""
    path = made(scene)
    flip(path, 2 * MIB)
    receiver, address = ramjet.recv(scene, f"file:{path}", "--force", "--json")
    check(Ramjet(scene, "send", RAM, address).wait() == 0, "send")
    journey.completed(receiver.done())
    verified(scene, str(path))


def killed(scene, _):
    """A writer that is killed leaves no snapshot, and nothing that looks like a whole one."""
    path = scene.folder / "vm.snap"
    receiver, address = ramjet.recv(scene, f"file:{path}")
    sender = Ramjet(scene, "send", "--max-bandwidth", "4M", "synth:64M,zero=0", address)
    partial = next(scene.folder.glob("vm.snap.partial-*"))
    until(lambda: partial.stat().st_blocks > 1000, "pages in the file")
    receiver.send_signal(signal.SIGKILL)
    receiver.wait()
    sender.wait()
    check(not path.exists(), "a snapshot")
    verify = Ramjet(scene, "verify", partial)
    check(verify.wait() == 1, f"{verify.output}")


# --- files that are something else -----------------------------------------------------------------

def not_damaged(scene, _):
    plain = made(scene, "plain", "--checksums", "off")
    Ramjet(scene, "verify", plain).failed("without checksums: nothing was checked", code=2)
    saved = scene.folder / "plain.save"
    xml = Path(__file__).parents[1] / "golden" / "libvirt" / "domain.xml"
    converted = Ramjet(scene, "convert", "--xml", xml, plain, f"libvirt-save:{saved}")
    check(converted.wait(20) == 0, converted.errors)
    Ramjet(scene, "verify", saved).failed("without checksums: nothing was checked", code=2)
    path = made(scene)
    size = path.stat().st_size
    longer = scene.folder / "longer"
    shutil.copy(path, longer)
    os.truncate(longer, size + 100000)
    verified(scene, str(longer), **{"bytes-after": 100000})
    for cut, words in (1, "was it cut?"), (200, "was it cut?"), (10 * MIB, "inside the file"):
        shutil.copy(path, longer)
        os.truncate(longer, size - cut)
        Ramjet(scene, "verify", longer).failed(words)
    (scene.folder / "text").write_text("no snapshot\n" * 1000)
    Ramjet(scene, "verify", scene.folder / "text").failed("text")
    Ramjet(scene, "verify", scene.folder / "none").failed("no such file")
    Ramjet(scene, "verify", f"raw:{scene.folder}").failed("no checksums", code=2)


def stale(scene, _):
    """Another snapshot, written over the first by a program that does not cut the file."""
    path, other = made(scene), made(
        scene, "other", "--checksums", "off", "--machine", "pc-q35-10.0")
    with open(path, "r+b") as file:
        file.write(other.read_bytes())
        at = Table(path).stream - 5
    flip(path, at)
    for words in ("verify", path), ("send", f"file:{path}", "tcp:127.0.0.1:1"):
        Ramjet(scene, *words).failed("written again")


CASES = [
    Case("recv: 2 channels", received, channels=2),
    Case("recv: 0 channels", received),
    Case("recv: direct-io", received, channels=2, direct=True),
    Case("vm: 0 channels", saved),
    Case("vm: 3 channels", saved, channels=3),
    Case("QEMU reads it and writes over it", read_by_qemu),
    Case("QEMU reads it by channels", read_by_qemu, channels=3),
    Case("damage anywhere", damaged),
    Case("damage as JSON", as_json),
    Case("damage keeps a guest from running", no_guest_on_it),
    Case("a damaged one is replaced", forced),
    Case("a writer that is killed", killed),
    Case("cut, padded, without", not_damaged),
    Case("stale", stale),
]


if __name__ == "__main__":
    sys.exit(table.main(CASES, run))
