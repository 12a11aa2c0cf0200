#!/usr/bin/env python3
"""The end of a migration from `ramjet send` into a QEMU, which runs the guest when it has read the
EOF byte: main is cut, or an end is killed or stopped. What send reports is true: if the guest runs
in QEMU, send reports a failure only with the words that nobody knows.

Every point is tried; where the machine is slow only a sample, unless `--all` is given.
SWITCHOVER_SEED makes another choice."""

import os
import random
import signal
import sys
import threading
from collections import Counter, namedtuple

from lib import journey, table
from lib.qemu import Qemu
from lib.qmp import QmpError
from lib.ramjet import Ramjet
from lib.relay import Relay
from lib.table import check

Case = namedtuple("Case", "label channels")
CASES = [Case("0 channels", 0), Case("2 channels", 2)]
SLOWNESS = int(os.environ.get("TEST_SLOWNESS", 1))
EVERY = "--all" in sys.argv or SLOWNESS == 1
SEED = int(os.environ.get("SWITCHOVER_SEED", 11))

POINTS, SAMPLE = 40, 10
LAST = 1 << 20
MACHINE = "pc-q35-10.0"
JSON = b'{"configuration"'
HELLO = 64  # bytes, of a channel
LEAD = 6  # bytes after the RAM and devices up to the JSON: EOF, description, its length
SHUT = bytes.fromhex("0001000400000000")
FINAL = ("completed", "failed", "cancelled")
# Only main is cut: a QEMU 10.0 whose channels are reset as well may wait for ever.
FAULTS = ("close", "reset", "kill there", "kill here", "stop there")
NOBODY_KNOWS = "nobody knows whether the destination has everything"


class Trial:
    def __init__(self, scene, captured, source, channels, patience=()):
        self.target = Qemu(scene, f"target-{len(scene.processes)}", "10.0", **source.shape,
                           incoming="defer")
        self.target.configure(channels=channels)
        self.json_at = None  # in main's stream
        self._lock, self._over = threading.Lock(), False  # send has ended
        self.plans = []  # done when main connects
        self.relay = Relay(scene, self.target.listen(), self._plan)
        self._scene, self._channels = scene, channels
        self._words = ("send", "--channels", channels, *patience, captured, self.relay.address)

    def _plan(self, connection):
        if connection.number:
            return
        self.main = connection
        connection.up.on(JSON, self._note_json)
        for plan in self.plans:
            plan()

    def _note_json(self):
        self.json_at = self.main.up.count - len(JSON)

    def begin(self):
        self.sender = Ramjet(self._scene, *self._words)

    def fault(self, kind):
        return {
            "close": lambda: self.main.cut(), "reset": lambda: self.main.reset(),
            "kill there": lambda: self.target.send_signal(signal.SIGKILL),
            "kill here": lambda: self.sender.send_signal(signal.SIGKILL),
            "stop there": self._stop_target,
        }[kind]

    def _stop_target(self):
        """Stops QEMU, unless send has ended already: then QEMU must still report on its guest."""
        with self._lock:
            if not self._over:
                self.target.send_signal(signal.SIGSTOP)

    def _is_there(self):
        """Whether all channels have reached QEMU; it waits for those that have not."""
        with self.relay.lock:
            return [c.up.count >= HELLO for c in self.relay.connections] == [True] * (
                1 + self._channels)

    def runs(self):
        """Whether the guest runs in QEMU, after QEMU has decided."""
        try:
            if not self._is_there():
                return self.target.qmp("query_status")["running"]
            _, data = self.target.qmp.event(lambda _, data: data.get("status") in FINAL)
            if data["status"] != "completed":
                return False
            running = self.target.qmp("query_status")["running"]
        except (QmpError, OSError):
            return False
        check(running, "completed, and QEMU does not run it")
        return running

    def judge(self, kind):
        """Returns (what send reports, whether QEMU runs the guest)."""
        code = self.sender.wait()
        with self._lock:
            self._over = True
        if kind == "stop there":
            self.target.send_signal(signal.SIGCONT)
        runs = self.runs()
        says = "completed" if code == 0 else "killed" if code < 0 else \
            "nobody knows" if NOBODY_KNOWS in self.sender.errors else "failed"
        check(not (runs and says == "failed"), f"it runs, and send says {self.sender.errors}")
        check(runs or says != "completed" or kind == "kill there", "completed, and it does not run")
        if runs:
            self.target.passes(2)
        self.target.end()
        self.relay.close()
        return says, "runs" if runs else "does not run"


def lengths(scene, captured, source, channels):
    """Lengths of main's stream, and of its part before the EOF byte: the same each time."""
    trial = Trial(scene, captured, source, channels)
    trial.begin()
    check(trial.judge(None) == ("completed", "runs"), "without a fault it does not arrive")
    check(trial.json_at is not None, "there is no description")
    return trial.main.up.count, trial.json_at - LEAD


def moments(length, eof):
    """(byte of main, fault): in the last megabyte, and every byte near the decision. A SHUT follows
    a whole stream: there the byte counts the way back."""
    spread = [length - LAST + LAST * i // POINTS for i in range(POINTS)]
    if length < LAST:
        spread = [length * (i + 1) // (POINTS + 1) for i in range(POINTS)]
    close = [eof, eof + 1, eof + 2, eof + LEAD, (eof + length) // 2, length - 1, length]
    found = [("up", at, kind) for at in spread for kind in FAULTS[:2]]
    special = [("up", at, kind) for at in close for kind in FAULTS]
    special += [("SHUT", n, kind) for n in (4, len(SHUT)) for kind in FAULTS]
    if EVERY:
        return found + special
    chance = random.Random(SEED)
    return chance.sample(found, SAMPLE) + [
        ("up", at, chance.choice(FAULTS)) for at in close] + [
        ("SHUT", n, chance.choice(FAULTS)) for n in (4, len(SHUT))]


def run(scene, case):
    source = Qemu(scene, "source", "10.0", machine=MACHINE)
    source.configure(channels=2)
    captured = f"file:{scene.folder}/capture"
    journey.capture(scene, source, captured)
    patience = ("--answer-timeout", f"{2 * SLOWNESS}s", "--stall-timeout", f"{2 * SLOWNESS}s")
    seen = Counter()
    for moment in moments(*lengths(scene, captured, source, case.channels)):
        where, at, kind = moment
        trial = Trial(scene, captured, source, case.channels, patience)
        act = trial.fault(kind)
        if where == "up":
            trial.plans.append(lambda trial=trial, act=act, at=at: trial.main.up.at(at, act))
        else:
            trial.plans.append(lambda trial=trial, act=act, at=at: trial.main.down.on(SHUT[:at], act))
        trial.begin()
        try:
            seen[trial.judge(kind)] += 1
        except Exception:
            print(f"seed {SEED}, trial {moment}", flush=True)
            raise
    print("        " + ", ".join(f"{n} × send: {a}, QEMU {b}" for (a, b), n in sorted(seen.items())),
          flush=True)


if __name__ == "__main__":
    sys.argv = [word for word in sys.argv if word != "--all"]
    sys.exit(table.main(CASES, run, 1200 if EVERY else 240))
