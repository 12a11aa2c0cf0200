#!/usr/bin/env python3
"""`ramjet recv --repeat`: one migration after the other at one address. A failed one ends nothing, a
source that comes too early waits, a signal ends it in order, and nothing grows."""

import json
import os
import re
import signal
import socket
import struct
import sys
from collections import namedtuple
from pathlib import Path

from lib import journey, ramjet, table
from lib.qemu import Qemu
from lib.scene import SLOWNESS, until
from lib.snapshot import Snapshot
from lib.table import check

UUID = "12345678-90ab-cdef-1234-567890abcdef"
SYNTH = "synth:8M"
MAIN = struct.pack(">II", 0x5145564D, 3)  # how a main connection begins
NAME = re.compile(r"\d{8}T\d{6}\.\d{3}Z_(.+)\.snap")
CANCELLED = (3,)


def stay(scene, *options, target="null:", repeat="--repeat"):
    return ramjet.recv(scene, target, repeat, "--json", *options)


def send(scene, address, *options, source=SYNTH):
    return ramjet.Ramjet(scene, "send", *options, source, address)


def results(receiver, n):
    """Waits for the objects of the first n migrations."""
    def objects(output):
        lines = output.decode().split("\n")[:-1]
        return [line for line in lines if line.startswith("{") and '"status"' in line]

    check(receiver.read(lambda output: len(objects(output)) >= n),
          f"the receiver ended before {n} results")
    return [json.loads(line) for line in objects(receiver.output)]


def statuses(receiver, n):
    return [result["status"] for result in results(receiver, n)]


def ends(receiver, number=signal.SIGTERM, codes=(0,)):
    receiver.send_signal(number)
    code = receiver.wait(10)
    check(code in codes, f"exit code {code}, want one of {codes}: {receiver.errors}")


def connect(address):
    host, port = address.removeprefix("tcp:").rsplit(":", 1)
    return socket.create_connection((host, int(port)))


def is_under_way(receiver, status="active"):
    """Waits until a line of progress tells of a migration."""
    until(lambda: status in receiver.errors, "a migration to be under way")


# --- the cases -------------------------------------------------------------------------------------


def null(scene):
    receiver, address = stay(scene)
    for channels in (0, 2, 4):
        send(scene, address, "--channels", channels).done()
    found = results(receiver, 3)
    check([len(r["channels"]) for r in found] == [0, 2, 4], f"channels: {found}")
    ends(receiver)


def counted(scene):
    receiver, address = stay(scene, repeat="--repeat=2")
    for _ in range(2):
        send(scene, address).done()
    check(receiver.wait(10) == 0, receiver.errors)
    check(statuses(receiver, 2) == ["completed"] * 2, receiver.output)


def counted_with_failure(scene):
    receiver, address = stay(scene, repeat="--repeat=2")
    with connect(address) as source:
        source.sendall(MAIN + b"\x55" * 64)
        results(receiver, 1)
    send(scene, address).done()
    check(receiver.wait(10) == 1, receiver.errors)
    check("1 of 2 migrations failed" in receiver.errors, receiver.errors)


def folder(scene):
    there = scene.folder / "snapshots"
    there.mkdir()
    receiver, address = stay(scene, target=f"folder:{there}")
    send(scene, address, "--uuid", UUID).done()
    send(scene, address, "--machine", "pc-q35-9.0").done()
    send(scene, address, "--uuid", UUID, "--channels", 0).done()
    found = results(receiver, 3)
    ends(receiver)
    files = sorted(there.iterdir())
    check([Path(r["file"]) for r in found] == files, f"{files}, told: {[r['file'] for r in found]}")
    vms = [NAME.fullmatch(file.name)[1] for file in files]
    check(vms == [UUID, "pc-q35-9.0", UUID], f"names: {files}")
    for file in files:
        with Snapshot(file) as snapshot:
            check(sum(block.length for block in snapshot.blocks.values()) == 8 << 20, f"{file}: size")


def one_in_folder(scene):
    receiver, address = ramjet.recv(scene, f"folder:{scene.folder}", "--json")
    send(scene, address).done()
    told = Path(receiver.done()["file"])
    check(told.exists() and NAME.fullmatch(told.name), f"{told}")


def failures(scene):
    """Between two good ones: a stream that is none, a channel without a main connection, a stranger,
    a source that is cut."""
    there = scene.folder / "snapshots"
    there.mkdir()
    receiver, address = stay(scene, "--progress", "always", target=f"folder:{there}")
    send(scene, address).done()
    with connect(address) as source:
        source.sendall(MAIN + b"\x55" * 64)
        check(statuses(receiver, 2) == ["completed", "failed"], receiver.output)
    with connect(address) as channel:
        channel.sendall(struct.pack(">IIBxxxxxxx", 0x11223344, 1, 0).ljust(64, b"\0"))
    until(lambda: "multifd channel" in receiver.errors, "the channel to be refused")
    with connect(address) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
    until(lambda: "HTTP" in receiver.errors, "the stranger to be refused")
    source = send(scene, address, "--max-bandwidth", "1M")
    is_under_way(receiver)
    source.end()
    check(statuses(receiver, 3)[2] == "failed", receiver.output)
    send(scene, address).done()
    found = results(receiver, 4)
    check(found[3]["status"] == "completed" and len(found) == 4, f"{found}")
    check(all("error-desc" in r or "error" in r for r in found[1:3]), f"no reason: {found}")
    ends(receiver)
    check(len(list(there.iterdir())) == 2, f"left: {list(there.iterdir())}")


def queue(scene):
    """Two sources at one time: the second one waits, and its migration is the next."""
    receiver, address = stay(scene, "--progress", "always")
    first = send(scene, address, "--max-bandwidth", "4M")
    is_under_way(receiver)
    second = send(scene, address, "--uuid", UUID)
    first.done()
    second.done()
    check(statuses(receiver, 2) == ["completed"] * 2, receiver.output)
    ends(receiver)


def second_main(scene):
    """A source that comes while another one connects is sent away, and harms nobody."""
    receiver, address = stay(scene, "--progress", "always")
    with connect(address) as first:
        first.sendall(MAIN[:4])
        is_under_way(receiver, "setup")
        with connect(address) as second:
            second.sendall(MAIN[:4])
            check(not second.recv(1), "the second one must be sent away")
        until(lambda: "a second main connection" in receiver.errors, "a line about it")
        check(b"status" not in receiver.output, "the first one must go on")
    check(statuses(receiver, 1) == ["failed"], receiver.output)
    send(scene, address).done()
    ends(receiver)


def idle(scene, number):
    receiver, address = stay(scene, "--connect-timeout", "1ms")
    ends(receiver, number)
    heard = [line for line in receiver.errors.splitlines() if "waiting for" not in line]
    check(not heard, receiver.errors)
    check(receiver.output.count(b"\n") == 1, receiver.output)


def no_time_limit(scene):
    """--connect-timeout is for what a source has begun: it does not end the wait for one."""
    receiver, address = stay(scene, "--connect-timeout", "1s")
    with connect(address) as silent:
        check(not silent.recv(1), "a silent connection is closed after the time")
    send(scene, address).done()
    ends(receiver)


def during(scene):
    there = scene.folder / "snapshots"
    there.mkdir()
    receiver, address = stay(scene, "--progress", "always", target=f"folder:{there}")
    send(scene, address).done()
    source = send(scene, address, "--max-bandwidth", "1M")
    is_under_way(receiver)
    ends(receiver, codes=CANCELLED)
    check(statuses(receiver, 2) == ["completed", "cancelled"], receiver.output)
    check(source.wait(20) != 0, "the source must learn of the cancel")
    check(len(list(there.iterdir())) == 1, f"left: {list(there.iterdir())}")


def measures(scene):
    """Dry runs one after the other: each source keeps its guest."""
    receiver = ramjet.Ramjet(scene, "recv", "--dry-run", "--repeat", "--json", "tcp:127.0.0.1:0")
    address = receiver.listening()
    for _ in range(2):
        send(scene, address).failed("only measured", code=3)
    check(statuses(receiver, 2) == ["measured"] * 2, receiver.output)
    ends(receiver)


def refused(scene):
    for target, words in ((f"file:{scene.folder}/x", "--repeat: expected a target null: or folder"),
                          (f"raw:{scene.folder}/x", "--repeat: expected a target null: or folder"),
                          (f"folder:{scene.folder}/none", "No such file")):
        ended = ramjet.Ramjet(scene, "recv", "--repeat", "tcp:127.0.0.1:0", target)
        check(ended.wait(5) in (1, 2) and words in ended.errors, f"{target}: {ended.errors}")
    ended = ramjet.Ramjet(scene, "recv", "--repeat=0", "tcp:127.0.0.1:0", "null:")
    ended.failed("1 or more", code=2)


def qemus(scene):
    """Three real sources: the name has the UUID that the channels have brought, or the machine's
    type; each snapshot is its guest's memory."""
    there = scene.folder / "snapshots"
    there.mkdir()
    receiver, address = stay(scene, target=f"folder:{there}")
    sources = [("7.2", 4, UUID), ("10.0", 2, UUID), ("10.0", 0, None)]
    for n, (version, channels, uuid) in enumerate(sources, 1):
        machine = f"pc-q35-{version}"
        source = Qemu(scene, f"source-{n}", version, machine=machine, uuid=uuid)
        source.configure(["return-path"], channels)
        source.passes(2)
        source.migrate(address, 1, False)
        file = Path(results(receiver, n)[n - 1]["file"])
        check(NAME.fullmatch(file.name)[1] == (uuid or machine), f"{file.name}")
        journey.compare(file, source)
        source.end()
    ends(receiver)


def resident_kib(process):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1])


def open_files(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def threads(process):
    return len(os.listdir(f"/proc/{process.pid}/task"))


def growth(scene):
    """After thirty migrations a receiver has as many descriptors and threads as after one, and about
    as much memory."""
    receiver, address = stay(scene)
    send(scene, address).done()
    results(receiver, 1)
    with connect(address) as stranger:  # it is answered by the next destination, which is all there
        stranger.sendall(b"hello")
        check(not stranger.recv(1), "not let in")
    files, tasks, memory = open_files(receiver), threads(receiver), resident_kib(receiver)
    for n in range(2, 31):
        send(scene, address, "--channels", n % 4).done()
        results(receiver, n)
    until(lambda: open_files(receiver) <= files, f"descriptors as before: {files}")
    until(lambda: threads(receiver) <= tasks, f"threads as before: {tasks}")
    more = resident_kib(receiver) - memory
    check(more < 8192 or SLOWNESS > 1, f"{more} KiB more after thirty migrations")
    ends(receiver)


Case = namedtuple("Case", "label run")
CASES = [
    Case("null:, three in turn", null),
    Case("N of them", counted),
    Case("N of them, one fails", counted_with_failure),
    Case("a folder", folder),
    Case("a folder, without --repeat", one_in_folder),
    Case("failures in between", failures),
    Case("a second source waits", queue),
    Case("a second source while one connects", second_main),
    Case("SIGTERM while idle", lambda scene: idle(scene, signal.SIGTERM)),
    Case("SIGINT while idle", lambda scene: idle(scene, signal.SIGINT)),
    Case("no time limit while idle", no_time_limit),
    Case("SIGTERM during a migration", during),
    Case("dry runs in turn", measures),
    Case("refused", refused),
    Case("nothing grows", growth),
    Case("QEMUs in turn", qemus),
]

if __name__ == "__main__":
    sys.exit(table.main(CASES, lambda scene, case: case.run(scene), seconds=120))
