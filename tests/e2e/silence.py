#!/usr/bin/env python3
"""A QEMU that waits in pre-switchover is silent for longer than any limit of `ramjet recv`: its
snapshot is complete nevertheless."""

import os
import sys
import time
from dataclasses import dataclass

from lib import journey, ramjet, table
from lib.qemu import Qemu

STALL_S = 5 * int(os.environ.get("TEST_SLOWNESS", 1))  # longer than a busy machine may pause


@dataclass
class Case:
    label: str
    version: str  # of the source
    channels: int = 0  # 0: no multifd
    capabilities: tuple = ()
    seconds: float = 2.5 * STALL_S  # of silence, with a limit of STALL_S


CASES = [
    Case("7.2 main channel", "7.2"),
    Case("7.2 4 channels, return path", "7.2", 4, ("return-path",)),
    Case("10.0 main channel, return path", "10.0", 0, ("return-path",)),
    Case("10.0 4 channels", "10.0", 4),
]


def run(scene, case):
    snapshot = scene.folder / "vm.snap"
    source = Qemu(scene, "source", case.version, machine=f"pc-q35-{case.version}")
    source.configure([*case.capabilities, "pause-before-switchover"], case.channels,
                     downtime_limit=60000)
    receiver, address = ramjet.recv(scene, f"file:{snapshot}", "--json", "--stall-timeout",
                                    f"{STALL_S}s")
    source.passes(2)
    source.qmp("migrate", uri=address)
    source.qmp.event(lambda _, data: data.get("status") in ("pre-switchover", "failed"))
    time.sleep(case.seconds)  # the silence itself is under test
    source.qmp("migrate_continue", state="pre-switchover")
    source.migrated()
    journey.completed(receiver.done())
    journey.compare(snapshot, source)
    journey.load(scene, snapshot, source, case.channels)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run, seconds=60))
