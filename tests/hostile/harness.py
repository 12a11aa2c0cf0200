"""Runs `ramjet recv` against one Session after the other, and checks how it ends.

Every row of a table runs in several ways: both flush styles, with and without a return path, the
peer closing at the end or keeping its connections open, into null:, file: and raw:.
"""

import concurrent.futures
import contextlib
import json
import os
import re
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

from wire import Session

RAMJET = os.environ.get("RAMJET") or str(
    Path(__file__).parents[2] / "build" / "release" / "tools" / "ramjet")
SLOWNESS = float(os.environ.get("TEST_SLOWNESS") or 1)
CONNECT_S = 3 * SLOWNESS  # the wait in rows whose fault shows when the time to connect ends
STALL_S = 4 * SLOWNESS    # the wait in rows whose fault shows by silence only
SOON_S = 60 * SLOWNESS    # "at once", also on a busy machine
STUCK_S = 600            # a hang, also on a busy machine


class Skip(Exception):
    """This machine cannot run the case; the text says why."""


def run_cases(cases):
    """Runs (label, function) pairs one after the other: those whose label contains a word of the
    command line. Prints how each ended; returns the exit code."""
    words = sys.argv[1:]
    chosen = [case for case in cases if not words or any(word in case[0] for word in words)]
    failed = 0
    for label, function in chosen:
        begin, result = time.monotonic(), "ok"
        try:
            function()
        except Skip as why:
            print(f"skipped: {label}: {why}", flush=True)
            continue
        except Exception as why:  # the other cases still run
            failed += 1
            result = f"FAILED: {type(why).__name__}: {why}"
        print(f"{label}: {time.monotonic() - begin:.1f} s: {result}", flush=True)
    print(f"{len(chosen)} cases, {failed} failed")
    return 1 if failed or not chosen else 0


@dataclass(frozen=True)
class Row:
    label: str
    change: Callable = lambda s: None  # changes the Session
    says: tuple = ()                   # regular expressions for the one line; () = accepted
    styles: tuple = ("word", "section")
    early: bool = False                # noticed before a return path could be opened
    opened: bool = False               # needs a return path
    kept: bool = True                  # also noticed while the peer keeps its connections open
    closed: bool = True                # also if the peer closes at the end
    channels: int = 2
    hang_up: Optional[int] = None      # closes this channel as soon as its bytes are sent


@dataclass(frozen=True)
class Way:
    style: str
    closes: bool
    return_path: bool
    target: str = "null"

    def __str__(self):
        return (f"{self.style}, {'closed' if self.closes else 'kept open'}"
                f"{', return path' if self.return_path else ''}, {self.target}")


def ways(row):
    """All ways for null:, and one each for the targets that make files."""
    for style in row.styles:
        for closes in [way for way in (True, False) if (row.closed if way else row.kept)]:
            for return_path in [True] if row.opened else [False] if row.early else [False, True]:
                yield Way(style, closes, return_path)
    for target in ("file", "raw"):
        yield Way(row.styles[0], row.closed, row.opened, target)


class Failed(Exception):
    pass


def check(holds, text):
    if not holds:
        raise Failed(text)


def connect(address):
    _, host, port = address.split(":")
    s = socket.create_connection((host, int(port)), timeout=STUCK_S)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def send(s, data):
    try:
        s.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it closed on purpose


def few_descriptors():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 128), hard))


class Receiver:
    """One `ramjet recv null:`, which ends with the block."""

    def __init__(self, *options, target="null:"):
        self._child = subprocess.Popen(
            [RAMJET, "recv", *options, "tcp:127.0.0.1:0", target], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=few_descriptors)
        line = self._child.stdout.readline().strip()
        check(line.startswith("listening "), f"first line {line!r}")
        self.address = line.removeprefix("listening ")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._child.poll() is None:
            self._child.kill()
        self._child.communicate()

    def running(self):
        return self._child.poll() is None

    def _end(self):
        try:
            _, errors = self._child.communicate(timeout=SOON_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"still waits after {SOON_S} s") from None
        return self._child.returncode, errors.strip()

    def completes(self):
        code, errors = self._end()
        check(code == 0, f"refused: {errors}")

    def ends(self, *words):
        """It completes, or fails with these words: the timing decides which."""
        code, errors = self._end()
        check(code == 0 or (code == 1 and all(word in errors for word in words)),
              f"exit code {code}: {errors}")

    def fails(self, *words):
        code, errors = self._end()
        check(code == 1, f"exit code {code}: {errors}")
        for word in words:
            check(word in errors, f"no {word!r} in: {errors}")


class Connections:
    """Sockets that close with the block. `wrap` is applied to each after it has connected."""

    def __init__(self, wrap=lambda s: s):
        self._all = contextlib.ExitStack()
        self._wrap = wrap

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._all.close()

    def open(self, address, data=b""):
        s = self._all.enter_context(self._wrap(connect(address)))
        send(s, data)
        return s


def read_rest(s, deadline):
    """What the peer wrote, up to its end or the deadline."""
    data = b""
    while True:
        s.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            piece = s.recv(65536)
        except (ConnectionResetError, TimeoutError):
            return data
        if not piece:
            return data
        data += piece


def messages(data):
    """[(type, value), …] of a return path."""
    found = []
    while len(data) >= 4:
        kind, length = struct.unpack(">HH", data[:4])
        check(len(data) >= 4 + length, f"return path: cut message {data.hex()}")
        found.append((kind, int.from_bytes(data[4:4 + length], "big")))
        data = data[4 + length:]
    check(not data, f"return path: {data.hex()} after the last message")
    return found


@dataclass
class Ended:
    code: int
    seconds: float
    errors: str
    output: str
    answer: bytes
    files: list = field(default_factory=list)


def run_session(session, way, hang_up=None, folder=None):
    """One migration into a new `ramjet recv`."""
    folder = Path(folder or ".")
    target = "null:" if way.target == "null" else f"{way.target}:{folder / 'target'}"
    receiver = subprocess.Popen(
        [RAMJET, "recv", "--stall-timeout", f"{STALL_S}s", *session.options, "tcp:127.0.0.1:0",
         target],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    sockets = []
    try:
        line = receiver.stdout.readline().strip()
        check(line.startswith("listening "), f"first line {line!r}")
        address = line.removeprefix("listening ")
        # As a source does: it connects main, then all channels, sends their hellos, then
        # main's first byte.
        sockets = [connect(address) for _ in range(1 + len(session.channels))]
        for i in range(len(session.channels)):
            send(sockets[i + 1], session.channel(i))
            if hang_up == i:
                sockets[i + 1].close()
        send(sockets[0], session.main())
        complete = time.monotonic()
        if way.closes:
            for s in sockets[1:]:
                s.close()
            try:
                sockets[0].shutdown(socket.SHUT_WR)
            except OSError:
                pass
        answer = read_rest(sockets[0], complete + STUCK_S)
        try:
            receiver.wait(max(0.1, complete + STUCK_S - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise Failed(f"hangs for {STUCK_S} s") from None
        seconds = time.monotonic() - complete
        return Ended(receiver.returncode, seconds, receiver.stderr.read(), receiver.stdout.read(),
                     answer)
    finally:
        for s in sockets:
            s.close()
        if receiver.poll() is None:
            receiver.kill()
            receiver.wait()
        receiver.stdout.close()
        receiver.stderr.close()


def judge(row, way, ended, folder):
    lines = [line for line in ended.errors.strip().splitlines() if ": not let in: " not in line and ": still " not in line]
    check("Sanitizer" not in ended.errors, ended.errors)
    check(ended.code in (0, 1), f"exit code {ended.code}: {ended.errors}")
    if row.says:
        check(ended.code == 1, f"accepted: {ended.output}")
        check(len(lines) == 1, f"{len(lines)} lines of error: {ended.errors!r}")
        for part in row.says:
            check(re.search(part, lines[0]), f"no {part!r} in: {lines[0]}")
        check(not ended.output.strip(), f"standard output: {ended.output!r}")
    else:
        check(ended.code == 0, f"refused: {ended.errors}")
        check(not lines, f"complains: {ended.errors}")
    if way.return_path:
        found = messages(ended.answer)
        check(row.says or found[0] == (2, 1), f"answers {found}")
        shut = [value for kind, value in found if kind == 1]
        check(len(shut) == 1 and found[-1][0] == 1, f"answers {found}, want one SHUT at the end")
        check((shut[0] != 0) == bool(row.says), f"SHUT {shut[0]}")
    else:
        check(not ended.answer, f"writes {ended.answer.hex()} without a return path")
    left = sorted(os.listdir(folder))
    want = [] if row.says or way.target == "null" else ["target"]
    check(left == want, f"leaves {left}")


def run_way(row, way):
    session = Session(way.style, row.channels)
    if way.return_path:
        session.open_return_path()
    row.change(session)
    with tempfile.TemporaryDirectory(prefix="ramjet-hostile-") as folder:
        ended = run_session(session, way, row.hang_up, folder)
        judge(row, way, ended, folder)
        return ended


def probed(what):
    """What `ramjet probe` answers to a question; "no: " and the reason where it cannot be."""
    done = subprocess.run([RAMJET, "probe", "--json"], capture_output=True, timeout=STUCK_S,
                          check=True)
    answers = json.loads(done.stdout)
    answer = answers.get(what, False)
    return answer if answer else f"no: {answers['reasons'].get(what, 'unknown')}"


def without_zstd(named, text):
    """Those of `named` that do not speak of zstd, where this build lacks it; else all of them.
    text(x) is what tells that."""
    answer = probed("compress-zstd")
    left = [x for x in named if not str(answer).startswith("no") or "zstd" not in text(x)]
    if len(left) < len(named):
        print(f"skipped: {len(named) - len(left)} of {len(named)}: zstd: {answer}")
    return left


def main(rows, words=()):
    """Runs the rows whose label contains one of `words`; prints failures. Returns the exit code."""
    rows = without_zstd(rows, lambda row: f"{row.label} {row.says}")
    jobs = [(row, way) for row in rows for way in ways(row)
            if not words or any(word in row.label for word in words)]
    failed = 0
    slowest = 0.0

    def job(row, way):
        try:
            return run_way(row, way), None
        except Failed as why:
            return None, str(why)
        except OSError as why:
            return None, f"{type(why).__name__}: {why}"

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for (row, way), (ended, why) in zip(jobs, pool.map(lambda j: job(*j), jobs)):
            if why:
                failed += 1
                print(f"FAILED {row.label} ({way}): {why}", flush=True)
            else:
                slowest = max(slowest, ended.seconds)
                if words:
                    print(f"ok {row.label} ({way}): {ended.seconds:.2f} s {ended.errors.strip()}")
    print(f"{len(rows)} rows in {len(jobs)} ways: {failed} failed; the slowest good one took "
          f"{slowest:.2f} s")
    return 1 if failed or not jobs else 0


def run(rows):
    sys.exit(main(rows, sys.argv[1:]))
