#!/usr/bin/env python3
"""The end of a migration between two `ramjet vm`, whose guests keep a ledger of their memory: the
path is cut, or an end is killed or stopped, at any byte and any moment. Two guests never run at
once, what each end reports is true, and a guest that runs at no end runs on after `cont`.

One guest goes through all trials of a case. Every point and moment is tried; where the machine or
the build is slow only a sample, unless `--all` is given. SWITCHOVER_SEED chooses other moments."""

import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections import Counter, namedtuple

from lib import table
from lib.monitor import Closed, Monitor
from lib.relay import Relay
from lib.runner import FAST, Vm, dirtier
from lib.table import check

Case = namedtuple("Case", "label run")
CASES = []
SLOWNESS = int(os.environ.get("TEST_SLOWNESS", 1))
EVERY = "--all" in sys.argv or SLOWNESS == 1
SEED = int(os.environ.get("SWITCHOVER_SEED", 11))

POINTS, MOMENTS = 40, 60
SAMPLE = 16  # of points or moments, unless all are requested
LAST = 1 << 20  # bytes: the points are in these
DEVICES = 512   # bytes: with channels, the switch-over has more than these on main
SHAPE = {"memory": "8M", "cpus": 1}
GUEST = "dirtier,rate=400M"  # after the pause, more than the last megabyte is still to be sent
END = ("completed", "failed", "cancelled")

# How both ends may end: (source, destination).
RUNS, HELD, DONE, NOTHING, DEAD = "runs", "held", "done", "nothing", "dead"


def case(label, *arguments):
    """Adds the next function to the table, once for these arguments."""
    def add(function):
        CASES.append(Case(label, lambda scene: function(scene, *arguments)))
        return function
    return add


# --- messages, and their directions ----------------------------------------------------------------

Message = namedtuple("Message", "direction words part")
MESSAGES = {
    "offer": Message("up", bytes.fromhex("524a0001"), 2),
    "PONG": Message("down", bytes.fromhex("00020004524a8001"), 5),
    "READY": Message("down", bytes.fromhex("00400000"), 2),
    "RUN": Message("up", bytes.fromhex("0800400000"), 3),
    "SHUT": Message("down", bytes.fromhex("0001000400000000"), 4),
    "DROP": Message("up", bytes.fromhex("0800410000"), 3),
}
EARLY = ("offer", "PONG")  # the others come after the pause


# --- both ends -------------------------------------------------------------------------------------

class Dead(Exception):
    """An end does not answer: it was killed."""


def asked(vm, command):
    try:
        return vm.qmp(command)
    except (Closed, OSError) as gone:
        raise Dead from gone


def wait_for_end(vm):
    """Waits until its migration, or the program, has ended."""
    try:
        if vm.qmp("query-migrate").get("status") not in END:
            vm.qmp.status(*END)
    except (Closed, OSError):
        pass


def source_says(source):
    """How it ended; and its statements agree with each other."""
    try:
        status, state = asked(source, "query-migrate"), asked(source, "query-status")
    except Dead:
        return DEAD
    why = status.get("error-desc", "")
    if status["status"] == "completed":
        check(state == {"status": "postmigrate", "running": False}, f"the source is {state}")
        return DONE
    if state["running"]:
        check("it may run at the destination" not in why, f"it runs, and says {why}")
        return RUNS
    check(state["status"] == "postmigrate", f"the source is {state}: {status}")
    check(status["status"] == "failed" and "stays stopped here until 'cont'" in why
          and "it may run at the destination" in why, f"it is held, and says {status}")
    return HELD


def target_says(target):
    try:
        status, state = asked(target, "query-migrate"), asked(target, "query-status")
    except Dead:
        return DEAD
    if status["status"] == "completed":
        check(state["running"], f"completed, and the destination is {state}")
        return RUNS
    check(not state["running"] and status["status"] in ("failed", "cancelled"), f"{status} {state}")
    if state["status"] == "inmigrate":
        return NOTHING
    why = status.get("error-desc", "")
    check(state["status"] == "postmigrate" and "lost before it confirmed" in why
          and "the source may have gone on" in why, f"it is {state}, and says {status}")
    return HELD


# Results that can be true of both ends at once. A source that runs again is right; one that stays
# paused may be too careful, where the destination's last word was lost.
TRUE = {
    (DONE, RUNS),
    (RUNS, NOTHING), (RUNS, HELD), (RUNS, DEAD),
    (HELD, RUNS), (HELD, HELD), (HELD, NOTHING), (HELD, DEAD),
    (DEAD, RUNS), (DEAD, HELD), (DEAD, NOTHING),
    (DONE, DEAD),  # the guest ran there, and the VM was killed afterwards
}


def went_on(vm):
    """The guest verifies all of its memory once more."""
    vm.parameters(**FAST)
    vm.swept(vm.guest()["sweeps"] + 1)


def leave(vm):
    """The VM has no guest, or one that is not needed any more."""
    vm.qmp.close()
    vm.end()


class Trial:
    """A migration through a relay, up to the pause before the switch-over."""

    def __init__(self, scene, source, channels, *patience):
        self.source, self.channels = source, channels
        self.driver = Monitor(source.address)
        self.target = Vm(scene, "--accel", "synth", *patience, **SHAPE)
        for vm in (source, self.target):
            vm.set(multifd=channels > 0, pause_before_switchover=True)
            vm.parameters(multifd_channels=channels or 2, **FAST)
            vm.qmp.forget()
        self._asks = []
        self.relay = Relay(scene, self.target.listen(exit_on_error=False), self._plan)
        self.passed = None  # the message that was seen
        self.struck = self.too_late = False  # for a signal; under the relay's lock
        self._due = set(EARLY) | {"READY"}  # what may come now: pages may contain any bytes

    def _plan(self, connection):
        if connection.number == 0:
            self.main = connection
            connection.down.on(MESSAGES["READY"].words, lambda: self._due.update(("RUN", "SHUT")))
            for words, direction, act in self._asks:
                getattr(connection, direction).on(words, act)

    def at_message(self, name, whole, act):
        """Call it before begin(): acts when the message, or a part of it, was forwarded."""
        message = MESSAGES[name]

        def once():
            if self.passed is None and name in self._due:
                self.passed = name
                act()
        words = message.words if whole else message.words[:message.part]
        self._asks.append((words, message.direction, once))

    def begin(self):
        """Returns False if it ended before the pause."""
        self.source.qmp("migrate", uri=self.relay.address)
        return self.source.qmp.status("pre-switchover", *END) == "pre-switchover"

    def at_point(self, point, act):
        """Acts at a point of the bytes that main still has to forward: 0 is soon,
        POINTS near the end."""
        length = DEVICES if self.channels else self.source.qmp("query-migrate")["remaining"]
        last = min(length, LAST)
        self.main.up.at(self.main.up.count + length - last + max(1, last * point // POINTS),
                        act)

    def is_struck(self):
        """Whether the signal was in time, when one end is over; if not, it never will be."""
        with self.relay.lock:
            self.too_late = True
            return self.struck

    def go_on(self):
        """Sends migrate-continue without waiting for the answer: that end may be cut, killed
        or stopped by then."""
        with contextlib.suppress(OSError):
            self.driver.send(b'{"execute": "migrate-continue", "arguments": '
                             b'{"state": "pre-switchover"}}\n')

    def drop(self):
        """The destination's READY does not come, and the source's user cancels."""
        asked = threading.Event()

        def hold():
            self.main.down.stall()
            asked.set()
        self.main.down.on(MESSAGES["READY"].words[:2], hold)
        self.go_on()
        asked.wait()
        self._due.add("DROP")
        self.source.qmp("migrate_cancel")

    def judge(self, *wanted):
        """When both have ended: never two guests, and both statements are true. Returns
        (source, destination)."""
        wait_for_end(self.source)
        wait_for_end(self.target)
        found = source_says(self.source), target_says(self.target)
        check(found in TRUE, f"source {found[0]}, destination {found[1]}")
        check(not wanted or found in wanted, f"source and destination: {found}, want one of {wanted}")
        return found

    def settle(self, found, chance):
        """The guest runs on where it is; with `cont` where no end knows. Returns the VM
        that has it, or None."""
        source, target = self.source, self.target
        runs = source if found[0] == RUNS else target if found[1] == RUNS else None
        if not runs:
            held = [vm for vm, says in zip((source, target), found) if says == HELD]
            # If the destination ran the guest and was killed, the paused source has
            # the older state.
            runs = chance.choice(held) if held else None
            if runs:
                runs.qmp("cont")
        if runs:
            went_on(runs)
        for vm in {source, target} - {runs}:
            leave(vm)
        self.driver.close()
        self.relay.close()
        return runs


def journey(scene, moments, channels, run, patience=()):
    """Calls run(trial, moment) for each; it returns how both ends may end, or None. Prints how
    often each end came."""
    chance = random.Random(SEED)
    here, seen = None, Counter()
    for moment in moments:
        if here is None:
            here = dirtier(scene, "--accel", "synth", *patience, guest=GUEST, **SHAPE)
        trial = Trial(scene, here, channels, *patience)
        try:
            wanted = run(trial, moment, chance)
            found = trial.judge(*(wanted or ()))
            seen[found] += 1
            here = trial.settle(found, chance)
        except Exception:
            print(f"{channels} channels, seed {SEED}, trial {moment}", flush=True)
            raise
    print("        " + ", ".join(f"{n} × source {a}, destination {b}"
                                 for (a, b), n in sorted(seen.items())), flush=True)


# --- the path is cut -------------------------------------------------------------------------------

def cuts(trial):
    """Ways to cut main alone, or all connections; by a close or a reset."""
    return {"close": lambda: trial.main.cut(), "reset": lambda: trial.main.reset(),
            "close all": trial.relay.cut, "reset all": trial.relay.reset}


KINDS = ("close", "reset", "close all", "reset all")


def sample(everything, n=SAMPLE):
    everything = list(everything)
    return everything if EVERY else random.Random(SEED).sample(everything, min(n, len(everything)))


def in_stream(trial, moment, _chance):
    """Cuts at a point of the last megabyte; with channels, of the last bytes of main."""
    point, kind = moment
    check(trial.begin(), "it has ended before the pause")
    trial.at_point(point, cuts(trial)[kind])
    trial.go_on()
    return [(RUNS, NOTHING)]


for _channels in (0, 2):
    @case(f"cut in the stream, {_channels} channels", _channels)
    def cut_in_stream(scene, channels):
        moments = [(point, kind) for point in range(POINTS) for kind in KINDS[:2 if channels == 0 else 4]]
        journey(scene, sample(moments), channels, in_stream)


# The message, whether all of it passes, and how both ends may end then.
HANDSHAKE = [
    ("offer", False, [(RUNS, NOTHING)]),
    ("offer", True, [(RUNS, NOTHING)]),
    ("PONG", False, [(RUNS, NOTHING)]),
    ("PONG", True, [(RUNS, NOTHING)]),
    ("READY", False, [(RUNS, HELD)]),
    ("READY", True, [(RUNS, HELD), (HELD, HELD)]),  # RUN may be written before the cut is noticed
    ("RUN", False, [(HELD, HELD)]),
    ("RUN", True, [(HELD, RUNS)]),
    ("SHUT", False, [(HELD, RUNS)]),
    ("SHUT", True, [(DONE, RUNS)]),
    ("DROP", False, [(RUNS, HELD)]),
    ("DROP", True, [(RUNS, NOTHING)]),
]


def in_handshake(trial, moment, _chance):
    name, whole, wanted, kind = moment
    trial.at_message(name, whole, lambda: cuts(trial)[kind]())
    if trial.begin():
        if name == "DROP":
            trial.drop()
        else:
            trial.go_on()
    else:
        check(name in EARLY, "it has ended before the pause")
    return wanted


for _channels in (0, 2):
    @case(f"cut in the handshake, {_channels} channels", _channels)
    def cut_in_handshake(scene, channels):
        moments = [(*row, kind) for row in HANDSHAKE for kind in KINDS]
        if not EVERY:  # each message once
            chance = random.Random(SEED)
            moments = [chance.choice([m for m in moments if m[:2] == row[:2]]) for row in HANDSHAKE]
        journey(scene, moments, channels, in_handshake)


# --- silence, an end that is killed or stopped -----------------------------------------------------

# For an end that waits for a stopped one. On a very busy machine the source may give up earlier;
# that result is true as well.
PATIENCE = ("--answer-timeout", f"{SLOWNESS}s", "--stall-timeout", f"{SLOWNESS}s")
IMPATIENT = [(RUNS, NOTHING), (RUNS, HELD)]


def in_silence(trial, moment, _chance):
    name, wanted = moment
    trial.at_message(name, False, lambda: trial.main.swallow())
    if trial.begin():
        trial.go_on()
    return [wanted, *IMPATIENT]


for _channels in (0, 2):
    @case(f"a message is swallowed, and all that follows, {_channels} channels", _channels)
    def swallowed(scene, channels):
        moments = [("READY", (RUNS, HELD)), ("RUN", (HELD, HELD)), ("SHUT", (HELD, RUNS))]
        journey(scene, moments, channels, in_silence, PATIENCE)


Moment = namedtuple("Moment", "victim kind where")  # kind: "byte", "message" or "ms"


def moments_of(seed):
    chance = random.Random(seed)
    kinds = {
        "byte": lambda: chance.randrange(POINTS),
        "message": lambda: (chance.choice(("READY", "RUN", "SHUT")), chance.random() < 0.5),
        "ms": lambda: round(chance.uniform(0, 20), 2),
    }
    for number in range(MOMENTS):
        kind = chance.choice(sorted(kinds))
        yield Moment(("source", "target")[number % 2], kind, kinds[kind]())


def strike(trial, moment, number):
    """Sends the signal at that moment; returns its target. Everything may be over before that."""
    victim = getattr(trial, moment.victim)

    def act():
        with trial.relay.lock:
            if not trial.struck and not trial.too_late:
                victim.send_signal(number)
                trial.struck = True
    if moment.kind == "message":
        trial.at_message(*moment.where, act)
    if not trial.begin():
        return victim
    if moment.kind == "byte":
        trial.at_point(moment.where, act)
    trial.go_on()
    if moment.kind == "ms":
        time.sleep(moment.where / 1000)
        act()
    return victim


def in_death(trial, moment, _chance):
    victim = strike(trial, moment, signal.SIGKILL)
    wait_for_end(trial.target if victim is trial.source else trial.source)
    if trial.is_struck():
        victim.wait(60)


def in_sleep(trial, moment, _chance):
    """The stopped end continues after the other one has decided, or waited for long: a destination
    may wait for the next packet as long as its connection is open."""
    victim = strike(trial, moment, signal.SIGSTOP)
    other = trial.target if victim is trial.source else trial.source
    end = time.monotonic() + 3 * SLOWNESS
    while other.qmp("query-migrate").get("status") not in END and time.monotonic() < end:
        time.sleep(0.02)
    if trial.is_struck():
        victim.send_signal(signal.SIGCONT)


for _channels in (0, 2):
    @case(f"kill -9, {_channels} channels", _channels)
    def killed(scene, channels):
        journey(scene, sample(moments_of(SEED)), channels, in_death)

    @case(f"SIGSTOP and SIGCONT, {_channels} channels", _channels)
    def stopped(scene, channels):
        journey(scene, sample(moments_of(SEED + 1)), channels, in_sleep, PATIENCE)


if __name__ == "__main__":
    sys.argv = [word for word in sys.argv if word != "--all"]
    sys.exit(table.main(CASES, lambda scene, case: case.run(scene), 600 if EVERY else 120))
