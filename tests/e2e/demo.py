#!/usr/bin/env python3
"""The main jobs as short transcripts; scripts/demo builds and runs it. It uses the parts of the
end-to-end tests, so it shows only what they check."""

import argparse
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import namedtuple

from lib import certs, ram, ramjet
from lib.asked_vm import Runner
from lib.monitor import Monitor
from lib.netns import Netns
from lib.qemu import Qemu
from lib.ramjet import Ramjet
from lib.runner import Vm, demand_kvm
from lib.scene import Scene, until
from lib.snapshot import Snapshot
from lib.table import Skip, check
from lib.upgrade import command as exec_command
from lib.upgrade import replaced

MACHINE = "pc-q35-7.2"  # every QEMU that ramjet supports has it

MEMORY, CPUS, RATE, CHANNELS = "1G", 2, "100M", 4
PAGES = (1 << 30) // 4096
FILLING_SECONDS = 12  # time for a guest that writes at RATE to write as many pages as it has

# The places of the two ends: network namespaces, or None, and the destination's address.
Path = namedtuple("Path", "a b ip")


# --- showing --------------------------------------------------------------------------------------

def title(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def command(text):
    print(f"  $ {text}", flush=True)


def good(text):
    print(f"  ✓ {text}", flush=True)


def notice(text):
    print(f"  ! {text}", flush=True)


def quote(output):
    print("    " + output.decode().strip().replace("\n", "\n    "), flush=True)


def figures(result):
    """One line from a JSON result."""
    seconds = max(1, result["total-time"]) / 1000
    downtime = f", downtime {result['downtime']} ms" if result["downtime"] else ""
    return (f"{result['wire-bytes'] / 1e6:.0f} MB over {len(result['channels'])} channels in "
            f"{seconds:.2f} s, {result['wire-bytes'] / 1e9 / seconds:.2f} GB/s{downtime}")


# --- a live guest ---------------------------------------------------------------------------------

def find_path(scene):
    title("A path: two network namespaces, a cable between them, a certificate for each end")
    try:
        net = Netns(scene)
    except Skip as why:
        notice(f"{why}: both ends are in this one instead, on its loopback interface")
        return Path(None, None, "127.0.0.1")
    good(f"{net.a} is {net.ip_a}, {net.b} is {net.ip_b}")
    return Path(net.a, net.b, net.ip_b)


def credentials(scene, path):
    """Folders with QEMU's file names: the destination's and the source's."""
    authority = certs.Authority(scene.folder)
    there = authority.server("destination", hosts=[f"IP:{path.ip}"])
    here = authority.client("source")
    good(f"the destination's is for {path.ip}; an authority that exists for this demo signs both")
    return there.folder, here.folder


def awaited(scene, vm, holds, seconds=math.inf):
    """The guest's figures when `holds` is true for them, or when the time is over."""
    monitor = Monitor(vm.address)
    scene.at_end.callback(monitor.close)
    end = time.monotonic() + seconds
    while not holds(guest := monitor("x-query-guest")) and time.monotonic() < end:
        time.sleep(0.1)
    return guest


def filled(scene, source):
    """Waits until the guest has written as many pages as it has; gives up on a
    very busy machine."""
    guest = awaited(scene, source, lambda g: g["pages-written"] >= PAGES, FILLING_SECONDS)
    check(guest["errors"] == 0, f"{guest}")
    return guest


def start_guest(scene, path):
    title(f"A guest of {MEMORY} and {CPUS} vCPUs that writes {RATE} a second, and remembers what")
    guest = f"dirtier,rate={RATE}"
    shape = f"--memory {MEMORY} --cpus {CPUS}"
    command(f"ramjet vm --guest {guest} {shape} --qmp unix:source")
    source = Runner(scene, "source", "--guest", guest, "--cpus", CPUS, memory=MEMORY, netns=path.a)
    command(f"ramjet vm --incoming defer {shape} --qmp unix:destination")
    target = Runner(scene, "destination", "--incoming", "defer", "--cpus", CPUS, memory=MEMORY,
                    netns=path.b)
    guest = filled(scene, source)
    good(f"it runs: {guest['pages-written']} pages written, {guest['pages-verified']} verified, "
         "0 wrong")
    return source, target


def migrate(scene, path, source, target, there, here):
    title("It moves while it writes")
    command(f"ramjet migrate --listen {path.ip} --channels {CHANNELS} --compress zstd "
            "--set auto-converge=on \\\n      --tls-creds-from tls/source --tls-creds-to "
            "tls/destination unix:source unix:destination")
    # Its progress line is drawn on a terminal; without one it prints a line each second.
    run = Ramjet(scene, "migrate", "--progress", "always", "--listen", path.ip,
                 "--channels", CHANNELS, "--compress", "zstd", "--set", "auto-converge=on",
                 "--tls-creds-from", here, "--tls-creds-to", there, source.address,
                 target.address, shown=True)
    check(run.wait() == 0, "ramjet migrate has failed; its own line says why")
    quote(run.output)


def verdict(scene, source, target, kvm):
    title("The guest's own verdict, at the destination")
    guest = awaited(scene, target, lambda g: g["sweeps"] >= 1)  # the scene's time limit ends it
    check(guest["errors"] == 0 and guest["moves"] == 1, f"{guest}")
    good("it has been through all of its memory since, and each page is what its ledger says")
    source.verdict(signal.SIGINT)
    last = target.verdict(signal.SIGINT)
    others = "registers, timers and clocks" if kvm else "clocks"
    good(f"it ends with exit code 0: {last['pages-verified']} pages verified, {last['errors']} "
         f"wrong; {others} as it left them")
    return last


def summary(report, guest):
    title("In short")
    moved = report["ram"]
    print(f"  moved        {moved['total'] / (1 << 30):.2f} GiB in "
          f"{report['total-time'] / 1000:.2f} s, {moved['dirty-sync-count']} rounds\n"
          f"  on the wire  {moved['transferred'] / 1e6:.0f} MB, {len(report['channels'])} "
          "channels, zstd, TLS\n"
          f"  stood still  {report['downtime']} ms as the source tells it, "
          f"{guest['last-move-gap-us'] / 1000:.1f} ms by the guest's own clock\n"
          f"  wrong pages  {guest['errors']}", flush=True)


def live_guest(scene, path, there, here, kvm):
    source, target = start_guest(scene, path)
    migrate(scene, path, source, target, there, here)
    report = source.ask("query-migrate")
    summary(report, verdict(scene, source, target, kvm))


def live(scene):
    path = find_path(scene)
    there, here = credentials(scene, path)
    try:
        demand_kvm(scene)
        kvm = True
    except Skip as why:
        notice(f"{why}: the guest's vCPUs are threads of `ramjet vm` instead (--accel synth)")
        kvm = False
    live_guest(scene, path, there, here, kvm)


# --- QEMU and snapshots ---------------------------------------------------------------------------

def capture(scene):
    title("A running QEMU guest that keeps writing, into a file over four channels")
    source = Qemu(scene, "source", "7.2", machine=MACHINE)
    source.configure(["return-path"], channels=CHANNELS)
    command("ramjet recv tcp:127.0.0.1:0 file:vm.snap")
    receiver, address = ramjet.recv(scene, f"file:{scene.folder}/vm.snap", "--json")
    good(f"listening on {address}; the receiver is told nothing else")
    source.passes(2)
    source.migrate(address)
    result = receiver.done()
    good(f"received {figures(result)}")
    with Snapshot(scene.folder / "vm.snap") as snapshot:
        ram.same("snapshot", snapshot.blocks["m"].pieces(), ram.pieces(source.memory))
    good("every page of the snapshot equals the stopped guest's memory")
    return source


def info(scene):
    title("What the snapshot holds")
    command("ramjet info vm.snap")
    report = Ramjet(scene, "info", scene.folder / "vm.snap")
    report.done()
    quote(report.output)


def replay(scene, source):
    title("From the file into a waiting QEMU")
    target = Qemu(scene, "target", "7.2", machine=MACHINE, incoming="defer", paused=True)
    target.configure(channels=CHANNELS)
    address = target.listen()
    command(f"ramjet send --channels {CHANNELS} file:vm.snap {address}")
    sender = Ramjet(scene, "send", "--json", "--channels", CHANNELS,
                    f"file:{scene.folder}/vm.snap", address)
    good(f"sent {figures(sender.done())}")
    target.migrated()
    good("QEMU reports: completed")
    ram.same_files("memory", target.memory, source.memory)
    good("every page of its memory equals the first guest's")
    target.qmp("cont")
    target.passes(3)
    good("the guest goes on, and has checked all its memory three times since")


def between_ramjets(scene):
    title("Between two ramjets, while 200 MB/s change")
    receiver, address = ramjet.recv(scene, "null:", "--digest", "--json")
    command(f"ramjet send --channels {CHANNELS} synth:1G,dirty=200M {address}")
    sender = Ramjet(scene, "send", "--channels", CHANNELS, "--digest", "--json",
                    "synth:1G,dirty=200M", address)
    sent, received = sender.done(), receiver.done()
    good(f"sent {figures(sent)}, {sent['ram']['dirty-sync-count']} rounds")
    check(sent["digest"] and sent["digest"] == received["digest"],
          f"digests differ: {sent['digest']}, {received['digest']}")
    good(f"both ends hold the same memory: xxh64 {sent['digest'][0]['xxh64']}")


def snapshot(scene):
    source = capture(scene)
    info(scene)
    replay(scene, source)
    scene.end_processes()
    between_ramjets(scene)


# --- a new program for a running guest --------------------------------------------------------------

UPGRADES = 5


def install(program, where):
    """Replaces the file in one step: running programs keep the old file."""
    shutil.copy(program, f"{where}.new")
    os.replace(f"{where}.new", where)


def build_newer():
    """DEMO_BUILD, a command, builds another ramjet; without it the next program is the same."""
    if "DEMO_BUILD" in os.environ:
        subprocess.run(["bash", "-c", os.environ["DEMO_BUILD"]], check=True)
    return ramjet.binary()


def start_upgraded(scene, installed, kvm):
    title(f"A guest of {MEMORY} that writes {RATE} a second, in memory that is a file's")
    guest = f"dirtier,rate={RATE}"
    accel = [] if kvm else ["--accel", "synth"]
    command(f"ramjet vm --guest {guest} --memory {MEMORY} --backend memfd --qmp unix:monitor")
    vm = Vm(scene, "--backend", "memfd", "--json", *accel, guest=guest, memory=MEMORY, cpus=CPUS,
            program=installed)
    until(lambda: vm.guest()["pages-written"] >= PAGES // 8, "its writing", 60)
    good(f"process {vm.pid} is {vm.qmp('query-version')['package']}")
    return vm


def fail_once(scene, vm):
    title("First a program that is not there")
    vm.parameters(mode="cpr-exec", cpr_exec_command=["/nowhere/ramjet"])
    vm.qmp("migrate", uri=f"file:{scene.folder}/state")
    vm.qmp.status("failed")
    notice(vm.qmp("query-migrate")["error-desc"])
    check(vm.qmp("query-status")["running"], "the guest does not run")
    good("the guest runs on, in the program that it was in")


def exchange(scene, vm, installed):
    title("It becomes the new one, with the guest in it")
    command("ramjet qmp unix:monitor migrate-set-parameters mode=cpr-exec cpr-exec-command='[…]'")
    command("ramjet qmp unix:monitor migrate uri=file:state")
    quote(" ".join(exec_command(vm, scene.folder / "state", installed)).encode())
    guest = replaced(vm, scene.folder / "state", installed)
    good(f"process {vm.pid} is {vm.qmp('query-version')['package']} now; the guest stood still "
         f"for {guest['last-move-gap-us'] / 1000:.1f} ms by its own clock")
    gaps = [guest["last-move-gap-us"]]
    for _ in range(UPGRADES - 1):
        gaps.append(replaced(vm, scene.folder / "state", installed)["last-move-gap-us"])
    good(f"and {UPGRADES - 1} times more: {statistics.median(gaps) / 1000:.1f} ms at the median")


def upgrade(scene):
    try:
        demand_kvm(scene)
        kvm = True
    except Skip as why:
        notice(f"{why}: the guest's vCPUs are threads of `ramjet vm` instead (--accel synth)")
        kvm = False
    installed = scene.folder / "ramjet"
    install(ramjet.binary(), installed)
    vm = start_upgraded(scene, installed, kvm)
    title("A newer ramjet is built and installed while the guest runs")
    install(build_newer(), installed)
    newer = subprocess.run([installed, "--version"], capture_output=True, text=True, check=True)
    good(f"the file is {newer.stdout.strip()}, the process still what it was")
    fail_once(scene, vm)
    exchange(scene, vm, installed)
    title("The guest's own verdict")
    guest = vm.swept()
    check(guest["moves"] == UPGRADES, f"{guest}")
    vm.qmp("quit")
    check(vm.wait(20) == 0, f"it has failed: {vm.errors}")
    good(f"it has been through all of its memory since: {guest['pages-verified']} pages verified, "
         f"{guest['errors']} wrong; the same process from the beginning to the end")


# --- all scenes -----------------------------------------------------------------------------------

PARTS = {"live": live, "snapshot": snapshot, "upgrade": upgrade}


def main():
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("part", nargs="?", choices=PARTS, default="live")
    part = PARTS[parser.parse_args().part]
    start = time.monotonic()
    with Scene(seconds=120) as scene:
        try:
            part(scene)
        except Skip as why:
            print(f"skipped: {why}")
            sys.exit(77)
        except KeyboardInterrupt:
            sys.exit("\ninterrupted; nothing is left behind")
        except Exception as problem:
            sys.exit(f"\n{problem}\n{scene.story()}")
    title(f"All of it worked, in {time.monotonic() - start:.0f} s.")


if __name__ == "__main__":
    main()
