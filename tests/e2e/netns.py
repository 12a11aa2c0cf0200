#!/usr/bin/env python3
"""Migrations over a path between two network namespaces that is slow, loses packets, or is cut:
what arrives is complete, and what cannot arrive ends in one line at each end, not in a hang."""

import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

from lib import journey, ramjet, table
from lib.asked_vm import Runner
from lib.netns import Netns
from lib.qemu import Qemu
from lib.ramjet import Ramjet
from lib.runner import demand_kvm
from lib.scene import patience, until
from lib.table import check

Case = namedtuple("Case", "label run")

STALL = 3  # seconds of --stall-timeout where the path is cut
SCRIPT = Path(__file__).parents[2] / "scripts" / "netns"


def start(scene, net, source, *options, target="null:"):
    """`ramjet send` in a, and `ramjet recv` in b."""
    receiver, address = ramjet.recv(scene, target, "--json", "--digest", *options,
                                    listen=f"tcp:{net.ip_b}:0", netns=net.b)
    sender = Ramjet(scene, "send", "--json", "--digest", *options, source, address, netns=net.a)
    return sender, receiver


def arrives(sender, receiver):
    sent, received = sender.done(), receiver.done()
    check(sent["digest"] and sent["digest"] == received["digest"], "digests differ")
    return sent


def slow(scene):
    """200 Mbit/s: 25 MB of wire in every second and no more."""
    net = Netns(scene, "--rate", "200mbit")
    before, _ = net.sent()
    sent = arrives(*start(scene, net, "synth:64M,random=60,zero=20", "--channels", 4))
    on_path = net.sent()[0] - before
    wire = sent["wire-bytes"]
    check(wire > 30e6, f"{wire} bytes are too few for this to mean anything")
    # Headers of TCP, IP and Ethernet, acknowledgements, and segments that were sent twice.
    check(wire < on_path < 1.2 * wire, f"{on_path} bytes on the path, {wire} on the wire")
    fastest = wire / 25e6
    took = sent["total-time"] / 1000
    check(took > 0.8 * fastest, f"{took} s, while {fastest:.1f} s is all the rate allows")


def wide(scene):
    """Large packets, and a bandwidth limit below the path's."""
    net = Netns(scene, "--rate", "400mbit", "--mtu", 9000)
    sender, receiver = start(scene, net, "synth:32M,random=100,zero=0")
    sent = arrives(sender, receiver)
    check(sent["wire-bytes"] > 32 << 20, f"{sent['wire-bytes']} bytes")


def lossy(options):
    def run(scene):
        net = Netns(scene, "--loss", 0.01)
        arrives(*start(scene, net, "synth:64M,random=60,zero=20,dirty=10M", *options))
        check(net.sent()[1] > 10, f"{net.sent()[1]} segments were sent again: nothing was lost")
    return run


def under_way(net, sender):
    start_bytes = net.sent()[0]
    until(lambda: net.sent()[0] - start_bytes > 8 << 20, f"{sender.name} to be under way")


def cut(how, options):
    """The path is lost: both ends notice it themselves, in time."""
    def run(scene):
        net = Netns(scene, "--rate", "200mbit")
        image = scene.folder / "image"
        with image.open("wb") as file:
            file.write(bytes(range(256)) * (1 << 20))
        sender, receiver = start(scene, net, f"image:{image}", "--stall-timeout", f"{STALL}s",
                                 *options, target=f"file:{scene.folder}/vm.snap")
        under_way(net, sender)
        at = time.monotonic()
        how(net)
        sender.failed(seconds=30)
        receiver.failed("was not written", seconds=30)
        if how is Netns.cut:
            for end in (sender, receiver):
                check(f"for {STALL}.0 s (--stall-timeout)" in end.errors,
                      f"{end.name}: want the limit in: {end.errors}")
        took = time.monotonic() - at
        check(took < patience(4 * STALL), f"{took:.1f} s, with a stall timeout of {STALL} s")
        check(not (scene.folder / "vm.snap").exists(), "half a snapshot was left behind")
        check(image.stat().st_size == 256 << 20, "the source was changed")
    return run


def mended(scene):
    """The path is back before any time limit has passed."""
    net = Netns(scene, "--rate", "400mbit")
    sender, receiver = start(scene, net, "synth:64M,random=60,zero=20", "--stall-timeout", "20s")
    under_way(net, sender)
    net.cut()
    time.sleep(1)  # the length of the outage: there is no event to wait for
    net.mend()
    arrives(sender, receiver)


def migrate(scene):
    """Two QEMUs, one in each namespace, driven from outside of both: their monitors are paths."""
    net = Netns(scene, "--rate", "200mbit", "--loss", 0.001)
    source, target = (Qemu(scene, name, "10.0", machine="pc-q35-7.2", netns=netns, **shape, options=[
        "-qmp", f"unix:{scene.folder}/{name}.monitor,server=on,wait=off"]) for name, netns, shape in
        (("source", net.a, {}), ("target", net.b, {"incoming": "defer", "paused": True})))
    source.passes(2)
    run = Ramjet(scene, "migrate", "--json", "--listen", net.ip_b, "--channels", 4,
                 "--downtime-limit", "2s", f"unix:{scene.folder}/source.monitor",
                 f"unix:{scene.folder}/target.monitor")
    found = run.done()
    check(found["uri"].startswith(f"tcp:{net.ip_b}:"), f"{found['uri']}")
    check(net.sent()[0] > found["ram"]["transferred"] > 30e6, f"{net.sent()} {found['ram']}")
    journey.arrived(target, source)


def runners(scene):
    """A guest under KVM that writes while it moves, and reports what it finds."""
    demand_kvm(scene)
    net = Netns(scene, "--rate", "1gbit", "--loss", 0.001)
    source = Runner(scene, "source", "--guest", "dirtier,rate=20M", netns=net.a)
    target = Runner(scene, "target", "--incoming", "defer", netns=net.b)
    before, _ = net.sent()
    found = Ramjet(scene, "migrate", "--json", "--listen", net.ip_b, "--compress", "zstd",
                   source.address, target.address).done()
    check(net.sent()[0] - before > found["ram"]["transferred"], f"{net.sent()} {found['ram']}")
    check(found["guest"]["errors"] == 0 and found["guest"]["moves"] == 1, f"{found['guest']}")
    target.runs()


def leaves_nothing(scene):
    """However the script ends, its namespaces are removed; those of a killed one by the next."""
    def names():
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
        return {line.split()[0] for line in listed.stdout.splitlines()}

    Netns(scene)  # skips with the reason if there are none
    for number, code, left in (("TERM", 143, 0), ("INT", 130, 0), ("KILL", -9, 2)):
        with subprocess.Popen([SCRIPT, "sh", "-c", "echo $NETNS_A $NETNS_B; exec sleep 60"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True) as script:  # the sleep of a killed one stays a minute
            mine = set(script.stdout.readline().split())
            check(len(mine) == 2 and mine <= names(), f"{mine} are not all in {names()}")
            subprocess.run(["kill", f"-{number}", str(script.pid)], check=True)
            check(script.wait(patience(10)) == code, f"SIG{number}: {script.wait()}")
            check(len(mine & names()) == left, f"after SIG{number}: {names()}")
            subprocess.run([SCRIPT, "clean"], check=True)
            check(not mine & names(), f"cleaned after SIG{number}: {names()}")
    done = subprocess.run([SCRIPT, "sh", "-c", "exit 9"], check=False)
    check(done.returncode == 9, f"the command's exit code became {done.returncode}")


CASES = [
    Case("200 Mbit/s, 4 channels", slow),
    Case("400 Mbit/s, MTU 9000", wide),
    Case("loss of 1 %, 4 channels", lossy(["--channels", 4])),
    Case("loss of 1 %, main channel", lossy(["--channels", 0])),
    Case("cut, 4 channels", cut(Netns.cut, ["--channels", 4])),
    Case("cut, main channel", cut(Netns.cut, ["--channels", 0])),
    Case("unplugged, main channel", cut(Netns.unplug, ["--channels", 0])),
    Case("cut and mended", mended),
    Case("QEMU to QEMU by ramjet migrate", migrate),
    Case("ramjet vm to ramjet vm", runners),
    Case("scripts/netns leaves nothing behind", leaves_nothing),
]

if __name__ == "__main__":
    sys.exit(table.main(CASES, lambda scene, case: case.run(scene), seconds=60))
