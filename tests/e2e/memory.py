#!/usr/bin/env python3
"""How much memory the two ends take: the guest's at most once, and little more.

The limit is the kernel's (RLIMIT_DATA: private writable memory, whole thread stacks included): a
program that wants more fails.
"""

import os
import sys
from dataclasses import dataclass

from lib import table
from lib.ramjet import Ramjet, recv
from lib.table import check

MIB = 1 << 20
GUEST = 1024 * MIB
STACK = 8 * MIB  # of a thread: the kernel counts all of it, even if little is used
FEW = 5          # threads that both ends have beside their channels; one tells what takes long


@dataclass
class Case:
    label: str
    channels: int


CASES = [Case("2 channels", 2), Case("4 channels", 4), Case("16 channels", 16)]


def limited(size):
    return {"prefix": ["prlimit", f"--data={size}"]}


def make_image(path):
    """Every fourth page has data: no page is shared, and the file is made quickly."""
    with path.open("wb") as image:
        image.truncate(GUEST)
        for offset in range(0, GUEST, 16384):
            os.pwrite(image.fileno(), b"page %12d " % offset, offset)
    return path


def run(scene, case):
    image = make_image(scene.folder / "image")
    receiver, address = recv(scene, "null:", "--json", "--digest",
                             **limited(GUEST + 32 * MIB * case.channels))
    sender = Ramjet(scene, "send", "--json", "--digest", "--channels", case.channels,
                    f"image:{image}", address,
                    **limited(32 * MIB + STACK * (FEW + max(0, case.channels - 4))))
    check(sender.done()["digest"] == receiver.done()["digest"], "digests differ")


if __name__ == "__main__":
    sys.exit(table.main(CASES, run))
