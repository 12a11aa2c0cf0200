#!/usr/bin/env python3
"""`ramjet migrate` between real QEMUs: both sides get the same settings, the guest arrives with all
its memory, and after any failure it runs on at the source, with one line that says why."""

import itertools
import json
import re
import signal
import socket
import sys
from collections import namedtuple

from lib import certs, journey, table
from lib.driven import Vm
from lib.ramjet import NOT_SHRINKING, Ramjet
from lib.scene import until
from lib.table import check

Case = namedtuple("Case", "label run")

PAIRS = [("7.2", "7.2"), ("10.0", "10.0"), ("7.2", "10.0")]
UNDER_WAY = ("--max-bandwidth", "4M", "--downtime-limit", "1ms")  # lasts until it is cancelled
SLOW = ("--max-bandwidth", "12M", "--downtime-limit", "1700ms")  # a second or more


def pair(scene, here="10.0", there="10.0", **options):
    """A running guest, and a QEMU that waits for it."""
    source = Vm(scene, "source", here, **options)
    target = Vm(scene, "target", there, incoming="defer", paused=True)
    source.passes(2)
    return source, target


def migrate(scene, source, target, *words, **process):
    return Ramjet(scene, "migrate", *words, source.address, target.address, **process)


def result(run, host="127.0.0.1"):
    """The JSON of a success: query-migrate's members with its types, and ours."""
    found = run.done()
    check(found["status"] == "completed", f"status is {found['status']}")
    numbers = [found[name] for name in ("total-time", "setup-time", "downtime")]
    numbers += [found["ram"][name] for name in ("transferred", "total", "normal", "duplicate",
                                                "dirty-sync-count", "page-size")]
    check(all(isinstance(n, int) and n >= 0 for n in numbers), f"numbers: {found}")
    check(found["from"]["run-state"] == "postmigrate", f"{found['from']}")
    check(found["uri"].startswith((f"tcp:{host}:", "unix:/")), f"{found['uri']}")
    check("error-desc" not in found and "guest" not in found, f"{found}")
    return found


def arrived(source, target):
    journey.arrived(target, source)
    check(target.qmp("query_status")["running"], "the guest does not run at its new place")


# --- successes -----------------------------------------------------------------------------------

def goes_well(here, there, method, channels, scheme):
    def run(scene):
        source, target = pair(scene, here, there)
        uri = ["--uri", f"unix:{scene.folder}/path"] if scheme == "unix" else []
        found = result(migrate(scene, source, target, "--json", "--channels", channels,
                               "--compress", method, *uri))
        check(found["uri"].startswith(scheme + ":"), f"{found['uri']}")
        check(found["to"]["run-state"] == "paused", f"{found['to']}")
        check(found["ram"]["multifd-bytes"] > 0, f"nothing went by multifd: {found['ram']}")
        for vm in (source, target):
            vm.has(multifd_channels=channels, multifd_compression=method)
            check({"multifd", "return-path"} <= vm.on(), f"{vm.on()}")
        source.has(max_bandwidth=0)
        arrived(source, target)
    return Case(f"{here} to {there}, {scheme}, {method}, {channels} channels", run)


def main_channel(scene):
    source, target = pair(scene, "7.2", "10.0")
    result(migrate(scene, source, target, "--json", "--channels", 0))
    check("multifd" not in source.on() | target.on(), "multifd is on")
    arrived(source, target)


def settings(scene):
    """Each setting goes to the end that it belongs to."""
    source, target = pair(scene)
    run = migrate(scene, source, target, "--json", "--compress", "zstd:3", "--downtime-limit",
                  "700ms", "--max-bandwidth", "3G", "--set", "auto-converge=on", "--set",
                  "cpu-throttle-initial=33", "--set", "switchover-ack=on", "--set", "events=on",
                  "--set", "postcopy-blocktime=on", "--set", "pause-before-switchover=on",
                  "--set", "cpu-throttle-tailslow=on")
    result(run)
    source.has(multifd_zstd_level=3, downtime_limit=700, max_bandwidth=3 << 30,
               cpu_throttle_initial=33, cpu_throttle_tailslow=True)
    target.has(multifd_zstd_level=1, downtime_limit=300, cpu_throttle_initial=20,
               multifd_compression="zstd")
    both = {"multifd", "return-path", "switchover-ack", "events"}
    check(source.on() == both | {"auto-converge", "pause-before-switchover"}, f"{source.on()}")
    check(target.on() == both | {"postcopy-blocktime"}, f"{target.on()}")
    arrived(source, target)


def zero_copy(scene):
    source, target = pair(scene)
    result(migrate(scene, source, target, "--json", "--zero-copy"))
    check("zero-copy-send" in source.on() - target.on(), "want zero-copy-send at the source")
    arrived(source, target)


def what_was_set_before(scene):
    """Earlier settings that clash with the new ones, in both orders, are replaced."""
    source, target = pair(scene)
    source.configure(["zero-copy-send"], channels=7)
    target.configure(multifd_compression="zlib")
    result(migrate(scene, source, target, "--json", "--compress", "zstd"))
    for vm in (source, target):
        vm.has(multifd_channels=2, multifd_compression="zstd")
    arrived(source, target)


def zero_copy_after_compression(scene):
    source, target = pair(scene)
    source.configure(channels=2, multifd_compression="zstd")
    result(migrate(scene, source, target, "--json", "--zero-copy"))
    source.has(multifd_compression="none")
    arrived(source, target)


def listens_already(version, *, multifd, words=()):
    """A destination that listens at an address from its command line, with
    settings already made."""
    def run(scene):
        source = Vm(scene, "source", version)
        target = Vm(scene, "target", version, incoming="tcp:127.0.0.1:0", paused=True)
        if multifd:
            target.configure(channels=3)
        source.passes(2)
        result(migrate(scene, source, target, "--json", *words))
        check(("multifd" in source.on()) == multifd, f"{source.on()}")
        if multifd:
            source.has(multifd_channels=3)
        arrived(source, target)
    return run


def listens_everywhere(scene):
    source = Vm(scene, "source", "10.0")
    target = Vm(scene, "target", "10.0", incoming="tcp:0.0.0.0:0", paused=True)
    source.passes(2)
    result(migrate(scene, source, target, "--json"))
    arrived(source, target)


def by_port(scene):
    source = Vm(scene, "source", "10.0", port=True)
    target = Vm(scene, "target", "7.2", port=True, incoming="defer", paused=True)
    source.passes(1)
    result(migrate(scene, source, target, "--json", "--listen", "::1"), host="[::1]")


def runs_at_once(scene):
    """A destination without -S starts its guest by itself; a guest that was
    paused arrives paused."""
    for paused in (False, True):
        source = Vm(scene, f"source-{paused}", "10.0")
        target = Vm(scene, f"target-{paused}", "10.0", incoming="defer")
        source.passes(2)
        if paused:
            source.qmp("stop")
        found = result(migrate(scene, source, target, "--json"))
        want = "paused" if paused else "running"
        check(found["to"]["run-state"] == want, f"{found['to']}, want {want}")
        if not paused:
            target.passes(3)
        source.end()
        target.end()


def for_people(scene):
    source, target = pair(scene)
    run = migrate(scene, source, target)
    run.done()
    lines = run.output.decode().splitlines()
    wanted = [r"migrate: completed: 12[89] MiB of RAM in [\d.]+ m?s, [\d.]+ MB on the wire, [\d.]+ [kMG]B/s",
              r"  pages: \d+ with data, \d+ zero; rounds: \d+; setup \d+ ms", r"  downtime: \d+ ms",
              r"  TO is paused, FROM is postmigrate"]
    check(len(lines) == len(wanted), f"{lines}")
    for line, want in zip(lines, wanted):
        check(re.fullmatch(want, line), f"want {want!r}: {line!r}")
    check(not run.errors, run.errors)


def line_per_second(scene):
    source, target = pair(scene)
    run = migrate(scene, source, target, "--progress", "always", *SLOW)
    run.done()
    lines = run.errors.splitlines()
    check(len(lines) >= 1, "no line of progress")
    for line in lines:
        check(re.fullmatch(r"(active|device|setup) round \d+, [\d.]+ [kMG]?B/s, [\d.]+ [kM]?B left"
                           r"(, dirty [\d.]+ [kM]?B/s)?(, downtime would be [\d.]+ m?s)?", line), line)


def on_a_terminal(scene):
    source, target = pair(scene)
    run = migrate(scene, source, target, *SLOW, terminal=True)
    check(run.wait(30) == 0, f"{run.output}")
    check(b"\ractive round 1" in run.output and b"\r\x1b[Kmigrate: completed" in run.output,
          f"{run.output}")


def tls(kind, ids):
    def run(scene):
        there, here = certs.pair(scene.folder, kind)
        names = [o.replace("id=tls0", f"id={i}") for creds, end, i in
                 ((here, "client", ids[0]), (there, "server", ids[-1]))
                 for o in creds.qemu(end)[1:]]
        source = Vm(scene, "source", "10.0", options=["-object", names[0]])
        target = Vm(scene, "target", "10.0", incoming="defer", paused=True,
                    options=["-object", names[1]])
        source.passes(1)
        words = (["--tls-creds", ids[0]] if len(ids) == 1 else
                 ["--tls-creds-from", ids[0], "--tls-creds-to", ids[1]])
        if kind == "X.509":
            words += ["--tls-hostname", certs.HOST]
            source.qmp("migrate_set_parameters", tls_hostname="old.example")
        result(migrate(scene, source, target, "--json", *words))
        source.has(tls_creds=ids[0])
        target.has(tls_creds=ids[-1])
        arrived(source, target)
    return run


# --- early ends ----------------------------------------------------------------------------------

def begun(scene, source, target, *words, channels=0):
    """A migration in its first round that does not end by itself.

    On the main channel: if multifd is cut short, QEMU's migration thread may wait for ever for a
    channel that has ended, and cannot be cancelled then.
    """
    source.configure()  # events
    run = migrate(scene, source, target, "--channels", channels, *UNDER_WAY, *words)
    source.qmp.event(lambda _, data: data.get("status") == "active")
    return run


def again(scene, source, version="10.0"):
    """After any failure the guest runs on, and can be migrated at once."""
    target = Vm(scene, "another", version, incoming="defer", paused=True)
    result(migrate(scene, source, target, "--json"))
    arrived(source, target)


def interrupted(number, here, there):
    def run(scene):
        source, target = pair(scene, here, there)
        run = begun(scene, source, target)
        run.send_signal(number)
        run.failed("ramjet migrate: cancelled; the guest is running at from; to ", seconds=20, code=3)
        check(source.status() == "cancelled", f"{source.status()}")
        source.runs_on()
        again(scene, source, there)
    return run


def too_long(scene):
    source, target = pair(scene)
    run = begun(scene, source, target, "--timeout", "1s", "--json")
    run.failed("took too long (--timeout)", "running at from", "to is inmigrate", seconds=20,
               code=3)
    found = json.loads(run.output)
    check(found["status"] == "cancelled" and found["error"]["desc"].startswith("cancelled: it took")
          and found["from"]["run-state"] == "running", f"{found}")
    source.runs_on()
    again(scene, source)


def switches(here, there):
    """FROM's query-migrate shows that the rounds do not shrink; at the limit it switches over."""
    def run(scene):
        source, target = pair(scene, here, there)
        run = migrate(scene, source, target, "--channels", 0, "--max-bandwidth", "12M",
                      "--downtime-limit", "1ms", "--json")
        until(lambda: NOT_SHRINKING in run.errors, "the rounds to be told", 60)
        run.send_signal(signal.SIGINT)
        run.failed("cancelled", seconds=20, code=3)
        check("downtime-limit" in run.result()["advice"]["helps"], f"{run.output}")
        target = Vm(scene, "another", there, incoming="defer", paused=True)
        run = migrate(scene, source, target, "--channels", 0, "--max-bandwidth", "12M",
                      "--downtime-limit", "1ms", "--max-rounds", 2, "--at-limit", "switch",
                      "--json")
        result(run)
        arrived(source, target)
    return run


def cancelled_by_another(scene):
    source, target = pair(scene)
    run = begun(scene, source, target)
    source.qmp("migrate_cancel")
    run.failed("cancelled by another user", "running at from", seconds=20, code=3)


def target_killed(here, there, channels):
    def run(scene):
        source, target = pair(scene, here, there)
        run = begun(scene, source, target, channels=channels)
        target.end()
        run.failed("from: migration failed", "the guest is running at from; to has gone",
                   seconds=20)
        source.runs_on()
        if channels == 0:
            again(scene, source, there)
    return run


def hangs(scene):
    """If a QEMU cannot end a failed migration, ramjet starts no new one: that would be refused, and
    stay in status "setup" for good."""
    path, target = scene.folder / "monitor", Vm(scene, "target", "10.0", incoming="defer")
    answers = {"query-status": {"status": "running"}, "query-migrate": {"status": "failed"},
               "query-yank": [{"type": "chardev", "id": "x"}, {"type": "migration"}]}
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        run = Ramjet(scene, "migrate", f"unix:{path}", target.address)
        with server.accept()[0] as peer, peer.makefile("rw") as lines:
            print('{"QMP": {}}', file=lines, flush=True)
            for line in lines:
                asked = json.loads(line)
                answer = answers.get(asked["execute"], {})
                print(json.dumps({"return": answer, "id": asked["id"]}), file=lines, flush=True)
    run.failed("from has not cleaned up its last migration", seconds=20, code=2)


def source_killed(scene):
    source, target = pair(scene)
    run = begun(scene, source, target)
    source.end()
    run.failed("from: unix:", "query-migrate: ", "from does not answer", "to is inmigrate",
               "migration failed", seconds=20)


# --- migrations that do not begin ----------------------------------------------------------------

def refused(*text, words=(), before=None, code=2, **options):
    """It has not begun: the guest noticed nothing."""
    def run(scene):
        source, target = pair(scene, **options)
        if before:
            before(source, target)
        migrate(scene, source, target, *words).failed(*text, seconds=20, code=code)
        check(source.status() is None, f"a migration has begun: {source.status()}")
        source.runs_on()
    return run


def addresses(scene):
    """No VM is at the address."""
    target = f"unix:{scene.folder}/none"
    for words, code, text in (
            ((target, "unix:/x"), 1, ("from: connect to unix:", "no such file")),
            (("tcp:127.0.0.1:1", "unix:/x"), 1, ("from: connect to 127.0.0.1:1", "refused")),
            (("here", "unix:/x"), 2, ("from", "'here'")),
            (("unix:/x",), 2, ("expected from and to",)),
            (("unix:/x", "unix:/y", "unix:/z"), 2, ("one word too many",)),
            (("unix:/x", "unix:/x"), 2, ("the same monitor",)),
            (("--uri", "exec:cat", "unix:/x", "unix:/y"), 2, ("--uri", "exec:cat")),
            (("--set", "no-such=1", "unix:/x", "unix:/y"), 2, ("no-such",)),
            (("--set", "downtime-limit=2h", "unix:/x", "unix:/y"), 2, ("downtime-limit",)),
            (("--zero-copy", "--compress", "zlib", "unix:/x", "unix:/y"), 2, ("zero-copy-send",)),
            (("--set", "multifd=off", "--zero-copy", "unix:/x", "unix:/y"), 2, ("multifd",)),
            (("--tls-psk", "file", "unix:/x", "unix:/y"), 2, ("unknown option",)),
    ):
        Ramjet(scene, "migrate", *words).failed(*text, code=code)


def no_monitor(scene):
    """Another program is there, and sends something else, nothing, or nonsense."""
    target = Vm(scene, "target", "10.0", incoming="defer")
    for says, text in ((b"220 mail.example ESMTP\r\n", "is not qmp"), (b"", "gave up waiting"),
                       (b'{"QMP": {}}\n{"return": {}, "id": 1}\n{"return": 7, "id": 2}\n',
                        "query-status: the answer is no object")):
        with socket.create_server(("127.0.0.1", 0)) as server:
            run = Ramjet(scene, "migrate", "--connect-timeout", "1s", "--stall-timeout", "1s",
                         f"tcp:127.0.0.1:{server.getsockname()[1]}", target.address)
            with server.accept()[0] as peer:
                peer.sendall(says)
                run.failed("from: ", text, seconds=20)
    check(target.status() in (None, "none"), f"{target.status()}")


def same_by_another_name(scene):
    source, _ = pair(scene)
    link = scene.folder / "link"
    link.symlink_to(source.address.removeprefix("unix:"))
    Ramjet(scene, "migrate", source.address, f"unix:{link}").failed("the same monitor", code=2)
    source.runs_on()


def not_waiting(scene):
    source, target = pair(scene)
    other = Vm(scene, "other", "7.2")
    migrate(scene, source, other).failed("to does not wait for a migration (running)", code=2)
    migrate(scene, target, source).failed("from waits for a migration", "wrong way round", code=2)
    source.runs_on()
    result(migrate(scene, source, target, "--json"))
    migrate(scene, source, target).failed("from has been migrated away", "cont", code=2)
    migrate(scene, other, target).failed("to does not wait", code=2)


def other_machine(scene):
    source = Vm(scene, "source", "10.0")
    target = Vm(scene, "target", "10.0", machine="pc-q35-10.0", incoming="defer")
    migrate(scene, source, target).failed(
        "from is a pc-q35-7.2, to a pc-q35-10.0; start to with -machine pc-q35-7.2", code=2)
    target.end()
    target = Vm(scene, "bigger", "10.0", incoming="defer",
                options=["-m", "size=128M,maxmem=512M,slots=1",
                         "-object", "memory-backend-ram,id=dimm,size=128M",
                         "-device", "pc-dimm,memdev=dimm"])
    migrate(scene, source, target).failed("from has 128 mib of memory, to 256 mib", code=2)


def port_taken(scene):
    source, target = pair(scene)
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        migrate(scene, source, target, "--uri", uri).failed("to: migrate-incoming:", "in use")
    source.runs_on()


def listen_twice(scene):
    source, target = pair(scene)
    target.listen()
    migrate(scene, source, target, "--listen", "127.0.0.1").failed(
        "to listens already; leave out --listen", code=2)
    migrate(scene, source, target, "--channels", 3).failed("to: migrate-set-capabilities",
                                                            code=2)
    source.runs_on()


def no_output(scene):
    """The guest arrives although the report cannot be written."""
    source, target = pair(scene)
    run = migrate(scene, source, target, "--json",
                  prefix=["sh", "-c", 'exec "$@" >/dev/full', "sh"])
    run.failed("the guest is at to, but the report is lost: standard output", seconds=20, code=4)
    arrived(source, target)


WELL = {
    "main channel only": main_channel,
    "settings, each at its end": settings,
    "zero-copy": zero_copy,
    "zero-copy, with compression left from before": zero_copy_after_compression,
    "compression, with zero-copy left from before": what_was_set_before,
    "7.2 listens already": listens_already("7.2", multifd=False),
    "10.0 listens already": listens_already("10.0", multifd=False),
    "7.2 listens already, with multifd": listens_already("7.2", multifd=True),
    "at every interface": listens_everywhere,
    "monitors by port, over IPv6": by_port,
    "the destination goes on by itself": runs_at_once,
    "result for people": for_people,
    "a line per second": line_per_second,
    "on a terminal": on_a_terminal,
    "certificates": tls("X.509", ["tls0"]),
    "certificates, two ids": tls("X.509", ["here", "there"]),
    "PSK": tls("PSK", ["keys"]),
}

ENDS = {
    **{f"SIGINT, {here} to {there}": interrupted(signal.SIGINT, here, there)
       for here, there in PAIRS},
    "SIGTERM": interrupted(signal.SIGTERM, "10.0", "10.0"),
    "--timeout": too_long,
    **{f"rounds do not shrink, {here} to {there}": switches(here, there)
       for here, there in (("7.2", "7.2"), ("10.0", "10.0"))},
    "cancelled at the monitor": cancelled_by_another,
    **{f"destination killed, {here} to {there}, {channels} channels":
           target_killed(here, there, channels) for here, there in PAIRS for channels in (0, 2)},
    "a source that hangs": hangs,
    "source killed": source_killed,
    "output cannot be written": no_output,
}

REFUSALS = {
    "addresses and words": addresses,
    "not a monitor": no_monitor,
    "the same monitor by another name": same_by_another_name,
    "not waiting": not_waiting,
    "another machine": other_machine,
    "capability unknown at the destination": refused(
        "to (qemu 7.2.", "has no capability switchover-ack: qemu has it since 8.1",
        words=["--set", "switchover-ack=on"], there="7.2"),
    "capability unknown at the source": refused(
        "from (qemu 10.0.", "has no capability compress:", "removed in 9.1",
        words=["--set", "compress=on", "--channels", 0], there="7.2"),
    "parameter unknown": refused(
        "from (qemu 7.2.", "has no parameter avail-switchover-bandwidth",
        words=["--set", "avail-switchover-bandwidth=1G"], here="7.2", there="7.2"),
    "a value that QEMU does not take": refused(
        "from: migrate-set-parameters: genericerror:", words=["--compress", "zstd:-5"]),
    "capability on at one end": refused(
        "x-ignore-shared is on at to and off at from; --set name=value sets both",
        before=lambda _, target: target.configure(["x-ignore-shared"])),
    "TLS at one end": refused(
        "to has no tls credentials 'tls0'",
        before=lambda _, target: target.qmp("migrate_set_parameters", tls_creds="tls0")),
    "a port that is taken": port_taken,
    "--listen, and it does already": listen_twice,
}



CASES = [
    *(goes_well(here, there, method, channels, "tcp") for (here, there), method, channels in
      itertools.product(PAIRS, ("none", "zlib", "zstd"), (1, 2, 4))),
    *(goes_well(here, there, method, 2, "unix") for (here, there), method in
      itertools.product(PAIRS, ("none", "zlib", "zstd"))),
    *(Case(f"well: {label}", run) for label, run in WELL.items()),
    *(Case(f"ends: {label}", run) for label, run in ENDS.items()),
    *(Case(f"refused: {label}", run) for label, run in REFUSALS.items()),
]

if __name__ == "__main__":
    sys.exit(table.main(CASES, lambda scene, case: case.run(scene)))
