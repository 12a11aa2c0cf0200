#!/usr/bin/env python3
"""`ramjet qmp` with the monitors of real QEMUs, by path and by port, in compact
and in pretty JSON."""

import json
import socket
import sys
from collections import namedtuple

from lib import table
from lib.qemu import Qemu
from lib.ramjet import Ramjet
from lib.table import check

Case = namedtuple("Case", "label version run")


class Monitor:
    """A QEMU whose monitor the case asks with `ramjet qmp`."""

    def __init__(self, scene, version, chardev=None, mode="mode=control"):
        self.scene = scene
        path = scene.folder / "monitor"
        chardev = chardev or f"path={path}"
        options = ["-chardev", f"socket,id=second,server=on,wait=off,{chardev}",
                   "-mon", f"chardev=second,{mode}"]
        self.qemu = Qemu(scene, "qemu", version, machine=f"pc-q35-{version}", paused=True,
                         options=options)
        self.address = f"unix:{path}"

    def run(self, *words):
        return Ramjet(self.scene, "qmp", "--timeout", "20s", self.address, *words)

    def ask(self, *words):
        """The answer, which must be one line."""
        run = self.run(*words)
        check(run.wait(25) == 0, f"{words}: exit code {run.wait()}: {run.errors}")
        check(run.output.count(b"\n") == 1 and not run.errors,
              f"{words}: {run.output} {run.errors}")
        return json.loads(run.output)

    def refuses(self, *words, text):
        """QEMU refuses the command; the one line contains this."""
        run = self.run(*words)
        check(run.wait(25) == 1 and not run.output, f"{words}: {run.wait()} {run.output}")
        check(run.errors.count("\n") == 1 and run.errors.startswith(f"ramjet qmp: {text}"),
              f"{words}: want {text!r} in: {run.errors}")


def queries(monitor):
    status = monitor.ask("query-status")
    check(status["running"] is False, f"{status}")
    known = {c["capability"] for c in monitor.ask("query-migrate-capabilities")}
    check({"multifd", "return-path"} <= known, f"{known}")
    check(len(monitor.ask("query-qmp-schema")) > 100, "the longest answer there is")
    check(monitor.ask("human-monitor-command", "command-line=info version")[0].isdigit(),
          "want a string")
    run = monitor.run("--pretty", "query-status")
    check(run.wait(25) == 0 and run.output.count(b"\n") > 2 and json.loads(run.output) == status,
          f"{run.output} {run.errors}")
    check(monitor.ask("cont") == {}, "want an empty object")
    check(monitor.ask("query-status")["running"] is True, "the guest does not run")


def settings(monitor):
    monitor.ask("migrate-set-capabilities",
                'capabilities=[{"capability": "multifd", "state": true}]')
    state = {c["capability"]: c["state"] for c in monitor.ask("query-migrate-capabilities")}
    check(state["multifd"] is True, f"{state}")
    monitor.ask("migrate-set-parameters", "multifd-channels=3", "max-bandwidth=4294967296",
                "multifd-compression=zlib", "tls-hostname=host.example")
    set_to = monitor.ask("query-migrate-parameters")
    found = [set_to[name] for name in ("multifd-channels", "max-bandwidth", "multifd-compression",
                                       "tls-hostname")]
    check(found == [3, 1 << 32, "zlib", "host.example"], f"{found}")
    monitor.ask("migrate-set-parameters", '{"downtime-limit": 77}')
    check(monitor.ask("query-migrate-parameters")["downtime-limit"] == 77, "the whole object")


def objects(monitor):
    monitor.ask("object-add", "qom-type=throttle-group", "id=t0", "limits.iops-total=5",
                "limits.bps-read=1048576")
    limits = monitor.ask("qom-get", "path=/objects/t0", "property=limits")
    check(limits["iops-total"] == 5 and limits["bps-read"] == 1 << 20, f"{limits}")
    monitor.ask("object-add", "qom-type=memory-backend-ram", "id=m1", "size=1048576", "share=true")
    check(monitor.ask("qom-get", "path=/objects/m1", "property=share") is True, "want true")


def refusals(monitor):
    monitor.refuses("no-such-command", text="no-such-command: CommandNotFound: ")
    monitor.refuses("migrate-set-parameters", "multifd-channels=0",
                    text="migrate-set-parameters: GenericError: ")
    monitor.refuses("migrate-set-parameters", 'max-bandwidth="fast"',
                    text="migrate-set-parameters: GenericError: ")
    monitor.refuses("object-add", "qom-type=no-such-type", "id=x",
                    text="object-add: GenericError: ")


def quits(monitor):
    check(monitor.ask("quit") == {}, "want an empty object")
    check(monitor.qemu.wait(20) == 0, "QEMU did not end")
    monitor.refuses("query-status", text="connect to unix:")


def path(run, **options):
    return lambda scene, version: run(Monitor(scene, version, **options))


def port(scene, version):
    """Over TCP, at the port that QEMU has chosen."""
    monitor = Monitor(scene, version, chardev="host=127.0.0.1,port=0")
    report = {c["label"]: c["filename"] for c in monitor.qemu.qmp("query_chardev")}["second"]
    # "disconnected:tcp:127.0.0.1:34567,server=on"
    monitor.address = report.removeprefix("disconnected:").partition(",")[0]
    queries(monitor)


def busy(scene, version):
    """A monitor serves one connection; the next client waits for its greeting."""
    monitor = Monitor(scene, version)
    with socket.socket(socket.AF_UNIX) as first:
        first.connect(monitor.address.removeprefix("unix:"))
        check(first.recv(2), "want a greeting")
        run = Ramjet(scene, "qmp", "--timeout", "1s", monitor.address, "query-status")
        check(run.wait(20) == 1 and "no greeting: gave up waiting" in run.errors, run.errors)
    monitor.ask("query-status")


RUNS = {
    "queries": path(queries),
    "queries, pretty monitor": path(queries, mode="mode=control,pretty=on"),
    "queries by TCP": port,
    "capabilities and parameters": path(settings),
    "objects with nested properties": path(objects),
    "refusals": path(refusals),
    "quit": path(quits),
    "a monitor that is busy": busy,
}
CASES = [Case(f"{version} {label}", version, run) for version in ("7.2", "10.0")
         for label, run in RUNS.items()]

if __name__ == "__main__":
    sys.exit(table.main(CASES, lambda scene, case: case.run(scene, case.version)))
