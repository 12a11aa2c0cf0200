#!/usr/bin/env python3
"""Files that a QEMU 10.0 migrates into: with mapped-ram, with and without multifd, at an offset,
with O_DIRECT, or as a plain stream; `ramjet info` and `ramjet send` read each, and every page is
the paused guest's."""

import json
import os
import sys
from dataclasses import dataclass

from lib import journey, ram, ramjet, table
from lib.qemu import MAIN_BLOCK, Qemu
from lib.ramjet import Ramjet
from lib.table import check

PAGE = 4096


@dataclass
class Case:
    label: str
    channels: int = 0
    offset: str = ""
    direct: bool = False
    mapped: bool = True
    devices: bool = False


CASES = [
    Case("one channel"),
    Case("one channel, offset 0x1234", offset="0x1234"),
    Case("multifd", channels=3),
    Case("multifd, offset 1 MiB, devices", channels=2, offset="1048576", devices=True),
    Case("multifd, direct-io", channels=4, direct=True),
    Case("multifd, direct-io, offset 0x12345678", channels=2, offset="0x12345678", direct=True),
    Case("a stream", mapped=False),
    Case("a stream, offset 4096", offset="4096", mapped=False),
]


def saved(scene, case, source):
    """Migrates the running guest into the file; returns the address."""
    path = scene.folder / "qemu.file"
    address = f"file:{path}" + (f",offset={case.offset}" if case.offset else "")
    parameters = {"direct_io": True} if case.direct else {}
    source.configure(["mapped-ram"] if case.mapped else [], case.channels, **parameters)
    source.passes(2)
    source.migrate(address, rounds=2)
    return address


def info(scene, case, address, source):
    report = Ramjet(scene, "info", "--json", address).done()
    check(report["machine"] == source.shape["machine"], f"machine is {report['machine']}")
    block = {b["name"]: b for b in report["blocks"]}[MAIN_BLOCK]
    size = os.path.getsize(source.memory)
    check(block["length"] == size, f"{block}, want {size} bytes")
    written = sum(any(piece[at:at + PAGE]) for piece in ram.pieces(source.memory)
                  for at in range(0, len(piece), PAGE))
    check(written <= block["pages-present"] <= size // PAGE,
          f"{block}: {written} pages of it are not zero")


def send(scene, address, source):
    folder = scene.folder / "raw"
    receiver, at = ramjet.recv(scene, f"raw:{folder}", "--json")
    journey.completed(Ramjet(scene, "send", "--json", address, at).done())
    journey.completed(receiver.done())
    ram.same_files("sent", folder / f"ram.{MAIN_BLOCK}", source.memory)


def padded(scene, address):
    """As `dd` leaves it on a device: readers find the same in it."""
    path = scene.folder / "qemu.file"
    before, whole = Ramjet(scene, "info", "--json", address).done(), path.stat().st_size
    os.truncate(path, whole + (1 << 20))
    after = Ramjet(scene, "info", "--json", address).done()
    check(after == before, f"{after} is not {before}")
    os.truncate(path, whole)


def cut(scene, address, case):
    """A file that is cut anywhere causes one line with its name."""
    path = scene.folder / "qemu.file"
    whole, start = path.stat().st_size, int(case.offset or "0", 0)
    for size in (whole - 1, (start + whole) // 2, start + 150, start + 100, start + 3, start):
        os.truncate(path, size)
        Ramjet(scene, "info", address).failed(str(path).lower())


def run(scene, case):
    source = Qemu(scene, "source", "10.0", machine="pc-q35-10.0", devices=case.devices)
    address = saved(scene, case, source)
    info(scene, case, address, source)
    send(scene, address, source)
    padded(scene, address)
    cut(scene, address, case)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run))
