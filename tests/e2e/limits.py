#!/usr/bin/env python3
"""A migration whose rounds do not shrink is told, with what would help; and limits of time and of
rounds end it as the user has chosen, with totals and exit code 3 where it is cancelled."""

import sys
from collections import namedtuple

from lib import table
from lib.monitor import Monitor
from lib.ramjet import NOT_SHRINKING, Ramjet, recv
from lib.runner import Vm
from lib.scene import Process, until
from lib.table import check

Case = namedtuple("Case", "label run")
CASES = []
CANCELLED = 3
NEVER = ("--max-bandwidth", "8M", "synth:8M,dirty=40M")  # about a second each round


def case(label):
    def add(run):
        CASES.append(Case(label, run))
        return run
    return add


def send(scene, *words):
    receiver, address = recv(scene, "null:")
    return Ramjet(scene, "send", *words, *NEVER, address), receiver


def told(run):
    lines = [line for line in run.errors.splitlines() if NOT_SHRINKING in line]
    check(len(lines) == 1, f"{run.name}: want one line about rounds: {run.errors}")
    for word in ("the guest writes ", "are moved", "the limit is 300 ms",
                 "--set auto-converge=on or dirty-limit=on", "--compress",
                 "a higher --max-bandwidth", "--downtime-limit "):
        check(word in lines[0], f"no {word!r} in: {lines[0]}")


@case("send: told, and cancelled after some time")
def too_long(scene):
    sender, receiver = send(scene, "--timeout", "8s")
    sender.failed("cancelled: it took too long (--timeout)", seconds=30, code=CANCELLED)
    told(sender)
    report = sender.output.decode()
    for word in ("send: cancelled: 8 MiB of RAM in ", "rounds: ", NOT_SHRINKING):
        check(word in report, f"no {word!r} in: {report}")
    check(receiver.wait(20) == 1, f"{receiver.errors}")


@case("send: cancelled after some rounds")
def too_many(scene):
    sender, receiver = send(scene, "--max-rounds", 2, "--json")
    code = sender.wait(30)
    check(code == CANCELLED, f"exit code {code}: {sender.errors}")
    check("the rounds are over (--max-rounds)" in sender.errors, sender.errors)
    found = sender.result()
    check(found["status"] == "cancelled" and found["ram"]["dirty-sync-count"] == 3, f"{found}")
    check(found["ram"]["transferred"] > 8 << 20, f"{found}")
    check(receiver.wait(20) == 1, f"{receiver.errors}")


@case("send: the downtime limit that was told is enough")
def enough(scene):
    sender, receiver = send(scene, "--timeout", "8s", "--json")
    check(sender.wait(30) == CANCELLED, sender.errors)
    receiver.wait(20)
    advice = sender.result()["advice"]
    check(advice["helps"] == ["auto-converge", "multifd-compression", "max-bandwidth",
                              "downtime-limit"], f"{advice}")
    check(advice["moved-bytes-per-second"] > 4 << 20, f"{advice}")
    sender, receiver = send(scene, "--downtime-limit", f"{advice['enough-downtime-limit']}ms")
    sender.done(60)
    receiver.done()


def switches(*words, rounds=None):
    def run(scene):
        sender, receiver = send(scene, "--at-limit", "switch", "--json", *words)
        found = sender.done(60)
        receiver.done()
        check(found["status"] == "completed" and found["downtime"] > 300, f"{found}")
        check(rounds in (None, found["ram"]["dirty-sync-count"]), f"{found['ram']}")
    return run


case("send: switches after some time")(switches("--timeout", "4s"))
case("send: switches after one round")(switches("--max-rounds", 1, rounds=2))
case("send: switches after three rounds")(switches("--max-rounds", 3, rounds=4))


def pair(scene):
    synth = ("--accel", "synth")
    source = Vm(scene, *synth, guest="dirtier,rate=100M", memory="16M", cpus=1)
    target = Vm(scene, *synth, memory="16M", cpus=1)
    until(lambda: source.guest()["pages-written"] > 2000, "the guest to have written")
    return source, target


def migrate(scene, source, target, *words):
    return Ramjet(scene, "migrate", "--max-bandwidth", "8M", *words, source.address,
                  target.address)


@case("migrate: told by both, and cancelled")
def driven(scene):
    source, target = pair(scene)
    run = migrate(scene, source, target, "--timeout", "15s", "--json")
    until(lambda: "x-advice" in source.qmp("query-migrate"), "the monitor to tell", 40)
    run.failed("cancelled: it took too long (--timeout)", "running at from", seconds=40,
               code=CANCELLED)
    told(run)
    advice = run.result()["advice"]
    check("downtime-limit" in advice["helps"], f"{advice}")
    lines = [line for line in source.errors.splitlines() if NOT_SHRINKING in line]
    check(len(lines) == 1 and "auto-converge or dirty-limit" in lines[0], source.errors)


@case("migrate: cancelled at the monitor, with totals")
def by_another(scene):
    source, target = pair(scene)
    run = migrate(scene, source, target)
    until(lambda: source.qmp("query-migrate").get("ram", {}).get("transferred", 0) > 1 << 20,
          "the migration to be under way")
    other = Monitor(source.address)
    other("migrate_cancel")
    run.failed("cancelled by another user", code=CANCELLED, seconds=20)
    check("migrate: cancelled: " in run.output.decode(), f"{run.output}")


@case("migrate: switches after some rounds")
def driven_switch(scene):
    source, target = pair(scene)
    found = migrate(scene, source, target, "--max-rounds", 2, "--at-limit", "switch",
                    "--json").done(60)
    check(found["status"] == "completed" and found["downtime"] > 300, f"{found}")


@case("README's example ends by itself, beside eight busy processes")
def busy(scene):
    for _ in range(8):
        Process(scene, "busy", [sys.executable, "-c", "while True: pass"])
    receiver, address = recv(scene, f"file:{scene.folder}/memory.snap", "--digest", "--json")
    sender = Ramjet(scene, "send", "--channels", 4, "--digest", "--json", "synth:512M,dirty=10M",
                    address)
    ours, theirs = sender.done(60), receiver.done(60)
    check(ours["digest"] == theirs["digest"], f"{ours['digest']}, {theirs['digest']}")


def run(scene, chosen):
    chosen.run(scene)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run, seconds=120))
