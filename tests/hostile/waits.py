#!/usr/bin/env python3
"""What a receiver waits for, how long, and what ends it early: a row of the table of waits in
docs/architecture.md for each case. No case decides by a short time: what must end at once is given limits
of minutes, and what must end by a limit is only asked for the words."""

import contextlib
import subprocess
import sys
import time

from harness import Failed, RAMJET, SLOWNESS, check, connect, send
from wire import Session

LONG = "600s"  # a limit that nobody waits for
SOON_S = 60 * SLOWNESS  # "at once", however busy the machine is


class Receiver:
    """One `ramjet recv null:`, which is ended with the block."""

    def __init__(self, *options, target="null:"):
        self._child = subprocess.Popen(
            [RAMJET, "recv", *options, "tcp:127.0.0.1:0", target], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
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

    def fails(self, *words):
        code, errors = self._end()
        check(code == 1, f"exit code {code}: {errors}")
        for word in words:
            check(word in errors, f"no {word!r} in: {errors}")


class Connections:
    """Sockets that close with the block."""

    def __init__(self):
        self._all = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._all.close()

    def open(self, address, data=b""):
        s = self._all.enter_context(connect(address))
        send(s, data)
        return s


def channels_far_apart():
    """A proxy on this host brings main at once, and each of 8 channels 0.3 s after the other."""
    session = Session(channels=8)
    with Receiver("--channels", "8") as receiver, Connections() as peer:
        main = peer.open(receiver.address, session.main())
        for i in range(8):
            time.sleep(0.3)
            peer.open(receiver.address, session.channel(i))
        receiver.completes()
        main.close()


CASES = [
    channels_far_apart,
]


def main(words):
    failed = 0
    for case in CASES:
        if words and not any(word in case.__name__ for word in words):
            continue
        begin = time.monotonic()
        try:
            case()
            result = "ok"
        except (Failed, OSError) as why:
            failed += 1
            result = f"FAILED: {why}"
        print(f"{case.__name__}: {time.monotonic() - begin:.1f} s: {result}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
