#!/usr/bin/env python3
"""No silence is longer than two seconds: a line on standard error says what is waited for, and for
how long at most, off a terminal too; --progress never silences it."""

import contextlib
import os
import signal
import socket
import sys
import time
from collections import namedtuple
from pathlib import Path

from lib import table
from lib.ramjet import STILL, Ramjet, recv
from lib.scene import until
from lib.table import check

Case = namedtuple("Case", "label run")
CASES = []
LONG = 2.2  # seconds: longer than a phase may last without a line


def case(label):
    def add(run):
        CASES.append(Case(label, run))
        return run
    return add


def says(run, *words):
    """Waits for the line about a phase."""
    def lines():
        return [line for line in run.errors.splitlines() if STILL in line]
    until(lambda: any(all(word in line for word in words) for line in lines()),
          f"{run.name} to say {words}: {run.errors}")


@case("recv: for a source")
def for_a_source(scene):
    quiet, _ = recv(scene, "null:", "--connect-timeout", "3s", "--progress", "never")
    receiver, _ = recv(scene, "null:", "--connect-timeout", "3s")
    says(receiver, "waiting for a source at tcp:127.0.0.1:0, for 3.00 s at most",
         "(--connect-timeout)")
    for run in (receiver, quiet):
        run.failed("no main connection", seconds=20)
    check(STILL not in quiet.errors, quiet.errors)
    endless, _ = recv(scene, "null:", "--connect-timeout", "0")
    says(endless, "without a limit (--connect-timeout)")
    endless.send_signal(signal.SIGINT)
    endless.failed("cancelled", code=3)


class Deaf:
    """Accepts connections, or not even that, and says nothing."""

    def __init__(self, scene, accepts=True):
        self.server = scene.at_end.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        self.address = f"tcp:127.0.0.1:{self.server.getsockname()[1]}"
        if not accepts:  # its queue is full
            for _ in range(4):
                one = scene.at_end.enter_context(socket.socket())
                one.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    one.connect(self.server.getsockname())


@case("send: connecting")
def connecting(scene):
    peer = Deaf(scene, accepts=False)
    sender = Ramjet(scene, "send", "--connect-timeout", "4s", "synth:1M", peer.address)
    says(sender, f"connecting to {peer.address}, for 4.00 s at most (--connect-timeout)")
    sender.failed("connect to", "gave up waiting", seconds=20)


@case("send: the other end does not read")
def sending(scene):
    peer = Deaf(scene)
    sender = Ramjet(scene, "send", "--channels", 0, "--stall-timeout", "4s", "synth:64M",
                    peer.address)
    says(sender, "sending memory (--progress always tells how it goes)")
    sender.failed(seconds=20)


def resident(run):
    """Bytes of memory that a process holds."""
    pages = Path(f"/proc/{run.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@case("send: generating")
def generating(scene):
    _, address = recv(scene, "null:")
    sender = Ramjet(scene, "send", "synth:2G", address)
    until(lambda: resident(sender) > 16 << 20, "the first of its pages")
    stopped = time.monotonic()
    sender.send_signal(signal.SIGSTOP)  # as on a host that is very slow
    until(lambda: time.monotonic() > stopped + LONG, "a long time")
    sender.send_signal(signal.SIGCONT)
    says(sender, "generating 2 GiB of memory, ", " %")
    sender.done(60)


@case("migrate: for a monitor")
def monitors(scene):
    peer = Deaf(scene)
    run = Ramjet(scene, "migrate", "--connect-timeout", "4s", peer.address, "unix:/nowhere")
    says(run, f"asking the monitors of {peer.address} and unix:/nowhere, for 4.00 s at most")
    run.failed("from: ", seconds=20)


def run(scene, chosen):
    chosen.run(scene)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run, seconds=60))
