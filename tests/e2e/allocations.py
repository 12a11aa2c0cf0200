#!/usr/bin/env python3
"""Nothing is allocated per page or per packet: with four times the memory, both ends call malloc as
often, however the pages travel and whatever target they go to."""

import os
import sys
from dataclasses import dataclass

from lib import table
from lib.ramjet import Ramjet, recv
from lib.table import Skip, check

SMALL, LARGE = "32M", "128M"  # 8,192 and 32,768 pages
SLACK = 64                    # calls: threads may or may not wait for each other


@dataclass
class Case:
    label: str
    channels: int
    target: str = "null:"
    method: str = "none"


CASES = [
    Case("4 channels to memory", 4),
    Case("4 channels to a file", 4, "file:{}/vm.snap"),
    Case("zlib to memory", 2, method="zlib"),
    Case("zlib 6 to a file", 2, "file:{}/vm.snap", "zlib:6"),
    Case("zstd to memory", 2, method="zstd"),
    Case("main channel to memory", 0),
    Case("main channel to raw", 0, "raw:{}/capture"),
]


def counted(scene, name):
    """Options of a Ramjet that count its allocations, and the file for the number."""
    counter = scene.folder / name
    return {"env": {**os.environ, "LD_PRELOAD": os.environ["COUNT_ALLOCATIONS_LIBRARY"],
                    "COUNT_ALLOCATIONS": str(counter)}}, counter


def transfer(scene, case, size):
    """The number of allocations at each end for `size` bytes of memory."""
    theirs, received = counted(scene, f"recv-{size}")
    ours, sent = counted(scene, f"send-{size}")
    target = case.target.format(scene.folder)
    receiver, address = recv(scene, target, "--force", "--json", **theirs)
    sender = Ramjet(scene, "send", "--json", "--channels", case.channels, "--compress",
                    case.method, f"synth:{size}", address, **ours)
    sender.done()
    receiver.done()
    return int(sent.read_text()), int(received.read_text())


def run(scene, case):
    if not os.environ.get("COUNT_ALLOCATIONS_LIBRARY"):
        raise Skip("COUNT_ALLOCATIONS_LIBRARY names no library; a sanitizer's malloc is its own")
    small, large = transfer(scene, case, SMALL), transfer(scene, case, LARGE)
    for end, few, many in zip(("send", "recv"), small, large):
        check(few > 0, f"{end}: nothing was counted")
        check(many - few < SLACK, f"{end}: {few} allocations for {SMALL}, {many} for {LARGE}")


if __name__ == "__main__":
    sys.exit(table.main(CASES, run))
