#!/usr/bin/env python3
"""Zero-copy by a user who may lock only little memory: pages that the kernel refuses to pin are
copied; the migration completes with any limit, and reports what was copied."""

import os
import shutil
import sys
from dataclasses import dataclass

from lib import ramjet, table
from lib.journey import completed
from lib.table import Skip, check

NOBODY = 65534
KIB = 1 << 10


@dataclass
class Case:
    label: str
    engine: str
    memlock: int
    channels: int


CASES = [Case(f"{'small ' if channels == 2 else ''}{engine}, memlock {memlock} KiB, "
              f"{channels} channels", engine, memlock * KIB, channels)
         for engine in ("socket", "uring") for memlock in (64, 1024, 8192) for channels in (2, 16)]


def run(scene, case):
    if os.geteuid() != 0:
        raise Skip("only root can become nobody")
    ramjet.demand_engine(scene, case.engine)
    program = shutil.copy(ramjet.binary(), scene.folder)  # that user may not reach the original
    nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "program": program,
              "prefix": ["prlimit", f"--memlock={case.memlock}:{case.memlock}"]}

    receiver, address = ramjet.recv(scene, "null:", "--json", "--digest", "--engine", case.engine,
                                    **nobody)
    sender = ramjet.Ramjet(scene, "send", "--json", "--digest", "--zero-copy", "--engine",
                           case.engine, "--channels", case.channels, "synth:128M,dirty=20M",
                           address, **nobody)
    sent, received = completed(sender.done()), completed(receiver.done())

    check(sent["digest"] and sent["digest"] == received["digest"], "digests differ")
    # Loopback copies everything. One of many channels may have had nothing to send.
    copied = [c["copied-sends"] for c in sent["channels"] if c["normal"]]
    check(copied and all(copied), f"channels with pages have copied {copied} sends")
    missed = sent["ram"]["dirty-sync-missed-zero-copy"]
    check(missed >= 1, f"dirty-sync-missed-zero-copy is {missed}")


if __name__ == "__main__":
    sys.exit(table.main(CASES, run))
