#!/usr/bin/env python3
"""A running QEMU guest that dirties its memory migrates into `ramjet recv file:`; then QEMU 10.0
loads the snapshot and the guest runs on. The receiver is given nothing: neither the number of
channels, nor the version, nor the machine type."""

import sys
from dataclasses import dataclass

from lib import journey, table
from lib.qemu import Qemu
from lib.table import check


@dataclass
class Case:
    label: str
    version: str  # of the source
    machine: str
    channels: int = 0  # 0: no multifd
    capabilities: tuple = ()
    devices: bool = False
    uuid: str = None
    rounds: int = 3
    postcopy: bool = False  # it switches to that in the end
    options: tuple = ()  # for the source's command line


RETURN = ("return-path",)
UUID = "6a1f2c3d-0001-4e5f-8a9b-00c0ffee0001"

CASES = [
    Case("7.2 main channel", "7.2", "pc-q35-7.2", 0),
    Case("7.2 main channel, return path", "7.2", "pc-q35-7.2", 0, RETURN),
    Case("7.2 1 channel", "7.2", "pc-q35-7.2", 1, RETURN),
    Case("7.2 2 channels", "7.2", "pc-q35-7.2", 2),
    Case("7.2 4 channels", "7.2", "pc-q35-7.2", 4, RETURN, rounds=8),
    Case("7.2 16 channels", "7.2", "pc-q35-7.2", 16),
    Case("7.2 with a UUID", "7.2", "pc-q35-7.2", 2, RETURN, uuid=UUID),
    Case("7.2 devices, main channel", "7.2", "pc-q35-7.2", 0, devices=True),
    Case("7.2 devices, 4 channels", "7.2", "pc-q35-7.2", 4, RETURN, devices=True),
    Case("10.0 main channel", "10.0", "pc-q35-10.0", 0),
    Case("10.0 main channel, return path", "10.0", "pc-q35-10.0", 0, RETURN),
    Case("10.0 1 channel", "10.0", "pc-q35-10.0", 1),
    Case("10.0 2 channels", "10.0", "pc-q35-10.0", 2, RETURN),
    Case("10.0 4 channels", "10.0", "pc-q35-10.0", 4, rounds=8),
    Case("10.0 16 channels", "10.0", "pc-q35-10.0", 16, RETURN),
    Case("10.0 with a UUID", "10.0", "pc-q35-10.0", 2, RETURN, uuid=UUID),
    # The flush style and the place of zero pages depend on the machine type.
    Case("10.0 machine 7.2, 4 channels", "10.0", "pc-q35-7.2", 4),
    Case("10.0 machine 8.2, 4 channels", "10.0", "pc-q35-8.2", 4, RETURN),
    Case("10.0 machine 9.2, 4 channels", "10.0", "pc-q35-9.2", 4),
    # The machine type's name only gives a default: the stream decides.
    Case("10.0 told to flush by section", "10.0", "pc-q35-10.0", 4,
         options=("-global", "migration.multifd-flush-after-each-section=on")),
    Case("10.0 devices, main channel", "10.0", "pc-q35-10.0", 0, RETURN, devices=True),
    Case("10.0 devices, 4 channels", "10.0", "pc-q35-10.0", 4, devices=True),
    Case("10.0 switchover-ack", "10.0", "pc-q35-10.0", 2, (*RETURN, "switchover-ack")),
    Case("10.0 postcopy advised, unused", "10.0", "pc-q35-10.0", 0, (*RETURN, "postcopy-ram")),
    *[Case(f"{version} switches to postcopy{', devices' if devices else ''}", version,
           f"pc-q35-{version}", 0, ("postcopy-ram",), devices, postcopy=True)
      for version in ("7.2", "10.0") for devices in (False, True)],
    *[Case(f"{version} switches to postcopy, preempt", version, f"pc-q35-{version}", 0,
           ("postcopy-ram", "postcopy-preempt"), postcopy=True) for version in ("7.2", "10.0")],
]


def run(scene, case):
    snapshot = scene.folder / "vm.snap"
    source = Qemu(scene, "source", case.version, machine=case.machine, devices=case.devices,
                  uuid=case.uuid, options=case.options)
    source.configure(case.capabilities, case.channels)
    result = journey.capture(scene, source, f"file:{snapshot}", rounds=case.rounds,
                             postcopy=case.postcopy)
    check(len(result["channels"]) >= case.channels, f"{len(result['channels'])} channels")
    journey.compare(snapshot, source)
    journey.load(scene, snapshot, source, case.channels)

    # As a user would: one command line, and the guest starts by itself.
    again = Qemu(scene, "by-option", "10.0", **source.shape, incoming=f"file:{snapshot}",
                 options=["-global", "migration.mapped-ram=on"])
    again.passes(3)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run))
