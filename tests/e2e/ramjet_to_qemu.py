#!/usr/bin/env python3
"""`ramjet send` moves a captured guest into a waiting QEMU, for any pair of versions; the
guest runs on there."""

import sys
from dataclasses import dataclass

from lib import journey, ram, table
from lib.qemu import Qemu
from lib.table import check


@dataclass
class Case:
    label: str
    captured: str  # the version that the guest was captured from
    into: str  # the version that waits
    machine: str
    devices: bool = False
    form: str = "file"  # the capture's: file or raw
    uuid: str = None
    channels: tuple = (0, 2, 4)  # one run after the other, from one capture
    paused: bool = True  # else the guest starts by itself, as the captured one was running


UUID = "6a1f2c3d-0002-4e5f-8a9b-00c0ffee0002"

CASES = [
    Case("7.2 into 7.2", "7.2", "7.2", "pc-q35-7.2"),
    Case("7.2 into 10.0", "7.2", "10.0", "pc-q35-7.2"),
    Case("10.0 into 10.0", "10.0", "10.0", "pc-q35-10.0"),
    Case("10.0 into 7.2", "10.0", "7.2", "pc-q35-7.2", channels=(2,)),
    Case("10.0 into 10.0, machine 8.2", "10.0", "10.0", "pc-q35-8.2", channels=(4,)),
    Case("10.0 into 10.0, machine 9.2", "10.0", "10.0", "pc-q35-9.2", channels=(4,)),
    Case("7.2 into 10.0, devices", "7.2", "10.0", "pc-q35-7.2", devices=True, channels=(4,)),
    Case("10.0 into 10.0, devices", "10.0", "10.0", "pc-q35-10.0", devices=True,
         channels=(0, 4)),
    Case("10.0 into 10.0, 16 channels", "10.0", "10.0", "pc-q35-10.0", channels=(16,)),
    Case("10.0 into 10.0, a UUID", "10.0", "10.0", "pc-q35-10.0", uuid=UUID, channels=(2,)),
    Case("10.0 into 10.0, starts by itself", "10.0", "10.0", "pc-q35-10.0", channels=(2,),
         paused=False),
    Case("raw 7.2 into 7.2", "7.2", "7.2", "pc-q35-7.2", form="raw", channels=(0, 2)),
    Case("raw 10.0 into 10.0, devices", "10.0", "10.0", "pc-q35-10.0", form="raw",
         devices=True, channels=(0, 4)),
]


def run(scene, case):
    source = Qemu(scene, "source", case.captured, machine=case.machine, devices=case.devices,
                  uuid=case.uuid)
    source.configure(channels=2)
    capture = f"{case.form}:{scene.folder}/capture"
    journey.capture(scene, source, capture)
    if case.form == "raw":
        check_raw(scene.folder / "capture", source, case.devices)
    for channels in case.channels:
        send(scene, case, capture, source, channels)


def check_raw(folder, source, devices):
    """One file per RAM block, with a name that contains no slash."""
    ram.same_files("raw main memory", folder / "ram.m", source.memory)
    if devices:
        ram.same_files("raw virtio-mem", folder / "ram.0000:00:04.0%2Fmore", source.plugged)
    check((folder / "stream").exists(), "no stream file")


def send(scene, case, capture, source, channels):
    target = Qemu(scene, f"target-{channels}", case.into, **source.shape, incoming="defer",
                  paused=case.paused)
    target.configure(channels=channels)
    options = ["--uuid", case.uuid] if case.uuid and case.form == "file" else []
    journey.deliver(scene, capture, target, channels, *options)
    if case.paused:
        journey.arrived(target, source)
    else:
        target.passes(3)
    target.end()


if __name__ == "__main__":
    sys.exit(table.main(CASES, run))
