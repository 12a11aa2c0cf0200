#!/usr/bin/env python3
"""What a user sees: exit codes, messages, cancelling, and that a target is complete or absent."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

from lib import ramjet, table
from lib.ramjet import Ramjet, recv
from lib.scene import SLOWNESS, until
from lib.snapshot import Snapshot
from lib.table import Skip, check

Case = namedtuple("Case", "label run")
CASES = []


def case(label):
    """Adds the next function to the table."""
    def add(function):
        CASES.append(Case(label, function))
        return function
    return add


# A transfer that is slow enough to be interrupted, and makes a small file.
SLOW = ["--max-bandwidth", "160Mbit", "synth:128M,random=100"]


def slow_transfer(scene, target, *options):
    """A transfer that has begun; returns both ends."""
    receiver, address = recv(scene, target, *options)
    sender = Ramjet(scene, "send", "--channels", 2, "--progress", "always", *SLOW, address)
    until(lambda: sender.errors, "the sender's first line of progress")
    return sender, receiver


def folder(scene):
    """An empty folder for the target, so that leftover files are seen."""
    made = scene.folder / "target"
    made.mkdir()
    return made


def check_empty(place):
    left = sorted(p.name for p in place.iterdir())
    check(not left, f"left behind: {left}")


# ---- the command line ----

USAGE = [
    [],
    ["nonsense"],
    ["recv"],
    ["recv", "tcp:127.0.0.1:0"],
    ["recv", "tcp:127.0.0.1:0", "null:", "more"],
    ["recv", "pigeon:x", "null:"],
    ["recv", "tcp:127.0.0.1:0", "pigeon:x"],
    ["recv", "--no-such-option", "tcp:127.0.0.1:0", "null:"],
    ["recv", "--channels", "many", "tcp:127.0.0.1:0", "null:"],
    ["recv", "--channels", "256", "tcp:127.0.0.1:0", "null:"],
    ["recv", "--max-bandwidth", "1G", "tcp:127.0.0.1:0", "null:"],
    ["recv", "--set", "return-path=on", "tcp:127.0.0.1:0", "null:"],
    ["send", "synth:64M"],
    ["send", "synth:lots", "tcp:127.0.0.1:1"],
    ["send", "synth:64M,colour=blue", "tcp:127.0.0.1:1"],
    ["send", "--max-bandwidth", "fast", "synth:64M", "tcp:127.0.0.1:1"],
    ["send", "--set", "no-such-capability=on", "synth:64M", "tcp:127.0.0.1:1"],
    ["send", "--set", "multifd", "synth:64M", "tcp:127.0.0.1:1"],
    ["send", "--set", "downtime-limit=2000001", "synth:64M", "tcp:127.0.0.1:1"],
    ["send", "--set", "xbzrle=on", "synth:64M", "tcp:127.0.0.1:1"],
    ["send", "--channels", "2", "--set", "xbzrle=on", "synth:64M", "tcp:127.0.0.1:1"],
    ["send", "--set", "validate-uuid=on", "synth:1M", "tcp:127.0.0.1:1"],
    ["recv", "--set", "tls-hostname=x", "tcp:127.0.0.1:0", "null:"],
    ["help", "settings", "no-such-setting"],
    ["sned"],
    ["help", "sned"],
    ["info"],
    ["qmp"],
    ["qmp", "unix:/nonexistent/monitor"],
    ["qmp", "unix:/nonexistent/monitor", ""],
    ["qmp", "pigeon:x", "query-status"],
    ["qmp", "unix:/nonexistent/monitor", "stop", "word"],
    ["qmp", "unix:/nonexistent/monitor", "stop", "{"],
    ["qmp", "unix:/nonexistent/monitor", "stop", "a=1", "a.b=2"],
    ["qmp", "--timeout", "never", "unix:/nonexistent/monitor", "stop"],
    ["qmp", "--digest", "unix:/nonexistent/monitor", "stop"],
    ["vm"],
    ["vm", "--guest", "counter", "more"],
    ["vm", "--guest", "no-such-guest"],
    ["vm", "--guest", "counter", "--memory", "2M"],
    ["vm", "--guest", "counter", "--memory", "5M"],
    ["vm", "--guest", "counter", "--memory", "66G"],
    ["vm", "--guest", "counter", "--incoming", "defer"],
    ["vm", "--guest", "counter", "--machine", "pc-q35-10.0"],
    ["vm", "--guest", "counter", "--qmp", "nowhere"],
    ["vm", "--guest", "dirtier,speed=1"],
    ["vm", "--guest", "dirtier,pattern=zigzag"],
    ["vm", "--guest", "counter", "--cpus", "0"],
    ["vm", "--guest", "counter", "--cpus", "17"],
    ["vm", "--guest", "counter", "--run-for", "long"],
    ["vm", "--guest", "counter", "--channels", "2"],
]


FAILURES = [  # words, exit code, kind
    (["recv", "--json"], 2, "usage"),
    (["recv", "--json", "tcp:127.0.0.1:0", "nowhere"], 2, "usage"),
    (["recv", "--json", "--connect-timeout", "50ms", "tcp:127.0.0.1:0", "null:"], 1, "peer"),
    (["send", "--json", "--nonsense"], 2, "usage"),
    (["send", "synth:4M", "tcp:127.0.0.1:1", "--json"], 1, "system"),
    (["vm", "--json"], 2, "usage"),
    (["migrate", "--json", "unix:/nonexistent/a", "unix:/nonexistent/b"], 1, "system"),
    (["info", "--json", "/nonexistent"], 1, "system"),
    (["probe", "--json", "word"], 2, "usage"),
    (["qmp", "--json", "unix:/nonexistent", "stop"], 1, "system"),
]


@case("with --json each failure is one object")
def failures(scene):
    for words, code, kind in FAILURES:
        run = Ramjet(scene, *words)
        ended = run.wait(20)
        check(ended == code, f"{words}: exit code {ended}, want {code}")
        objects = [json.loads(line) for line in run.output.decode().splitlines()]
        results = [members for members in objects if "event" not in members]
        check(len(results) == 1, f"{words}: {objects}")
        found = results[0]
        check((found["status"], found["verb"]) == ("failed", words[0]), f"{words}: {found}")
        check(found["error"]["kind"] == kind and found["error"]["desc"] in run.errors, f"{words}: {found}")


@case("lines before the result, as JSON and as text")
def lines_before(scene):
    for form in ("json", "text"):
        options = ["--json", "--events", form]
        receiver = Ramjet(scene, "recv", *options, "tcp:127.0.0.1:0", "null:")
        address = receiver.listening()
        Ramjet(scene, "send", "--json", "synth:4M", address).done()
        check(receiver.done()["status"] == "completed", f"{receiver.output}")
        first = receiver.output.decode().splitlines()[0]
        want = f"listening {address}"
        if form == "json":
            first, want = json.loads(first), {"event": "listening", "address": address}
        check(first == want, f"{form}: {first!r}")


@case("usage errors exit with 2")
def usage(scene):
    for words in USAGE:
        run = Ramjet(scene, *words)
        check(run.wait(5) == 2, f"{words}: exit code {run.wait()}, want 2")
        check(run.errors and not run.output, f"{words}: wants its message on stderr")


@case("help and probe")
def helps(scene):
    for words in (["help"], ["-h"], ["help", "recv"], ["help", "send"], ["help", "info"],
                  ["help", "migrate"], ["help", "probe"], ["help", "qmp"], ["qmp", "--help"],
                  ["send", "x", "-h"], ["help", "vm"], ["help", "settings"],
                  ["help", "settings", "multifd"], ["help", "settings", "zlib"]):
        run = Ramjet(scene, *words)
        check(run.wait(5) == 0 and run.output, f"{words}: exit code {run.wait()}: {run.errors}")
        wide = [line for line in run.output.decode().splitlines() if len(line) > 80]
        check(not wide, f"{words}: wider than 80 columns: {wide}")
    for words in (["probe"], ["probe", "--rules"]):
        run = Ramjet(scene, *words)
        check(run.wait(5) == 0 and run.output, f"{words}: exit code {run.wait()}: {run.errors}")


@case("every setting and rule as JSON")
def rules_json(scene):
    report = Ramjet(scene, "probe", "--rules", "--json").done()
    counts = {name: len(report[name]) for name in ("capabilities", "parameters")}
    check(counts == {"capabilities": 24, "parameters": 36}, f"{counts}")
    for name, columns in (("capabilities", ["name", "since", "side", "built", "unbuilt"]),
                          ("parameters", ["name", "range", "default", "built", "live"]),
                          ("rules", ["id", "class", "moments", "when", "needs", "clashes", "why"])):
        for row in report[name]:
            missing = [column for column in columns if column not in row]
            check(not missing, f"{name}: {row} has not {missing}")
    listed = Ramjet(scene, "help", "settings")
    check(listed.wait(5) == 0, listed.errors)
    for row in report["capabilities"] + report["parameters"]:
        check(f"  {row['name']} ".encode() in listed.output, f"{row['name']}: not in the help")


@case("--set at both ends")
def settings(scene):
    receiver, address = recv(scene, "null:", "--set", "multifd-channels=3", "--set", "multifd=on",
                             "--set", "multifd-compression=none", "--json")
    sender = Ramjet(scene, "send", "--set", "multifd-channels=3", "--set", "downtime-limit=100",
                    "--set", "max-bandwidth=1G", "--json", "synth:16M", address)
    for result in (sender.done(), receiver.done()):
        check(len(result["channels"]) == 3, f"{len(result['channels'])} channels, want 3")
    receiver, address = recv(scene, "null:", "--set", "multifd=off", "--json")
    Ramjet(scene, "send", "--set", "multifd=off", "--set", "return-path=off", "synth:16M",
           address).done()
    check(not receiver.done()["channels"], "channels, want none")


@case("a source that writes too fast ends with auto-converge, and with dirty-limit")
def converging(scene):
    slow = ["--max-bandwidth", "40M", "--downtime-limit", "20ms", "--set",
            "cpu-throttle-initial=60", "--set", "cpu-throttle-increment=30"]
    for setting in ("auto-converge=on", "dirty-limit=on"):
        receiver, address = recv(scene, "null:", "--json", "--digest")
        sender = Ramjet(scene, "send", "--set", setting, *slow, "--json", "--digest",
                        "synth:16M,dirty=100M", address)
        sent, received = sender.done(), receiver.done()
        check(sent["digest"] == received["digest"], f"{setting}: digests differ")
        passes = sent["ram"]["dirty-sync-count"]
        check(passes > 3, f"{setting}: {passes} rounds: it was never too fast")
    (scene.folder / "image").write_bytes(bytes(4096))
    for setting, why in (("auto-converge", "nothing can take time from"),
                         ("dirty-limit", "nothing can limit what")):
        Ramjet(scene, "send", "--set", f"{setting}=on", f"image:{scene.folder / 'image'}",
               "tcp:127.0.0.1:1").failed(setting, why, code=2)


@case("switchover-ack is waited for, and comes")
def switchover_ack(scene):
    for machine, there in (("ramjet-1.0", []), ("pc-q35-10.0", []),
                           ("pc-q35-7.2", ["--set", "switchover-ack=on"]), ("pc-q35-11.1", [])):
        receiver, address = recv(scene, "null:", "--json", *there)
        Ramjet(scene, "send", "--set", "switchover-ack=on", "--machine", machine,
               "synth:16M,dirty=10M", address).done()
        receiver.done()
    receiver, address = recv(scene, "null:", "--json")
    sender = Ramjet(scene, "send", "--set", "switchover-ack=on", "--machine", "pc-q35-7.2",
                    "--stall-timeout", "500ms", "synth:16M,dirty=10M", address)
    sender.failed("switchover-ack: the destination has not sent it for 0.5 s", seconds=20)
    receiver.wait(20)


@case("validate-uuid decides what the stream says of the UUID")
def validate_uuid(scene):
    uuid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
    for setting, shown in ((["--set", "validate-uuid=off"], False),
                           (["--set", "validate-uuid=on"], True), ([], True)):
        target = scene.folder / f"{len(setting)}{shown}.snap"
        receiver, address = recv(scene, f"file:{target}")
        Ramjet(scene, "send", "--channels", 0, "--uuid", uuid, *setting, "synth:1M",
               address).done()
        receiver.done()
        report = Ramjet(scene, "info", target)
        check(report.wait(5) == 0 and (uuid.encode() in report.output) == shown,
              f"{setting}: {report.output}")


@case("one connection carries no multifd")
def one_connection(scene):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        fd = theirs.fileno()
        for words in (["send", "--channels", 2, "synth:1M", f"fd:{fd}"],
                      ["recv", "--channels", 2, f"fd:{fd}", "null:"]):
            Ramjet(scene, *words, pass_fds=[fd]).failed("multifd needs many connections",
                                                        "(rule m3)", code=2)


@case("a descriptor that listens takes many connections")
def listening(scene):
    with socket.create_server(("127.0.0.1", 0)) as server:
        fd = server.fileno()
        receiver = Ramjet(scene, "recv", "--channels", 2, "--json", f"fd:{fd}", "null:",
                          pass_fds=[fd])
        receiver.listening()
        Ramjet(scene, "send", "synth:4M", f"tcp:127.0.0.1:{server.getsockname()[1]}").done()
        check(len(receiver.done()["channels"]) == 2, "want 2 channels")


@case("methods that are not built are refused by name")
def methods(scene):
    for method in ("qpl", "lz4"):
        for words in (["send", "--compress", method, "synth:64M", "tcp:127.0.0.1:1"],
                      ["recv", "--compress", method, "tcp:127.0.0.1:0", "null:"]):
            run = Ramjet(scene, *words)
            check(run.wait(5) in (1, 2), f"{words}: exit code {run.wait()}")
            check(method in run.errors, f"{words}: does not name {method}: {run.errors}")


@case("nobody listens")
def refused(scene):
    Ramjet(scene, "send", "synth:1M", "tcp:127.0.0.1:1").failed("127.0.0.1:1", "refused")
    Ramjet(scene, "qmp", "tcp:127.0.0.1:1", "stop").failed("connect to 127.0.0.1:1", "refused")


@case("too few descriptors: which limit, and what raises it")
def descriptors(scene):
    few = ("sh", "-c", 'ulimit -n 40; exec "$@"', "few")
    sender = Ramjet(scene, "send", "--channels", 60, "synth:1M", ramjet.recv(scene, "null:")[1],
                    prefix=few)
    sender.failed("too many open files", "rlimit_nofile", "ulimit -n", "here 40", seconds=20)
    receiver, address = ramjet.recv(scene, "null:", "--connect-timeout", "5s", prefix=few)
    Ramjet(scene, "send", "--channels", 60, "synth:1M", address).failed(seconds=40)
    receiver.failed("too many open files", "rlimit_nofile", "ulimit -n", "here 40", seconds=20)


@case("info of a snapshot, and of something else")
def info(scene):
    receiver, address = recv(scene, f"file:{scene.folder}/vm.snap")
    Ramjet(scene, "send", "synth:16M", address).done()
    receiver.done()
    report = Ramjet(scene, "info", scene.folder / "vm.snap")
    check(report.wait(5) == 0 and b"pc.ram" in report.output, f"{report.output} {report.errors}")
    (scene.folder / "text").write_text("this is no snapshot\n")
    Ramjet(scene, "info", scene.folder / "text").failed("text")
    Ramjet(scene, "info", scene.folder / "absent").failed("absent", "no such file")


# ---- output ----

@case("no escape codes and no progress in a pipe")
def pipe(scene):
    receiver, address = recv(scene, "null:")
    sender = Ramjet(scene, "send", "--max-bandwidth", "400Mbit", "synth:80M,random=100", address)
    sender.done()
    receiver.done()
    for run in (sender, receiver):
        output = run.output + run.errors.encode()
        check(b"\x1b" not in output and b"\r" not in output, f"{run.name}: {output}")


@case("a live line on a terminal")
def terminal(scene):
    receiver, address = recv(scene, "null:")
    sender = Ramjet(scene, "send", "--max-bandwidth", "400Mbit", "synth:80M,random=100", address,
                    terminal=True)
    check(sender.wait(20) == 0, f"{sender.output}")
    receiver.done()
    check(b"\r" in sender.output or b"\x1b" in sender.output, f"{sender.output}")


RESULT = ["status", "total-time", "downtime", "setup-time", "ram", "cpu-time-ms", "guest-bytes",
          "wire-bytes", "channels"]
RESULT_CHANNEL = ["id", "bytes", "packets", "normal", "zero", "wait-ms", "codec-ms",
                  "copied-sends"]


@case("the JSON result")
def json_result(scene):
    receiver, address = recv(scene, "null:", "--json")
    sender = Ramjet(scene, "send", "--json", "--channels", 3, "synth:64M", address)
    sent = sender.done()
    for result in (sent, receiver.done()):
        missing = [name for name in RESULT if name not in result]
        check(not missing, f"not in the result: {missing}")
        check(result["status"] == "completed" and result["guest-bytes"] == 64 << 20, f"{result}")
        check(len(result["channels"]) == 3, f"{len(result['channels'])} channels, want 3")
        check(("expected-downtime" in result) == (result is sent), f"{result}")
        for channel in result["channels"]:
            missing = [name for name in RESULT_CHANNEL if name not in channel]
            check(not missing, f"not in a channel's result: {missing}")


@case("max-bandwidth is a limit")
def bandwidth(scene):
    for channels, mbit in ((4, 800), (0, 800), (1, 2400)):
        receiver, address = recv(scene, "null:")
        sender = Ramjet(scene, "send", "--json", "--channels", channels, "--max-bandwidth",
                        f"{mbit}Mbit", f"synth:{mbit * 3 // 8}M,random=100,zero=0", address)
        result = sender.done()
        receiver.done()
        rate = result["wire-bytes"] * 8 / result["total-time"] / 1000
        # Too slow may be due to a busy machine; too fast is a fault.
        check(rate <= 1.03 * mbit, f"{channels} channels: {rate:.1f} Mbit/s, want {mbit} at most")


# ---- ending early ----

def cancel(scene, scheme, number, who):
    place = folder(scene)
    ends = dict(zip(("send", "recv"), slow_transfer(scene, f"{scheme}:{place}/it")))
    first = ends.pop(who)
    first.send_signal(number)
    other = ends.popitem()[1]
    if number == signal.SIGINT:
        check(first.wait(5) == 3, f"{first.name}: exit code {first.wait()}, want 3")
        check("cancelled" in first.errors.lower(), f"{first.name}: {first.errors}")
    check(other.wait(5) == 1, f"{other.name}: exit code {other.wait()}, want 1")
    check(other.errors.strip(), f"{other.name} does not say why it failed")
    check_empty(place)


for _scheme in ("file", "raw"):
    for _who in ("send", "recv"):
        case(f"SIGINT to {_who}, {_scheme}")(
            lambda scene, s=_scheme, w=_who: cancel(scene, s, signal.SIGINT, w))
case("the sender is killed")(lambda scene: cancel(scene, "file", signal.SIGKILL, "send"))


@case("SIGINT while nobody connects")
def cancel_waiting(scene):
    place = folder(scene)
    receiver, _ = recv(scene, f"file:{place}/vm.snap")
    receiver.send_signal(signal.SIGINT)
    receiver.failed("cancelled", code=3)
    check_empty(place)


def resident(run):
    """Bytes of memory that a process holds."""
    pages = Path(f"/proc/{run.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@case("nothing listens: told before memory is looked for")
def nobody(scene):
    for dest, why in (("tcp:127.0.0.1:1", "refused"), ("tcp:[::1]:1", "connect to"),
                      (f"unix:{scene.folder}/absent", "no such file")):
        Ramjet(scene, "send", "synth:100T", dest).failed("connect to", why)


@case("more memory than there is, and what listens notices nothing")
def too_much(scene):
    receiver, address = recv(scene, "null:")
    room = "are available"
    Ramjet(scene, "send", "synth:100T", address).failed("synth:100t", room, code=2)
    huge = scene.folder / "huge"
    with open(huge, "wb") as file:
        file.truncate(1 << 43)
    Ramjet(scene, "send", f"memory:{huge}", address).failed("memory:", room, code=2)
    Ramjet(scene, "send", "synth:4M", address).done()
    receiver.done()
    check(not receiver.errors, receiver.errors)


@case("more memory than this process may have")
def limited(scene):
    if SLOWNESS > 1:
        raise Skip("a sanitizer maps more than any limit leaves")
    _, address = recv(scene, "null:")
    little = f"ulimit -d $((1 << 20)) && exec {ramjet.binary()} send synth:2G {address}"
    Ramjet(scene, "-c", little, program="/bin/sh").failed("2 gib of memory", "rlimit_data", code=2)


@case("SIGINT while a source is filled")
def cancel_filling(scene):
    _, address = recv(scene, "null:")
    sender = Ramjet(scene, "send", "synth:4G", address)
    until(lambda: resident(sender) > 64 << 20, "the first of its pages")
    sender.send_signal(signal.SIGINT)
    found = sender.wait(2)
    check(found == -signal.SIGINT, f"{sender.name}: exit code {found}: {sender.errors}")


# ---- complete or absent ---- ----

@case("a target that exists needs --force")
def exists(scene):
    place = folder(scene)
    snapshot = place / "vm.snap"
    snapshot.write_text("precious")
    Ramjet(scene, "recv", "tcp:127.0.0.1:0", f"file:{snapshot}").failed("vm.snap", "--force")
    check(snapshot.read_text() == "precious", "an existing file was touched")

    receiver, address = recv(scene, f"file:{snapshot}", "--force")
    Ramjet(scene, "send", "synth:16M", address).done()
    receiver.done()
    with Snapshot(snapshot) as captured:
        check("pc.ram" in captured.blocks, "the file was not replaced")
    check(len(list(place.iterdir())) == 1, "something lies beside it")


@case("a raw target that exists needs --force")
def exists_raw(scene):
    capture = folder(scene)
    (capture / "ram.pc.ram").write_text("precious")
    Ramjet(scene, "recv", "tcp:127.0.0.1:0", f"raw:{capture}").failed("target", "--force")
    check((capture / "ram.pc.ram").read_text() == "precious", "an existing file was touched")


@case("a folder that does not exist")
def no_folder(scene):
    for scheme in ("file", "raw"):
        Ramjet(scene, "recv", "tcp:127.0.0.1:0", f"{scheme}:{scene.folder}/absent/it").failed(
            "absent", "no such file")


@case("a folder that may not be written")
def unwritable(scene):
    place = folder(scene)
    place.chmod(0o555)
    prefix, program = (), None
    if os.geteuid() == 0:  # root may do everything: use another user
        program = shutil.copy(ramjet.binary(), scene.folder)  # that user may not reach the original
        prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    for scheme in ("file", "raw"):
        Ramjet(scene, "recv", "tcp:127.0.0.1:0", f"{scheme}:{place}/it", prefix=prefix,
               program=program).failed("permission denied")


@case("the disk is full")
def full(scene):
    for scheme in ("file", "raw"):
        place = scene.folder / f"disk-{scheme}"
        place.mkdir()
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16M", "tmpfs", place],
                               capture_output=True, text=True, check=False)
        if mount.returncode:
            raise Skip(f"a small disk cannot be mounted here: {mount.stderr.strip()}")
        scene.at_end.callback(subprocess.run, ["umount", "-l", place], check=False)
        receiver, address = recv(scene, f"{scheme}:{place}/it")
        sender = Ramjet(scene, "send", "--channels", 2, "synth:64M,random=100,zero=0", address)
        receiver.failed("no space left")
        sender.failed()
        check_empty(place)


def run(scene, chosen):
    chosen.run(scene)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run))
