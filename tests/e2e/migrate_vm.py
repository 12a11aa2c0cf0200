#!/usr/bin/env python3
"""`ramjet migrate` between two `ramjet vm`: the guest itself reports that all its memory has
arrived, and how long it was paused; after a failure it runs on at the source."""

import json
import re
import signal
import sys
from collections import namedtuple

from lib import certs, table
from lib.asked_vm import Runner
from lib.monitor import Monitor
from lib.qemu import Qemu
from lib.ramjet import Ramjet
from lib.runner import demand_kvm
from lib.scene import until
from lib.scripted import Scripted
from lib.table import check

Case = namedtuple("Case", "label run")
CASES = []

BUSY = "dirtier,rate=20M"
UNDER_WAY = ("--max-bandwidth", "4M", "--downtime-limit", "1ms")  # lasts until it is cancelled


def case(label):
    """Adds the next function to the table."""
    def add(function):
        CASES.append(Case(label, function))
        return function
    return add


def migrate(scene, source, target, *words):
    return Ramjet(scene, "migrate", *words, source.address, target.address)


def pair(scene, guest=BUSY, here=(), there=(), incoming="defer", memory=("32M", "32M")):
    demand_kvm(scene)
    return (Runner(scene, "source", "--guest", guest, *here, memory=memory[0]),
            Runner(scene, "target", "--incoming", incoming, *there, memory=memory[1]))


def moved(run, channels=2, moves=1):
    """The result of a success, with the members that only ramjet reports: channels, and
    the guest's figures."""
    found = run.done()
    check(found["status"] == "completed" and "error-desc" not in found, f"{found}")
    check(found["from"]["run-state"] == "postmigrate" and found["to"]["run-state"] == "running",
          f"{found}")
    check([c["id"] for c in found.get("channels", [])] == list(range(channels)), f"{found}")
    check(not channels or found["channels"][0]["packets"] > 0, f"{found['channels']}")
    guest = found["guest"]
    check(guest["moves"] == moves and guest["errors"] == 0, f"{guest}")
    if guest["last-move-gap-us"] == 0:  # on a busy machine the guest's first heartbeat may be late
        there = Monitor(found["to"]["address"])
        until(lambda: there("x-query-guest")["last-move-gap-us"] > 0, "the guest's own gap")
        there.close()
    return found


def arrived(source, target):
    target.runs()
    for vm in (source, target):
        result = vm.verdict(signal.SIGINT)
        check(result["errors"] == 0 and result["pages-verified"] > 0, f"{result}")


def goes_well(guest, method, channels, cpus=1, uri=None):
    def run(scene):
        source, target = pair(scene, guest, ["--cpus", cpus], ["--cpus", cpus])
        words = ["--uri", uri.format(scene.folder)] if uri else []
        moved(migrate(scene, source, target, "--json", "--channels", channels, "--compress",
                      method, *words), channels)
        arrived(source, target)
    cpu = "" if cpus == 1 else f", {cpus} vCPUs"
    case(f"{guest}, {method}, {channels} channels{cpu}{', unix' if uri else ''}")(run)


for _guest in ("counter", BUSY):
    for _method in ("none", "zlib", "zstd"):
        goes_well(_guest, _method, 2)
    goes_well(_guest, "none", 0)
    goes_well(_guest, "zstd", 4, cpus=2)
    goes_well(_guest, "none", 2, uri="unix:{}/path")


@case("back and forth")
def ping_pong(scene):
    """Moves six times; each time the destination is a new process."""
    demand_kvm(scene)
    source = Runner(scene, "start", "--guest", BUSY)
    for moves in range(1, 7):
        target = Runner(scene, f"place-{moves}", "--incoming", "defer")
        moved(migrate(scene, source, target, "--json"), moves=moves)
        source.verdict(signal.SIGTERM)
        source = target
    source.runs()
    check(source.verdict(signal.SIGINT)["moves"] == 6, "want six moves")


@case("listens already")
def listens_already(scene):
    """A destination that listens already cannot change multifd: its setting is used."""
    for channels, words in ((0, []), (3, ["--set", "multifd=on", "--set", "multifd-channels=3"])):
        source, target = pair(scene, incoming="tcp:127.0.0.1:0", there=words)
        moved(migrate(scene, source, target, "--json"), channels)
        arrived(source, target)


@case("result for people")
def for_people(scene):
    source, target = pair(scene)
    run = migrate(scene, source, target)
    run.done()
    for want in (r"migrate: completed: 32 MiB of RAM in ",
                 r"  downtime: \d+ ms; by the guest's own clock [\d.]+ ms\n",
                 r"  channel      size    packets  with data       zero  wait ms  codec ms\n"
                 r"        0 .*\n        1 .*\n", r"  guest: \d+ pages verified, 0 wrong\n",
                 r"  TO is running, FROM is postmigrate\n"):
        check(re.search(want, run.output.decode()), f"want {want!r}: {run.output.decode()}")
    arrived(source, target)


@case("settings, each at its end")
def settings(scene):
    source, target = pair(scene)
    moved(migrate(scene, source, target, "--json", "--set", "pause-before-switchover=on", "--set",
                  "switchover-ack=on", "--set", "events=on", "--compress", "zlib:1",
                  "--downtime-limit", "500ms"))
    check(source.ask("query-migrate-parameters")["downtime-limit"] == 500, "at the source")
    check(target.ask("query-migrate-parameters")["downtime-limit"] == 300, "at the destination")
    arrived(source, target)


@case("certificates")
def tls(scene):
    there, here = certs.pair(scene.folder, "X.509")
    source, target = pair(scene)
    moved(migrate(scene, source, target, "--json", "--tls-creds-from", here.folder,
                  "--tls-creds-to", there.folder, "--tls-hostname", certs.HOST))
    arrived(source, target)


@case("a certificate for another host")
def tls_wrong_host(scene):
    there, here = certs.pair(scene.folder, "X.509")
    source, target = pair(scene)
    run = migrate(scene, source, target, "--tls-creds-from", here.folder, "--tls-creds-to",
                  there.folder, "--tls-hostname", "another.example")
    run.failed("from: migration failed", "another.example", "the guest is running at from",
               seconds=20)
    source.runs()


def begun(scene, source, target, *words):
    """A migration that does not end by itself: there is more to send than it may send."""
    until(lambda: source.ask("x-query-guest")["pages-written"] > 2000, "the guest to have written")
    run = migrate(scene, source, target, *UNDER_WAY, *words)
    until(lambda: source.ask("query-migrate").get("ram", {}).get("transferred", 0) > 1 << 20,
          "the migration to be under way")
    return run


def again(scene, source):
    """After any failure the guest runs on, and can be migrated at once."""
    source.runs()
    target = Runner(scene, "another", "--incoming", "defer")
    moved(migrate(scene, source, target, "--json", "--set", "validate-uuid=off"))
    arrived(source, target)


@case("SIGINT")
def interrupted(scene):
    source, target = pair(scene)
    run = begun(scene, source, target)
    run.send_signal(signal.SIGINT)
    run.failed("cancelled; the guest is running at from; to is inmigrate", seconds=20, code=3)
    check(source.ask("query-migrate")["status"] == "cancelled", "want cancelled")
    again(scene, source)


@case("--timeout")
def too_long(scene):
    source, target = pair(scene)
    run = begun(scene, source, target, "--timeout", "2s", "--json")
    run.failed("took too long (--timeout)", "running at from", seconds=20, code=3)
    found = json.loads(run.output)
    check(found["status"] == "cancelled" and len(found["channels"]) == 2, f"{found}")
    again(scene, source)


@case("destination killed")
def target_killed(scene):
    source, target = pair(scene)
    run = begun(scene, source, target)
    target.end()
    run.failed("from: migration failed", "the guest is running at from; to has gone", seconds=20)
    again(scene, source)


@case("source killed")
def source_killed(scene):
    source, target = pair(scene)
    run = begun(scene, source, target)
    source.end()
    run.failed("from: ", "from does not answer", "to is inmigrate, its migration failed",
               seconds=20)


@case("another size")
def too_small(scene):
    source, target = pair(scene, memory=("64M", "32M"))
    migrate(scene, source, target).failed("from has 64 mib of memory, to 32 mib", seconds=20,
                                          code=2)
    fitting = Runner(scene, "fitting", "--incoming", "defer", memory="64M")
    moved(migrate(scene, source, fitting, "--json"))
    arrived(source, fitting)


@case("another UUID")
def another(scene):
    source, target = pair(scene, here=["--uuid", "00000000-0000-0000-0000-000000000001"],
                          there=["--uuid", "00000000-0000-0000-0000-000000000002"])
    migrate(scene, source, target, "--set", "validate-uuid=on").failed(
        "from's uuid is ", "0001", "0002", "validate-uuid", seconds=20, code=2)
    migrate(scene, source, target).failed("with multifd they are compared", code=2)
    moved(migrate(scene, source, target, "--json", "--channels", 0), channels=0)
    arrived(source, target)


@case("another accelerator")
def accelerator(scene):
    source, target = pair(scene, guest="counter", there=["--accel", "synth"])
    migrate(scene, source, target).failed("from runs under kvm, and to does not", code=2)


@case("another number of vCPUs")
def fewer(scene):
    source, target = pair(scene, here=["--cpus", "2"])
    migrate(scene, source, target).failed("from has 2 vcpus, to 1", code=2)


@case("no certificates at one end")
def no_folder(scene):
    """Both load what is in their folders before the destination listens."""
    there, here = certs.pair(scene.folder, "X.509")
    source, target = pair(scene)
    nowhere = scene.folder / "nowhere"
    for from_, to, text in ((nowhere, there.folder, "from: x-check-credentials: "),
                            (here.folder, nowhere, "to: x-check-credentials: "),
                            (here.folder, here.folder, "server-cert.pem")):
        migrate(scene, source, target, "--tls-creds-from", from_, "--tls-creds-to", to,
                "--tls-hostname", certs.HOST).failed(text, "no such file", code=2)
    check("socket-address" not in target.ask("query-migrate"), "the destination listens")
    moved(migrate(scene, source, target, "--json", "--tls-creds-from", here.folder,
                  "--tls-creds-to", there.folder, "--tls-hostname", certs.HOST))
    arrived(source, target)


@case("the destination's reason comes first")
def reason(scene):
    """The source only sees that the destination has failed."""
    source, target = pair(scene, here=["--memory-backend", "id=a,size=2M,addr=4G"],
                          there=["--memory-backend", "id=b,size=2M,addr=4G"])
    migrate(scene, source, target).failed("ramjet migrate: to: migration failed: ", "; from: ",
                                          "the guest is running at from; to is inmigrate",
                                          seconds=20)
    source.runs()


@case("from a QEMU")
def from_qemu(scene):
    """A QEMU's devices do not exist here."""
    demand_kvm(scene)
    path = scene.folder / "qemu.monitor"
    source = Qemu(scene, "qemu", "10.0", machine="pc-q35-10.0",
                  options=["-qmp", f"unix:{path},server=on,wait=off"])
    source.address = f"unix:{path}"
    target = Runner(scene, "target", "--incoming", "defer", memory="128M")
    source.passes(2)
    migrate(scene, source, target).failed("from is a pc-q35-10.0 (qemu 10.0.", "to a ramjet-1.0",
                                          "another kind of machine", seconds=20, code=2)
    check(source.qmp("query_status")["running"], "the guest does not run")
    source.passes(2)


@case("settings that are not in this build")
def unbuilt(scene):
    source, target = pair(scene)
    migrate(scene, source, target, "--set", "postcopy-ram=on", "--channels", 0).failed(
        "to: migrate-set-capabilities: genericerror:", "postcopy", seconds=20, code=2)
    source.runs()


def waits(answers, refusal):
    """FROM stops before the switch-over; then its status, and its answer to a second
    migrate-continue, or to the first."""
    def run(scene):
        before, paused, done = {}, {"status": "pre-switchover"}, {"status": "completed"}
        source = Scripted(scene, "from", query_status=[{"status": "running"}], migrate=[{}],
                          query_migrate=[before, *(paused for _ in range(answers)), done],
                          migrate_continue=refusal)
        target = Scripted(scene, "to", query_status=[{"status": "inmigrate"}, {"status": "running"}], migrate_incoming=[{}], query_migrate=[{}])
        migrate(scene, source, target, "--channels", 0, "--json").done()
        check(source.heard.count("migrate-continue") == 1, f"{source.heard}")
    return run


case("is about to leave the pause when it is seen")(waits(3, [{}, "it is not there any more"]))
case("another one has ended the pause")(waits(1, ["it is not there any more"]))


if __name__ == "__main__":
    sys.exit(table.main(CASES, lambda scene, case: case.run(scene)))
