#!/usr/bin/env python3
"""ramjet vm: a guest, under KVM or as threads, runs until it is ended; its verdict
is the exit code."""

import os
import re
import shutil
import signal
import sys
from collections import namedtuple

from lib import ramjet, table
from lib.monitor import Monitor, Refused
from lib.ramjet import Ramjet
from lib.runner import FAST, Vm, demand_kvm, dirtier, memory_at, moved
from lib.scene import until
from lib.table import Skip, check

Case = namedtuple("Case", "label run")
CASES = []

NOBODY = 65534
PAGE = 4096
MEMBERS = {"status": str, "verb": str, "running": bool, "heartbeats": int, "longest-gap-us": int,
           "last-move-gap-us": int, "moves": int, "pages-verified": int, "pages-written": int, "sweeps": int, "errors": int}


def case(label):
    """Adds the next function to the table."""
    def add(function):
        CASES.append(Case(label, function))
        return function
    return add


def demand(scene, accel):
    if accel == "kvm":
        demand_kvm(scene)


def vm(scene, *options, accel="kvm", memory="16M"):
    """A guest that already runs."""
    demand(scene, accel)
    guest = Ramjet(scene, "vm", "--accel", accel, "--guest", "counter", "--memory", memory, *options)
    check(guest.read(lambda out: b"\n" in out), f"it ended before it ran: {guest.errors}")
    check(re.match(rb'running counter, 16 MiB|{"event":"running","guest":"counter","memory":16777216,',
                   guest.output), f"{guest.output}")
    return guest


def clean(result):
    found = {name: type(value) for name, value in result.items()}
    check(found == MEMBERS, f"members are {found}")
    check(result["running"] and result["errors"] == 0, f"{result}")
    check(result["heartbeats"] > 0, f"{result}")


def ended_by(scene, number, accel):
    guest = vm(scene, "--json", accel=accel)
    guest.send_signal(number)
    clean(guest.done(10))
    check(not guest.errors, guest.errors)


def each(label):
    """Adds the next function to the table, once for each kind of machine."""
    def add(function):
        for accel in ("kvm", "synth"):
            CASES.append(Case(f"{accel}: {label}", lambda scene, a=accel: function(scene, a)))
        return function
    return add


for _number in (signal.SIGINT, signal.SIGTERM):
    each(f"{_number.name} ends it with its verdict")(
        lambda scene, accel, n=_number: ended_by(scene, n, accel))


@each("two vCPUs, for a while")
def for_a_while(scene, accel):
    clean(vm(scene, "--json", "--cpus", 2, "--run-for", "500ms", accel=accel).done(20))


@case("the verdict for people")
def text(scene):
    guest = vm(scene)
    guest.send_signal(signal.SIGINT)
    guest.done(10)
    for word in (b"heartbeats", b"longest gap", b"pages verified", b"errors          0"):
        check(word in guest.output, f"no {word} in {guest.output}")


@each("errors found are an exit code of 1")
def wrong(scene, accel):
    guest = vm(scene, "--json", accel=accel)
    start = memory_at(guest, 16 << 20)
    pages = range(600, 4000, 400)
    try:
        memory = os.open(f"/proc/{guest.pid}/mem", os.O_RDWR)
    except PermissionError as denied:
        raise Skip("the memory of another process cannot be written here") from denied
    try:
        # The upper byte of a page's first word, which is the page's number, and small.
        for page in pages:
            os.pwrite(memory, b"\xee", start + page * PAGE + 7)
        # It is written again: so the guest has seen the damage.
        until(lambda: all(os.pread(memory, 1, start + page * PAGE + 7) != b"\xee"
                          for page in pages), "the guest's next walk")
    finally:
        os.close(memory)
    guest.send_signal(signal.SIGINT)
    guest.failed("errors found", "expected 0x")
    result = guest.output.decode().splitlines()[-1]
    # The guest may have been between reading a page and writing it.
    check(re.search(r'"errors":[1-9]\b', result), result)


@each("a guest that dirties its memory")
def writes(scene, accel):
    demand(scene, accel)
    guest = Ramjet(scene, "vm", "--accel", accel, "--guest", "dirtier,rate=20M,pattern=hot,fill=lines", "--memory",
                   "16M", "--cpus", 2, "--run-for", "500ms", "--json")
    clean(guest.done(20))
    check(guest.output.startswith(b'{"event":"running","guest":"dirtier,rate=20M'), f"{guest.output}")


def payload(scene, code, message, *options, port=0x516):
    """A program that writes this to its serial port and exits with this code."""
    demand_kvm(scene)
    text = b"".join(b"\xb0" + bytes([letter]) + b"\xee" for letter in message)  # mov al; out dx, al
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
    check(guest.errors == "guest: hi\n", f"{guest.errors}")
    payload(scene, 3, b"").failed("ended itself with 3")


@case("what a guest writes moves no cursor and forges no line of ramjet's")
def hostile_serial(scene):
    guest = payload(scene, 3, b"a\tb\r\nramjet vm: fine\x1b[2J\x9b\xc2\x85\0\n\n" + b"x" * 250 + b"\nz")
    guest.wait(20)
    want = ["guest: a b", "guest: ramjet vm: fine?[2J????", "guest: ", "guest: " + "x" * 240,
            "guest: " + "x" * 10, "guest: z", "ramjet vm: the guest has ended itself with 3"]
    check(guest.errors.splitlines() == want, f"{guest.errors!r}")


def end_is_reported(scene, port, reason, code):
    address = f"unix:{scene.folder}/monitor"
    guest = payload(scene, 0, b"", "--paused", "--qmp", address, port=port)
    check(guest.read(lambda out: b"\n" in out), f"it ended before it listened: {guest.errors}")
    monitor = Monitor(address)
    monitor("cont")
    report = monitor.event("SHUTDOWN")
    monitor.close()
    check(report == {"guest": True, "reason": reason}, f"{report}")
    check(guest.wait(20) == code, guest.errors)


@case("a guest's own end is reported as such")
def own_end(scene):
    end_is_reported(scene, 0x516, "guest-shutdown", 0)


@case("a guest's death is reported as such")
def death(scene):
    end_is_reported(scene, 0x600, "guest-panic", 1)


@case("a full serial output does not keep the guest from being ended")
def unread(scene):
    demand_kvm(scene)
    path = scene.folder / "payload"
    path.write_bytes(b"\xba\xf8\x03\0\0\xee\xeb\xfd")  # mov edx, 0x3f8; out dx, al; again
    reader, full = os.pipe()
    os.set_blocking(full, False)
    try:
        while os.write(full, bytes(PAGE)):
            pass
    except BlockingIOError:
        os.set_blocking(full, True)
    # Two vCPUs: one waits in its write, the other waits for the first one.
    guest = Ramjet(scene, "vm", "--payload", path, "--memory", "16M", "--cpus", 2, "--run-for",
                   "500ms", "--json", prefix=["sh", "-c", f'exec "$@" 2>&{full}', "sh"],
                   pass_fds=[full])
    guest.done(20)
    os.close(full)
    os.close(reader)


def as_nobody(scene, *options):
    if os.geteuid() != 0:
        raise Skip("only root can become nobody")
    if os.path.exists("/dev/kvm") and os.stat("/dev/kvm").st_mode & 0o006 == 0o006:
        raise Skip("/dev/kvm is everybody's here")
    program = shutil.copy(ramjet.binary(), scene.folder)  # that user may not reach the original
    return Ramjet(scene, "vm", *options, user=NOBODY, group=NOBODY, extra_groups=[],
                  program=program)


@case("without access to KVM the guest runs as threads, with a notice")
def no_access(scene):
    guest = as_nobody(scene, "--guest", "counter", "--run-for", "300ms", "--json")
    clean(guest.done(20))
    for word in ("no KVM here", "/dev/kvm", "--accel synth"):
        check(word in guest.errors, f"no {word} in {guest.errors}")
    check(guest.errors.count("\n") == 1, guest.errors)


@case("without access to KVM, what asks for it fails")
def no_access_asked(scene):
    as_nobody(scene, "--accel", "kvm", "--guest", "counter").failed("/dev/kvm")
    path = scene.folder / "payload"
    path.write_bytes(b"\xeb\xfe")
    as_nobody(scene, "--payload", path).failed("/dev/kvm")


# --- as threads: the rest of what a guest under KVM does -------------------------------------------

SYNTH = ("--accel", "synth")


def synth_moves(scene, kind):
    """Moves there, back to another one, and on; also while it is paused."""
    source = dirtier(scene, *SYNTH, "--dirty-source", kind)
    for move in range(1, 4):
        target = Vm(scene, *SYNTH, "--dirty-source", kind)
        moved(source, target, target.listen())
        check(target.swept()["moves"] == move, f"{target.guest()}")
        target.parameters(**FAST)
        source.quit()
        source = target
    source.qmp("stop")
    target = Vm(scene, *SYNTH)
    moved(source, target, target.listen())
    check(target.state() == "paused", f"the destination is {target.state()}")
    check(source.digest() == target.digest(), "memory differs")
    check(target.guest()["heartbeats"] == source.guest()["heartbeats"], "it has run")
    target.qmp("cont")
    target.swept()
    source.quit()
    target.quit()


@case("synth: a guest moves on and on, by its own log")
def synth_log(scene):
    synth_moves(scene, "log")


@case("synth: a guest moves on and on, by userfaultfd")
def synth_uffd(scene):
    usable = Ramjet(scene, "vm", *SYNTH, "--guest", "idle", "--dirty-source", "uffd",
                    "--run-for", "10ms")
    if usable.wait(10) != 0 and "userfaultfd" in usable.errors:
        raise Skip(usable.errors)
    synth_moves(scene, "uffd")


@case("synth: slowed, and cancelled, it goes on at full speed")
def synth_cancelled(scene):
    source = dirtier(scene, *SYNTH, guest="dirtier,rate=8M", memory="8M")
    target = Vm(scene, *SYNTH, memory="8M")
    address = target.listen(exit_on_error=False)
    # Bytes per second: fewer than the guest writes.
    source.parameters(**{"max-bandwidth": 4 << 20, "downtime-limit": 10})
    source.set(auto_converge=True)
    source.qmp.forget()
    source.qmp("migrate", uri=address)
    until(lambda: source.qmp("query-migrate").get("cpu-throttle-percentage", 0) > 0, "a throttle",
          30)
    source.qmp("migrate_cancel")
    source.qmp.status("cancelled")
    source.full_speed(8 << 20)
    source.swept(source.guest()["sweeps"] + 1)
    source.quit()
    target.qmp("quit")
    target.wait(5)


@case("synth: a snapshot by ramjet recv, resumed twice")
def synth_snapshot(scene):
    source = dirtier(scene, *SYNTH)
    path = scene.folder / "guest.snap"
    receiver, address = ramjet.recv(scene, f"file:{path}", "--json")
    source.qmp("migrate", uri=address)
    source.qmp.status("completed")
    receiver.done()
    source.quit()
    for _ in range(2):
        resumed = Vm(scene, *SYNTH, "--incoming", f"file:{path}")
        check(resumed.swept()["moves"] == 1, f"{resumed.guest()}")
        resumed.quit()
    demand_kvm(scene)
    Ramjet(scene, "vm", "--accel", "kvm", "--incoming", f"file:{path}", "--memory", "32M", "--cpus",
           2).failed("--accel", str(path).lower())


@case("synth: a migration into KVM is refused, and the guest goes on")
def synth_into_kvm(scene):
    demand_kvm(scene)
    source = dirtier(scene, *SYNTH)
    target = Vm(scene, "--accel", "kvm")
    source.set(return_path=True)
    source.qmp.forget()
    source.qmp("migrate", uri=target.listen())
    source.qmp.status("failed")
    target.failed("give both machines the same --accel")
    source.swept(source.guest()["sweeps"] + 1)
    source.quit()


@case("synth: dirty-limit, which needs KVM, is refused by name")
def synth_dirty_limit(scene):
    source = Vm(scene, *SYNTH, guest="idle")
    try:
        source.set(dirty_limit=True)
        check(False, "dirty-limit was taken")
    except Refused as refused:
        check("dirty ring" in str(refused), f"{refused}")
    source.quit()


def run(scene, chosen):
    chosen.run(scene)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run, seconds=60))
