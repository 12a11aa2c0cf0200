#!/usr/bin/env python3
"""A running QEMU guest that dirties its memory migrates into `ramjet recv file:`; then QEMU 10.0
loads the snapshot and the guest goes on. The receiver is told nothing: neither the channel count,
nor the version, nor the machine type."""

import sys
from dataclasses import dataclass

from lib import ram, ramjet, table
from lib.qemu import MAIN_BLOCK, Qemu
from lib.snapshot import Snapshot
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
    options: tuple = ()  # for the source's command line
    method: str = "none"


RETURN = ("return-path",)
UUID = "6a1f2c3d-0001-4e5f-8a9b-00c0ffee0001"

CASES = [
    Case("7.2 main channel", "7.2", "pc-q35-7.2", 0),
    Case("7.2 main channel, return path", "7.2", "pc-q35-7.2", 0, RETURN),
    Case("7.2 1 channel", "7.2", "pc-q35-7.2", 1, RETURN),
    Case("7.2 2 channels", "7.2", "pc-q35-7.2", 2),
    Case("7.2 4 channels", "7.2", "pc-q35-7.2", 4, RETURN, rounds=8),
    Case("7.2 16 channels", "7.2", "pc-q35-7.2", 16),
    Case("7.2 zlib, 2 channels", "7.2", "pc-q35-7.2", 2, RETURN, method="zlib"),
    Case("7.2 zstd, 4 channels", "7.2", "pc-q35-7.2", 4, method="zstd"),
    Case("7.2 with a UUID", "7.2", "pc-q35-7.2", 2, RETURN, uuid=UUID),
    Case("7.2 devices, main channel", "7.2", "pc-q35-7.2", 0, devices=True),
    Case("7.2 devices, 4 channels", "7.2", "pc-q35-7.2", 4, RETURN, devices=True),
    Case("10.0 main channel", "10.0", "pc-q35-10.0", 0),
    Case("10.0 main channel, return path", "10.0", "pc-q35-10.0", 0, RETURN),
    Case("10.0 1 channel", "10.0", "pc-q35-10.0", 1),
    Case("10.0 2 channels", "10.0", "pc-q35-10.0", 2, RETURN),
    Case("10.0 4 channels", "10.0", "pc-q35-10.0", 4, rounds=8),
    Case("10.0 16 channels", "10.0", "pc-q35-10.0", 16, RETURN),
    Case("10.0 zlib, 4 channels", "10.0", "pc-q35-10.0", 4, RETURN, method="zlib"),
    Case("10.0 zstd, 2 channels", "10.0", "pc-q35-10.0", 2, method="zstd"),
    Case("10.0 with a UUID", "10.0", "pc-q35-10.0", 2, RETURN, uuid=UUID),
    # The flush style and the place of zero pages change with the machine type.
    Case("10.0 machine 7.2, 4 channels", "10.0", "pc-q35-7.2", 4),
    Case("10.0 machine 8.2, 4 channels", "10.0", "pc-q35-8.2", 4, RETURN),
    Case("10.0 machine 9.2, 4 channels", "10.0", "pc-q35-9.2", 4),
    # What the name says is only a default: the stream tells.
    Case("10.0 told to flush by section", "10.0", "pc-q35-10.0", 4,
         options=("-global", "migration.multifd-flush-after-each-section=on")),
    Case("10.0 devices, main channel", "10.0", "pc-q35-10.0", 0, RETURN, devices=True),
    Case("10.0 devices, 4 channels", "10.0", "pc-q35-10.0", 4, devices=True),
    Case("10.0 switchover-ack", "10.0", "pc-q35-10.0", 2, (*RETURN, "switchover-ack")),
    Case("10.0 postcopy advised, unused", "10.0", "pc-q35-10.0", 0, (*RETURN, "postcopy-ram")),
]


def run(scene, case):
    snapshot = scene.folder / "vm.snap"
    source = Qemu(scene, "source", case.version, machine=case.machine, devices=case.devices,
                  uuid=case.uuid, options=case.options)
    source.configure(case.capabilities, case.channels, multifd_compression=case.method)
    receiver, address = ramjet.recv(scene, f"file:{snapshot}", "--json")
    source.passes(2)
    source.migrate(address, case.rounds)
    result = receiver.done()
    check(result["status"] == "completed", f"status is {result['status']}")
    check(len(result["channels"]) >= case.channels, f"{len(result['channels'])} channels")

    with Snapshot(snapshot) as captured:
        check(captured.machine == case.machine, f"machine is {captured.machine}")
        ram.same("snapshot against the stopped source", captured.blocks[MAIN_BLOCK].pieces(),
                 ram.pieces(source.memory))
    resume(scene, case, snapshot, source)


def resume(scene, case, snapshot, source):
    """QEMU 10.0 loads the snapshot, finds all memory as it was, and the guest goes on."""
    target = Qemu(scene, "resumed", "10.0", machine=case.machine, devices=case.devices,
                  uuid=case.uuid, incoming="defer", paused=True)
    target.configure(["mapped-ram"], case.channels)
    target.qmp("migrate_incoming", uri=f"file:{snapshot}")
    target.migrated()
    ram.same_files("loaded memory", target.memory, source.memory)
    if case.devices:
        ram.same_files("loaded virtio-mem", target.plugged, source.plugged)
    target.qmp("cont")
    target.passes(3)

    # As a user would: one command line, and the guest starts by itself.
    again = Qemu(scene, "by-option", "10.0", machine=case.machine, devices=case.devices,
                 uuid=case.uuid, incoming=f"file:{snapshot}",
                 options=["-global", "migration.mapped-ram=on"])
    again.passes(3)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run))
