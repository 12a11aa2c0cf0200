#!/usr/bin/env python3
"""`ramjet send` into `ramjet recv`: every page is the same at the end, by the digests of both ends
and, where there is a file to compare with, byte by byte.

Under scripts/netns the two run in two network namespaces.
"""

import os
import sys
from dataclasses import dataclass

from lib import ram, ramjet, table
from lib.snapshot import Snapshot
from lib.table import check


@dataclass
class Case:
    label: str
    source: str  # "image" or "memory": of a file made here
    channels: int
    target: str = "null:"
    listen: str = "tcp:127.0.0.1:0"
    by: str = None  # the host that the sender uses instead
    rounds: int = 0  # at least so many
    method: str = "none"


CASES = [
    Case("small synth, main channel", "synth:64M,dirty=20M", 0, rounds=2),
    Case("small synth, 1 channel", "synth:64M,dirty=20M", 1, rounds=2),
    Case("small synth, 4 channels", "synth:64M,dirty=20M", 4, rounds=2),
    Case("small synth to a file", "synth:64M,dirty=20M", 4, "file:{}/vm.snap", rounds=2),
    Case("small synth to raw", "synth:64M,dirty=20M", 2, "raw:{}/capture", rounds=2),
    Case("small synth, zlib", "synth:64M,dirty=20M", 4, rounds=2, method="zlib"),
    Case("small synth, zlib 0", "synth:64M,dirty=20M", 1, rounds=2, method="zlib:0"),
    Case("small synth, zlib 6", "synth:64M,dirty=20M", 2, rounds=2, method="zlib:6"),
    Case("small synth, zstd", "synth:64M,dirty=20M", 4, rounds=2, method="zstd"),
    Case("small synth, zstd 3", "synth:64M,dirty=20M", 1, rounds=2, method="zstd:3"),
    Case("small synth to a file, zstd", "synth:64M,dirty=20M", 4, "file:{}/vm.snap", rounds=2,
         method="zstd:-20"),
    Case("small image to raw, zlib", "image", 3, "raw:{}/capture", method="zlib:2"),
    Case("small synth, all zero, zstd", "synth:64M,zero=100", 2, method="zstd"),
    Case("small synth, all zero", "synth:64M,zero=100", 2),
    Case("small synth over a unix socket", "synth:64M,dirty=20M", 2, listen="unix:{}/s"),
    Case("small synth over IPv6", "synth:64M", 2, listen="tcp:[::1]:0"),
    Case("small synth over IPv4 to [::]", "synth:64M", 2, listen="tcp:[::]:0", by="127.0.0.1"),
    Case("small synth over IPv6 to [::]", "synth:64M", 2, listen="tcp:[::]:0", by="[::1]"),
    Case("small image to a file", "image", 4, "file:{}/vm.snap"),
    Case("small image to a file, main channel", "image", 0, "file:{}/vm.snap"),
    Case("small image to raw", "image", 3, "raw:{}/capture"),
    Case("small memory to raw", "memory", 3, "raw:{}/capture"),
    Case("small memory to a file, zstd", "memory", 2, "file:{}/vm.snap", method="zstd"),
    Case("big synth, 4 channels", "synth:2G,dirty=200M", 4, rounds=2),
    Case("big synth, main channel", "synth:1G,dirty=100M", 0, rounds=2),
]


def run(scene, case):
    source, listen = case.source, case.listen.format(scene.folder)
    if source in ("image", "memory"):
        source = f"{source}:{make_image(scene.folder / 'image')}"
    here, there = os.environ.get("NETNS_A"), os.environ.get("NETNS_B")  # set by scripts/netns
    if there:
        listen = f"tcp:{os.environ['NETNS_IP_B']}:0"

    receiver, address = ramjet.recv(scene, case.target.format(scene.folder), "--json", "--digest",
                                    listen=listen, netns=there)
    if case.by and not there:
        address = f"tcp:{case.by}:{address.rpartition(':')[2]}"
    sender = ramjet.Ramjet(scene, "send", "--json", "--digest", "--channels", case.channels,
                           "--compress", case.method, source, address, netns=here)
    sent, received = sender.done(), receiver.done()

    check(sent["digest"] and sent["digest"] == received["digest"],
          f"digests differ: sent {sent['digest']}, received {received['digest']}")
    passes = sent["ram"]["dirty-sync-count"]
    check(passes >= case.rounds, f"{passes} rounds, want at least {case.rounds}")
    if case.source in ("image", "memory"):
        compare_image(scene.folder)


def make_image(path):
    """16 MiB and some pages: zero pages, random ones and text, so that no two places look alike."""
    with path.open("wb") as image:
        for page in range(4096 + 5):
            kind = page % 5
            image.write(bytes(ram.PAGE) if kind < 2 else os.urandom(ram.PAGE) if kind == 2
                        else (b"page %12d " % page * 256)[:ram.PAGE])
    return path


def compare_image(folder):
    wanted = ram.pieces(folder / "image")
    if (folder / "capture").exists():
        ram.same("raw", ram.pieces(folder / "capture" / "ram.pc.ram"), wanted)
    else:
        with Snapshot(folder / "vm.snap") as snapshot:
            ram.same("snapshot", snapshot.blocks["pc.ram"].pieces(), wanted)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run))
