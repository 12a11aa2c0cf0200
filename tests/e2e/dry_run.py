#!/usr/bin/env python3
"""`ramjet recv --dry-run` measures a live guest: the migration is refused at the switch-over, the guest
goes on where it was, and can still be moved for good."""

import signal
import socket
import struct
import sys
from dataclasses import dataclass

from lib import certs, journey, table
from lib.qemu import Qemu
from lib.ramjet import Ramjet
from lib.runner import Vm, dirtier, moved
from lib.scene import until
from lib.table import check

RETURN = ("return-path",)
ACK = (*RETURN, "switchover-ack")
MEASURED = "has only measured (a dry run)"


@dataclass
class Case:
    label: str
    version: str = None
    machine: str = None
    channels: int = 0
    capabilities: tuple = RETURN
    method: str = "none"
    end: str = "source-stopped"  # which sign ends the measurement
    refused: tuple = ()          # words of the reason, where nothing is measured
    options: tuple = ()
    tls: str = None
    run: object = None  # instead of a QEMU: a function of scene and case
    after: object = None  # of a source that does not obey: what it does after RAM's last section


CASES = [
    Case("7.2 main channel", version="7.2", machine="pc-q35-7.2"),
    Case("7.2 2 channels", version="7.2", machine="pc-q35-7.2", channels=2),
    Case("7.2 4 channels, zstd", version="7.2", machine="pc-q35-7.2", channels=4, method="zstd"),
    Case("7.2 no return path", version="7.2", machine="pc-q35-7.2", capabilities=(),
         refused=("no return path", "set return-path on")),
    Case("7.2 postcopy possible", version="7.2", machine="pc-q35-7.2",
         capabilities=(*RETURN, "postcopy-ram"), refused=("postcopy-ram", "switch it off")),
    Case("10.0 main channel", version="10.0", machine="pc-q35-10.0"),
    Case("10.0 2 channels", version="10.0", machine="pc-q35-10.0", channels=2),
    Case("10.0 4 channels, zstd", version="10.0", machine="pc-q35-10.0", channels=4,
         method="zstd"),
    Case("10.0 machine 8.2, 2 channels", version="10.0", machine="pc-q35-8.2", channels=2),
    Case("10.0 switchover-ack, main channel", version="10.0", machine="pc-q35-10.0",
         capabilities=ACK, end="rounds-settled", options=("--downtime-limit", "600s")),
    Case("10.0 switchover-ack, 2 channels", version="10.0", machine="pc-q35-10.0", channels=2,
         capabilities=ACK, end="rounds-settled", options=("--downtime-limit", "600s")),
    Case("10.0 no return path", version="10.0", machine="pc-q35-10.0", capabilities=(),
         refused=("no return path",)),
    Case("10.0 TLS, 2 channels", version="10.0", machine="pc-q35-10.0", channels=2, tls="X.509"),
    Case("11.1 2 channels", version="11.1", machine="pc-q35-11.1", channels=2),
]


def measure(scene, *options):
    """A receiver that only measures; returns it and its address."""
    receiver = Ramjet(scene, "recv", "--dry-run", "--json", *options, "tcp:127.0.0.1:0")
    return receiver, receiver.listening()


def check_figures(result, end, channels):
    found = result["dry-run"]
    check(result["status"] == "measured", f"status is {result['status']}")
    check(found["end"] == end, f"it ended by {found['end']}, want {end}")
    check(found["bytes-per-s"] > 0 and found["rounds"] > 0, f"figures are missing: {found}")
    check(len(result["channels"]) == channels, f"{len(result['channels'])} channels")
    names = {c["method"] for c in found["compression"]}
    check({"zlib", "zstd"} <= names, f"only {names} were tried")
    check(all(c["ratio"] >= 1 and c["core-bytes-per-s"] > 0 for c in found["compression"]),
          f"packing: {found['compression']}")


def stood_still(events):
    """For how many ms the events of a QEMU say that its guest was stopped; None: it was not."""
    at = {e["event"]: e["timestamp"] for e in events if e["event"] in ("STOP", "RESUME")}
    if "STOP" not in at:
        return None
    check("RESUME" in at, "the guest was stopped and has not been resumed")
    stamp = {name: t["seconds"] * 1000 + t["microseconds"] / 1000 for name, t in at.items()}
    return stamp["RESUME"] - stamp["STOP"]


def fails(source, address):
    """Migrates; it must fail, and the guest runs on. Returns its events meanwhile."""
    source.qmp("migrate_set_parameters", downtime_limit=1, max_bandwidth=64 << 20)
    source.qmp("migrate", uri=address)
    events = source.qmp.events_until(lambda e: e.get("data", {}).get("status") == "failed"
                                     or e.get("data", {}).get("pass", 0) > 3)
    if "pass" in events[-1]["data"]:
        source.qmp("migrate_set_parameters", downtime_limit=2000, max_bandwidth=64 << 30)
    events += [] if "status" in events[-1]["data"] else source.qmp.events_until(lambda e: e.get("data", {}).get("status") == "failed")
    until(lambda: source.qmp("query_status")["running"], "the guest to run")
    source.passes(2)
    until(lambda: {"type": "migration"} not in source.qmp("query_yank"), "the migration's end")
    return [*events, *source.qmp.events_so_far()]


def run(scene, case):
    if case.run:
        case.run(scene, case)
        return
    server, client = certs.pair(scene.folder, case.tls) if case.tls else (None, None)
    source = Qemu(scene, "source", case.version, machine=case.machine,
                  options=client.qemu("client") if client else ())
    source.configure(case.capabilities, case.channels, **({"tls_creds": "tls0"} if client else {}),
                     **({"multifd_compression": case.method} if case.channels else {}))
    receiver, address = measure(scene, *case.options, *(server.ramjet() if server else ()))
    source.passes(2)
    events = fails(source, address)
    if case.refused:
        receiver.failed(*case.refused)
        return
    result = receiver.done()
    check_figures(result, case.end, case.channels)
    still = stood_still(events)
    check((still is None) == (case.end == "rounds-settled"), f"the guest stood still for {still} ms")
    print(f"  {case.label}: the guest stood still for {still or 0:.1f} ms; "
          f"{source.qmp('query_migrate').get('error-desc')}")

    if "switchover-ack" in case.capabilities:
        source.qmp("migrate_set_capabilities",
                   capabilities=[{"capability": "switchover-ack", "state": False}])
    if client:
        return
    snapshot = scene.folder / "vm.snap"
    journey.capture(scene, source, f"file:{snapshot}")
    journey.compare(snapshot, source)


# ---- ramjet as the source ----

def vm(scene, case):
    """It is told at once, and does not stop its guest at all."""
    source = dirtier(scene, "--accel", "synth")
    source.set(multifd=case.channels > 0, return_path=True,
               switchover_ack="switchover-ack" in case.capabilities)
    source.parameters(**{"multifd-channels": max(case.channels, 1),
                         "multifd-compression": case.method})
    receiver, address = measure(scene)
    source.qmp.forget()
    source.qmp("migrate", uri=address)
    source.qmp.status("cancelled")
    check_figures(receiver.done(), "source-told", case.channels)
    why = source.qmp("query-migrate")["error-desc"]
    check(MEASURED in why, f"the source says: {why}")
    check(source.state() == "running", f"the source is {source.state()}")
    source.swept()

    target = Vm(scene, "--accel", "synth")
    target.set(multifd=case.channels > 0)
    target.parameters(**{"multifd-channels": max(case.channels, 1),
                         "multifd-compression": case.method})
    source.set(switchover_ack=False)
    moved(source, target, target.listen())
    target.swept()


def send(scene, case):
    receiver, address = measure(scene)
    sender = Ramjet(scene, "send", "--channels", case.channels, "--compress", case.method,
                    "synth:64M,dirty=20M", address)
    sender.failed(MEASURED, code=3)
    check_figures(receiver.done(), "source-told", case.channels)


# ---- sources that do not obey ----

EOS, FOOTER = struct.pack(">Q", 0x10), struct.pack(">BI", 0x7e, 1)
HEAD = (b"QEVM" + struct.pack(">I", 3) + b"\x07" + struct.pack(">I", 10) + b"pc-q35-7.2")
OPEN = struct.pack(">BHH", 8, 1, 0)
LIST = (b"\x01" + struct.pack(">I", 1) + b"\x03ram" + struct.pack(">II", 0, 4)
        + struct.pack(">Q", 1 << 20 | 4) + b"\x01m" + struct.pack(">Q", 1 << 20) + EOS + FOOTER)
PAGE = struct.pack(">Q", 0x08) + b"\x01m" + b"x" * 4096
PART = b"\x02" + struct.pack(">I", 1) + PAGE + EOS + FOOTER
LAST = b"\x03" + struct.pack(">I", 1)


def flood(connection):
    """Goes on sending until it is cut."""
    try:
        while True:
            connection.sendall(PAGE * 64)
    except OSError:
        pass


def hang(connection):
    """Neither sends nor reads any more."""
    del connection


def disobey(scene, case):
    receiver, address = measure(scene)
    host, port = address.removeprefix("tcp:").rsplit(":", 1)
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(HEAD + OPEN + LIST + PART + LAST)
        case.after(connection)
        result = receiver.done(20)
    check(result["status"] == "measured" and result["dry-run"]["end"] == "source-stopped",
          f"it found {result}")


def cancelled(scene, case):
    """A guest that never comes to the switch-over: a signal ends it, with figures."""
    source = dirtier(scene, "--accel", "synth", guest="dirtier,rate=200M,timer=10ms")
    source.parameters(**{"max-bandwidth": 20 << 20, "downtime-limit": 1})
    receiver, address = measure(scene)
    source.qmp.forget()
    source.qmp("migrate", uri=address)
    until(lambda: source.qmp("query-migrate").get("ram", {}).get("dirty-sync-count", 0) > 2,
          "two rounds")
    receiver.send_signal(signal.SIGINT)
    receiver.failed("cancelled", code=3)
    result = receiver.result()
    check(result["status"] == "cancelled" and result["dry-run"]["end"] == "none", f"{result}")
    check(result["dry-run"]["dirty-bytes-per-s"] > 0, f"no rate of writing: {result['dry-run']}")
    source.qmp.status("cancelled")
    check(source.state() == "running", f"the source is {source.state()}")
    source.swept()


CASES += [
    Case("ramjet vm, main channel", run=vm),
    Case("ramjet vm, 2 channels", run=vm, channels=2),
    Case("ramjet vm, 4 channels, zstd", run=vm, channels=4, method="zstd"),
    Case("ramjet vm, switchover-ack", run=vm, channels=2, capabilities=ACK),
    Case("ramjet vm, cancelled", run=cancelled),
    Case("ramjet send, 2 channels", run=send, channels=2),
    Case("hostile: goes on sending", run=disobey, after=flood),
    Case("hostile: hangs", run=disobey, after=hang),
]


if __name__ == "__main__":
    sys.exit(table.main(CASES, run))
