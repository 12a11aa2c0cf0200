#!/usr/bin/env python3
"""Recordings of migrations between two real QEMUs, sent again to `ramjet recv`: whole ones succeed
with the RAM that about.json names, into every kind of target; broken ones are refused."""

import concurrent.futures
import hashlib
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "hostile"))

from harness import (CONNECT_S, RAMJET, Failed, Way, check, messages, run_session,  # noqa: E402
                     without_zstd)

FOLDERS = sorted(path.parent for path in HERE.glob("*/about.json"))
PAYLOAD_CHANGES = [
    ("flipped at its start", lambda d: flip(d, 0)), ("without its start", lambda d: d[1:]),
    ("flipped behind it", lambda d: flip(d, 4)), ("without its end", lambda d: d[:-1]),
    ("longer", lambda d: d[:len(d) // 2] + b"\x5a" + d[len(d) // 2:]), ("not there", lambda d: b""),
]
CHANNEL_FLIPS = [(0, "magic"), (7, "version"), (64, "magic"), (71, "version"), (76, "capacity")]


class Capture:
    """A recorded source; it has what harness.run_session() needs of a session."""

    def __init__(self, folder):
        self.options = []
        self.stream = (folder / "c0.fwd").read_bytes()
        self.channels = [[(folder / f"c{i}.fwd").read_bytes()]
                         for i in range(1, len(list(folder.glob("c*.fwd"))))]

    def main(self):
        return self.stream

    def channel(self, i):
        return b"".join(self.channels[i])


def opens_return_path(folder):
    return (folder / "c0.rev").exists()


def switches(folder):
    """The source switches to postcopy."""
    return "page-requests" in json.loads((folder / "about.json").read_text())


def answers(data):
    """Postcopy's requests left out: a destination that runs no guest asks for no page. In order:
    answers from within a package may come later, as QEMU reads it in another thread."""
    return sorted((kind, value) for kind, value in messages(data) if kind not in (3, 4))


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def mapped_ram(snapshot, name, length):
    """A block's bytes from a mapped-ram file, by the layout of its header."""
    data = snapshot.read_bytes()
    at = data.index(bytes([len(name)]) + name.encode() + length.to_bytes(8, "big"))
    at += 1 + len(name) + 8
    version, page = int.from_bytes(data[at:at + 4], "big"), int.from_bytes(data[at + 4:at + 12],
                                                                           "big")
    bitmap = int.from_bytes(data[at + 12:at + 20], "big")
    pages = int.from_bytes(data[at + 20:at + 28], "big")
    check((version, page) == (1, 4096), f"mapped-ram header: version {version}, page {page}")
    ram = bytearray(length)
    for number in range(length // page):
        if data[bitmap + number // 8] >> number % 8 & 1:
            ram[number * page:(number + 1) * page] = data[pages + number * page:
                                                          pages + (number + 1) * page]
    return bytes(ram)


def method(folder):
    about = json.loads((folder / "about.json").read_text())
    return about["parameters"].get("multifd-compression", "none")


def pinned(folder, name):
    """With an explicit method: its own packets pass, others are refused by name."""
    capture = Capture(folder)
    capture.options = ["--compress", name]
    ended = run_session(capture, Way("golden", True, opens_return_path(folder), "null"))
    if name == method(folder):
        check(ended.code == 0, ended.errors)
    else:
        check(ended.code == 1, "accepted")
        check(f"method {method(folder)}, expected {name}" in ended.errors, ended.errors)


def first_payload(channel):
    """The begin and end of a channel's first packed pages."""
    at = 64
    while True:
        n, size = struct.unpack(">II", channel[at + 16:at + 24])
        at += 1344
        if n:
            return at, at + size


def payload_change(function):
    """Changes the first packed pages; their packet still says the old size."""
    def change(data):
        begin, end = first_payload(data)
        return data[:begin] + function(data[begin:end]) + data[end:]
    return channel_change(change)


def whole(folder, target, closes):
    about = json.loads((folder / "about.json").read_text())
    way = Way("golden", closes, opens_return_path(folder), target)
    with tempfile.TemporaryDirectory(prefix="ramjet-golden-") as temp:
        ended = run_session(Capture(folder), way, None, temp)
        check(ended.code == 0, ended.errors)
        made = Path(temp) / "target"
        if target == "raw":
            check(sha256(made / "ram.m") == about["ram-sha256"], "ram.m differs")
        elif target == "file":
            ram = mapped_ram(made, "m", about["ram-bytes"])
            check(hashlib.sha256(ram).hexdigest() == about["ram-sha256"], "block m differs")
        if target != "null":
            info = subprocess.run([RAMJET, "info", "--json", f"{target}:{made}"], check=False,
                                  capture_output=True, text=True)
            check(info.returncode == 0, info.stderr)
            check(len(json.loads(info.stdout)["devices"]) > 20, info.stdout)
        if opens_return_path(folder):
            want = answers((folder / "c0.rev").read_bytes())
            check(answers(ended.answer) == want, f"answers {ended.answer.hex()}")


def broken(folder, change):
    capture = Capture(folder)
    change(capture)
    capture.options = [*capture.options, "--connect-timeout", f"{CONNECT_S}s"]
    ended = run_session(capture, Way("golden", True, opens_return_path(folder), "null"))
    check(ended.code == 1, "accepted")
    lines = [line for line in ended.errors.splitlines()
             if ": not let in: " not in line and ": still " not in line]
    check(len(lines) == 1, f"says {ended.errors!r}")


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 0x81]) + data[at + 1:]


def main_change(function):
    def change(capture):
        capture.stream = function(capture.stream)
    return change


def channel_change(function):
    def change(capture):
        capture.channels[0] = [function(capture.channel(0))]
    return change


# The start of the commands' bytes: element, number, length.
DISCARD, PACKAGED = b"\x08\0\x06\0\x14\0\x01m\0", b"\x08\0\x07\0\x04"


def after(data, mark, more):
    return data.index(mark) + len(mark) + more


def all_missing(data):
    """Block m's first discarded range begins with its first page, and is longer by that."""
    at = after(data, DISCARD, 0)
    first, length = struct.unpack(">QQ", data[at:at + 16])
    return data[:at] + struct.pack(">QQ", 0, first + length) + data[at + 16:]


SWITCH_CHANGES = [
    ("with a flipped length of the package", lambda d: flip(d, after(d, PACKAGED, 3))),
    ("with a flipped first section", lambda d: flip(d, after(d, PACKAGED, 4 + 5))),
    ("without LISTEN", lambda d: d[:after(d, PACKAGED, 4)] + d[after(d, PACKAGED, 4 + 5):]),
    ("cut in the package", lambda d: d[:after(d, PACKAGED, 1000)]),
    ("cut behind the package", lambda d: d[:after(
        d, PACKAGED, 4 + int.from_bytes(d[after(d, PACKAGED, 0):after(d, PACKAGED, 4)], "big"))]),
    ("with more discarded than comes", all_missing),
]


def cases():
    for folder in FOLDERS:
        for target in ("null", "file", "raw"):
            for closes in (True, False):
                yield (f"{folder.name}: whole, {target}, {'closed' if closes else 'kept open'}",
                       lambda f=folder, t=target, c=closes: whole(f, t, c))
        size = (folder / "c0.fwd").stat().st_size
        # 400 bytes before the end is the description, or after a switch a page, which may be any.
        for at in (0, 5, 8, 12, 40, 60, size - 1, *([] if switches(folder) else [size - 400])):
            yield (f"{folder.name}: main flipped at {at}",
                   lambda f=folder, at=at: broken(f, main_change(lambda d: flip(d, at))))
        for keep in (3, 20, 300, size // 3, size // 2, size - 10000, size - 1):
            yield (f"{folder.name}: main cut at {keep}",
                   lambda f=folder, keep=keep: broken(f, main_change(lambda d: d[:keep])))
        for at in (10, 100, size // 2, size - 5):
            yield (f"{folder.name}: main longer at {at}", lambda f=folder, at=at: broken(
                f, main_change(lambda d: d[:at] + b"\x5a" + d[at:])))
        if switches(folder):
            for what, function in SWITCH_CHANGES:
                yield (f"{folder.name}: switch {what}",
                       lambda f=folder, c=function: broken(f, main_change(c)))
        if not (folder / "c1.fwd").exists():
            continue
        for at, name in CHANNEL_FLIPS:
            yield (f"{folder.name}: channel flipped at {at}, {name}",
                   lambda f=folder, at=at: broken(f, channel_change(lambda d: flip(d, at))))
        for keep in (2, 63, 70, 1500, 8000):
            yield (f"{folder.name}: channel cut at {keep}",
                   lambda f=folder, keep=keep: broken(f, channel_change(lambda d: d[:keep])))
        yield (f"{folder.name}: channel longer", lambda f=folder: broken(
            f, channel_change(lambda d: d[:64] + b"\x5a" + d[64:])))
        for name in ("none", "zlib", "zstd"):
            yield (f"{folder.name}: {name} is pinned", lambda f=folder, n=name: pinned(f, n))
        if method(folder) == "none":
            continue
        for what, function in PAYLOAD_CHANGES:
            yield (f"{folder.name}: payload {what}",
                   lambda f=folder, c=payload_change(function): broken(f, c))


def main():
    failed = n = 0

    def job(case):
        try:
            case[1]()
            return None
        except Failed as why:
            return str(why)

    todo = [case for case in without_zstd(list(cases()), lambda case: case[0])
            if all(word in case[0] for word in sys.argv[1:])]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for (label, _), why in zip(todo, pool.map(job, todo)):
            n += 1
            if why:
                failed += 1
                print(f"FAILED {label}: {why}", flush=True)
    print(f"{n} cases, {failed} failed")
    return 1 if failed or not n else 0


sys.exit(main())
