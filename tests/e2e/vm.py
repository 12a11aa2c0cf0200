#!/usr/bin/env python3
"""ramjet vm: a guest under KVM runs until it is told to end, and its verdict is the exit code."""

import os
import re
import shutil
import signal
import sys
from collections import namedtuple

from lib import ramjet, table
from lib.monitor import Monitor
from lib.ramjet import Ramjet
from lib.runner import demand_kvm, memory_at
from lib.scene import until
from lib.table import Skip, check

Case = namedtuple("Case", "label run")
CASES = []

NOBODY = 65534
PAGE = 4096
MEMBERS = {"running": bool, "heartbeats": int, "longest-gap-us": int, "last-move-gap-us": int,
           "moves": int, "pages-verified": int, "pages-written": int, "sweeps": int, "errors": int}


def case(label):
    """Adds the function below it to the table."""
    def add(function):
        CASES.append(Case(label, function))
        return function
    return add


def vm(scene, *options, memory="16M"):
    """A guest that runs already."""
    demand_kvm(scene)
    guest = Ramjet(scene, "vm", "--guest", "counter", "--memory", memory, *options)
    check(guest.read(lambda out: b"\n" in out), f"it ended before it ran: {guest.errors}")
    check(guest.output.startswith(b"running counter, 16 MiB"), f"{guest.output}")
    return guest


def clean(result):
    found = {name: type(value) for name, value in result.items()}
    check(found == MEMBERS, f"members are {found}")
    check(result["running"] and result["errors"] == 0, f"{result}")
    check(result["heartbeats"] > 0, f"{result}")


def ended_by(scene, number):
    guest = vm(scene, "--json")
    guest.send_signal(number)
    clean(guest.done(10))
    check(not guest.errors, guest.errors)


for _number in (signal.SIGINT, signal.SIGTERM):
    case(f"{_number.name} ends it with its verdict")(lambda scene, n=_number: ended_by(scene, n))


@case("two vCPUs, for a while")
def for_a_while(scene):
    clean(vm(scene, "--json", "--cpus", 2, "--run-for", "500ms").done(20))


@case("the verdict for people")
def text(scene):
    guest = vm(scene)
    guest.send_signal(signal.SIGINT)
    guest.done(10)
    for word in (b"heartbeats", b"longest gap", b"pages verified", b"errors          0"):
        check(word in guest.output, f"no {word} in {guest.output}")


@case("errors found are an exit code of 1")
def wrong(scene):
    guest = vm(scene, "--json")
    start = memory_at(guest, 16 << 20)
    pages = range(600, 4000, 400)
    try:
        memory = os.open(f"/proc/{guest.pid}/mem", os.O_RDWR)
    except PermissionError as denied:
        raise Skip("the memory of another process cannot be written here") from denied
    try:
        # The upper byte of a page's first word: its number's, and small.
        for page in pages:
            os.pwrite(memory, b"\xee", start + page * PAGE + 7)
        # Written anew: so the guest has been there, and has seen it.
        until(lambda: all(os.pread(memory, 1, start + page * PAGE + 7) != b"\xee"
                          for page in pages), "the guest's next walk")
    finally:
        os.close(memory)
    guest.send_signal(signal.SIGINT)
    guest.failed("errors found", "expected 0x")
    result = guest.output.decode().splitlines()[-1]
    # It may just have stood between looking at a page and writing it.
    check(re.search(r'"errors":[1-9]\b', result), result)


@case("a guest that dirties its memory")
def dirtier(scene):
    demand_kvm(scene)
    guest = Ramjet(scene, "vm", "--guest", "dirtier,rate=20M,pattern=hot,fill=lines", "--memory",
                   "16M", "--cpus", 2, "--run-for", "500ms", "--json")
    clean(guest.done(20))
    check(guest.output.startswith(b"running dirtier,rate=20M"), f"{guest.output}")


def payload(scene, code, said, *options, port=0x516):
    """A program that writes this to its serial port and ends itself with this code."""
    demand_kvm(scene)
    text = b"".join(b"\xb0" + bytes([letter]) + b"\xee" for letter in said)  # mov al; out dx, al
    path = scene.folder / "payload"
    path.write_bytes(b"\xba\xf8\x03\0\0" + text +                 # mov edx, 0x3f8
                     b"\xbf" + code.to_bytes(4, "little") +         # mov edi
                     b"\xba" + port.to_bytes(4, "little") +        # mov edx
                     b"\xef\xeb\xfd")                              # out dx, eax; again
    return Ramjet(scene, "vm", "--payload", path, "--memory", "16M", "--json", *options)


@case("a program of one's own ends itself")
def own_program(scene):
    guest = payload(scene, 0, b"hi\n")
    guest.done(20)
    check(guest.errors == "hi\n", f"{guest.errors}")
    payload(scene, 3, b"").failed("ended itself with 3")


def end_is_told(scene, port, reason, code):
    address = f"unix:{scene.folder}/monitor"
    guest = payload(scene, 0, b"", "--paused", "--qmp", address, port=port)
    check(guest.read(lambda out: b"\n" in out), f"it ended before it listened: {guest.errors}")
    monitor = Monitor(address)
    monitor("cont")
    told = monitor.event("SHUTDOWN")
    monitor.close()
    check(told == {"guest": True, "reason": reason}, f"{told}")
    check(guest.wait(20) == code, guest.errors)


@case("a guest's own end is told as such")
def own_end(scene):
    end_is_told(scene, 0x516, "guest-shutdown", 0)


@case("a guest's death is told as such")
def death(scene):
    end_is_told(scene, 0x600, "guest-panic", 1)


@case("without access to KVM")
def no_access(scene):
    if os.geteuid() != 0:
        raise Skip("only root can become nobody")
    if os.path.exists("/dev/kvm") and os.stat("/dev/kvm").st_mode & 0o006 == 0o006:
        raise Skip("/dev/kvm is everybody's here")
    program = shutil.copy(ramjet.binary(), scene.folder)  # the original may be out of reach
    Ramjet(scene, "vm", "--guest", "counter", user=NOBODY, group=NOBODY, extra_groups=[],
           program=program).failed("/dev/kvm")


def run(scene, chosen):
    chosen.run(scene)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run))
