#!/usr/bin/env python3
"""A path that fails for a while, and loses some packets before and after: an outage that is shorter
than the stall timeout ends nothing; a longer one ends both sides soon, and both name the limit."""

import os
import socket
import sys
import time
from collections import namedtuple

from lib import ramjet, table
from lib.netns import Netns
from lib.ramjet import Ramjet
from lib.scene import until
from lib.table import Skip, check

Case = namedtuple("Case", "label gone ways channels options times", defaults=[1])

# Longer times on a machine without virtualization, which sends again late.
SCALE = 3 if int(os.environ.get("TEST_SLOWNESS", 1)) >= 10 else 1
LIMIT = 5 * SCALE
IMAGE = 64 << 20  # bytes
TCP_RTO_MAX_MS = 44  # Python has no name for it
DELAY = ("--delay", "20ms")  # if the kernel has netem

CASES = [
    Case("cut: 3 s of 5, 4 channels", 3, "both", 4, ()),
    Case("cut: 4 s of 5, 4 channels", 4, "both", 4, ()),
    Case("cut: 4 s of 5, main channel", 4, "both", 0, ()),
    Case("cut: 4 s of 5, twice, main channel", 4, "both", 0, (), 2),
    Case("cut: 4 s of 5, only there", 4, "there", 2, ()),
    Case("cut: 4 s of 5, only back", 4, "back", 2, ()),
    Case("cut: 8 s of 5, 4 channels", 8, "both", 4, ()),
    Case("cut: 8 s of 5, only there", 8, "there", 2, ()),
    Case("delay: 3 s of 5, 4 channels", 3, "both", 4, DELAY),
    Case("delay: 4 s of 5, 4 channels", 4, "both", 4, DELAY),
    Case("delay: 8 s of 5, 4 channels", 8, "both", 4, DELAY),
]


def start(scene, net, case):
    image = scene.folder / "image"
    with image.open("wb") as file:
        for page in range(IMAGE // 4096):
            file.write(page.to_bytes(4096, "big"))
    net.ready_to_cut()
    options = ("--json", "--digest", "--stall-timeout", f"{LIMIT}s", "--channels", case.channels)
    receiver, address = ramjet.recv(scene, "null:", *options, listen=f"tcp:{net.ip_b}:0", netns=net.b)
    sender = Ramjet(scene, "send", *options, f"image:{image}", address, netns=net.a)
    return sender, receiver


def cut(net, case):
    """Cuts the path when the migration is well under way. Returns the time."""
    before, _ = net.sent()
    until(lambda: net.sent()[0] - before > IMAGE / 8, "the sender to be under way", seconds=60)
    at = time.monotonic()
    net.cut(*{"both": (net.a, net.b), "there": (net.b,), "back": (net.a,)}[case.ways])
    return at


def repeats_often():
    """Whether the longest pause of TCP before it sends again can be set: from Linux 6.15 on."""
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.IPPROTO_TCP, TCP_RTO_MAX_MS, 2000)
        except OSError:
            return False
    return True


def survives(net, case, sender, receiver):
    # TCP's pauses double: with the longer limit one of them may last from the outage to the limit.
    if SCALE > 1 and not repeats_often():
        raise Skip("this kernel cannot be told to send again soon (before Linux 6.15)")
    for _ in range(case.times):
        at = cut(net, case)
        # The length of the outage: there is no event to wait for; mending takes as long as cutting.
        time.sleep(max(0, case.gone * SCALE - 2 * (time.monotonic() - at)))
        net.mend()
        gone = time.monotonic() - at
        if gone > 0.9 * LIMIT:
            raise Skip(f"this machine took {gone:.1f} s to make an outage of {case.gone * SCALE} s")
    sent, received = sender.done(), receiver.done()
    check(sent["digest"] and sent["digest"] == received["digest"], "digests differ")


def ends(net, case, sender, receiver):
    at = cut(net, case)
    limit = f"for {LIMIT}.0 s (--stall-timeout)"
    receiver.failed(limit, seconds=10 * LIMIT)
    # If its error still gets through, the destination may be the first to report a failure.
    sender.failed(*[limit] * (case.ways == "both"), seconds=10 * LIMIT)
    took = time.monotonic() - at
    check(took >= LIMIT, f"{took:.1f} s, with a stall timeout of {LIMIT} s")
    print(f"        both have ended {took:.1f} s after the path had gone, with a limit of {LIMIT} s")


def run(scene, case):
    net = Netns(scene, "--rate", f"{200 // SCALE}mbit", "--loss", 0.01, *case.options)
    sender, receiver = start(scene, net, case)
    if case.gone * SCALE < LIMIT:
        survives(net, case, sender, receiver)
    else:
        ends(net, case, sender, receiver)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run, seconds=90))
