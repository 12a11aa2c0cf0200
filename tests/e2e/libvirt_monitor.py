#!/usr/bin/env python3
"""A monitor that libvirt holds, as libvirt:DOMAIN: `qmp`, `save` and `migrate` through a real
libvirt, and through a virsh that is not what it should be."""

import json
import os
import shutil
import sys
from collections import namedtuple

from lib import ram, table
from lib.driven import Vm
from lib.libvirt import Libvirt
from lib.ramjet import Ramjet, binary
from lib.snapshot import Snapshot
from lib.table import check

Case = namedtuple("Case", "label run")
CASES = []


def case(label):
    """Adds the next function to the table."""
    def add(function):
        CASES.append(Case(label, function))
        return function
    return add


# --- a real libvirt ------------------------------------------------------------------------------

class Host:
    """A libvirt with a domain `guest`, and ramjet as its user runs it."""

    def __init__(self, scene):
        self.scene = scene
        self.libvirt = Libvirt(scene)
        self.libvirt.start("guest")
        self.program = shutil.copy(binary(), scene.folder)  # that user may not reach the original

    def ramjet(self, *words):
        return Ramjet(self.scene, *words, program=self.program, prefix=self.libvirt.user,
                      env=self.libvirt.environment)

    def settings(self):
        return [self.ask(f"query-migrate-{what}") for what in ("parameters", "capabilities")]

    def ask(self, command):
        run = self.ramjet("qmp", "libvirt:guest", command)
        run.done()
        return json.loads(run.output)


@case("libvirt: a domain is saved, and goes on")
def _(scene):
    host = Host(scene)
    file = host.libvirt.folder / "vm.snap"
    before = host.settings()
    found = host.ramjet("save", "--json", "libvirt:guest", f"file:{file}").done()
    check(found["status"] == "completed" and found["from"]["run-state"] == "running", f"{found}")
    check(found["uri"].startswith("tcp:127.0.0.1:"), f"{found['uri']}")
    check(host.libvirt.state("guest") == "running", "libvirt has not noticed")
    check(host.settings() == before, f"settings: {host.settings()}, were {before}")
    found = host.ramjet("save", "--json", "--force", "--then", "stop", "libvirt:guest",
                        f"file:{file}").done()
    check(found["from"]["run-state"] == "postmigrate", f"{found}")
    memory = host.libvirt.folder / "memory"
    host.ramjet("qmp", "libvirt:guest", "pmemsave", "val=0", f"size={16 << 20}",
                f"filename={memory}").done()
    with Snapshot(file) as snapshot:
        check(snapshot.machine.startswith("pc-i440fx-"), snapshot.machine)
        ram.same("snapshot against the stopped domain", snapshot.blocks["pc.ram"].pieces(),
                 ram.pieces(memory))
    host.ramjet("qmp", "libvirt:guest", "cont").done()
    check(host.libvirt.state("guest") == "running", "it does not go on")


@case("libvirt: what it refuses")
def _(scene):
    host = Host(scene)
    for name in ("nobody", "--help", "$(id)", "-q"):
        host.ramjet("qmp", f"libvirt:{name}", "query-status").failed(
            "query-status: virsh: failed to get domain '" + name)
        file = host.libvirt.folder / "vm.snap"
        host.ramjet("save", f"libvirt:{name}", f"file:{file}").failed("the vm: libvirt:", name)
        check(not file.exists(), "a file was left")
    host.ramjet("qmp", "libvirt:guest", "no-such").failed("no-such: commandnotfound: ")
    environment = {**host.libvirt.environment, "LIBVIRT_DEFAULT_URI": "qemu+unix:///x?socket=/no"}
    Ramjet(scene, "qmp", "libvirt:guest", "query-status", env=environment).failed(
        "libvirt:guest: virsh: failed to connect")


# --- another virsh -------------------------------------------------------------------------------

class Virsh:
    """A program `virsh` of the test's, found before any other; the environment that finds it."""

    def __init__(self, scene, script, interpreter="/bin/sh"):
        folder = scene.folder / f"bin-{len(list(scene.folder.iterdir()))}"
        folder.mkdir()
        file = folder / "virsh"
        file.write_text(f"#!{interpreter}\n{script}")
        file.chmod(0o755)
        self.environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}",
                            "TMPDIR": str(scene.folder)}


_URI = 'if [ "$2" = uri ]; then echo qemu:///system; exit; fi\n'

HOSTILE = [
    ("no URI", "echo hello", "virsh: it says nothing"),
    ("a complaint of many lines", "printf 'error: one\\nerror: two\\033[2J\\n' >&2; exit 1",
     "virsh: one: two"),
    ("nothing", _URI + "exit 0", "virsh: it says nothing"),
    ("no JSON", _URI + "echo hello", "no monitor's answer: "),
    ("half an answer", _URI + "printf '{\"return\": {'", "no monitor's answer: "),
    ("another kind", _URI + "echo '[1]'", "neither a return nor an error"),
    ("an object of no kind", _URI + "echo '{\"event\": \"X\"}'", "neither a return nor an error"),
    ("two answers", _URI + "echo '{\"return\": 1} {\"return\": 2}'", "no monitor's answer: "),
    ("an error without its parts", _URI + "echo '{\"error\": 1}'",
     "an error without class or description"),
    ("deep", _URI + "i=0; while [ $i -lt 5000 ]; do printf '['; i=$((i+1)); done",
     "no monitor's answer: "),
    ("no end", _URI + "exec cat /dev/zero", "virsh prints more than 4194304 bytes"),
    ("endless complaints", _URI + "exec cat /dev/zero >&2", "gave up waiting"),
    ("silence", _URI + "exec sleep 1000", "gave up waiting"),
    ("a child that stays", _URI + "sleep 1000 & exit", "gave up waiting"),
]


@case("a virsh that is none")
def _(scene):
    for label, script, why in HOSTILE:
        virsh = Virsh(scene, script)
        limit = "2s" if why == "gave up waiting" else "0"
        run = Ramjet(scene, "qmp", "--timeout", limit, "libvirt:guest", "query-status",
                     env=virsh.environment)
        try:
            run.failed("libvirt:guest: ", why.lower(), seconds=40)
        except AssertionError as failed:
            raise AssertionError(f"{label}: {failed}") from failed


@case("an answer with a refusal and one without, however virsh ends")
def _(scene):
    virsh = Virsh(scene, _URI + "echo '{\"return\": {\"a\": 1}, \"id\": \"libvirt-7\"}'; exec >&- 2>&-; "
                                "sleep 1000")
    run = Ramjet(scene, "qmp", "libvirt:guest", "x", env=virsh.environment)
    check(run.done() == {"a": 1}, f"{run.output}")
    virsh = Virsh(scene, _URI + "echo '{\"error\": {\"class\": \"No\", \"desc\": \"not now\"}}'; exit 3")
    Ramjet(scene, "qmp", "libvirt:guest", "x", env=virsh.environment).failed("x: no: not now")


@case("no virsh")
def _(scene):
    environment = {**os.environ, "PATH": str(scene.folder)}
    Ramjet(scene, "qmp", "libvirt:guest", "x", env=environment).failed(
        "virsh: no such file", "has to be installed")
    Ramjet(scene, "qmp", "libvirt:", "x", env=environment).failed("expected libvirt:domain", code=2)


# Speaks to the monitor at $MONITOR as libvirt does, for the domain `guest` only.
_PROXY = '''
import json, os, socket, sys
words = sys.argv[1:]
if words == ["-q", "uri"]:
    print(os.environ.get("URI", "qemu:///system"))
    sys.exit()
assert words[:3] == ["-q", "qemu-monitor-command", "--"] and len(words) == 5, words
if words[3] != "guest; it's":
    sys.exit("error: failed to get domain '%s'" % words[3])
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["MONITOR"])
lines = s.makefile("rw")
lines.readline()
for text in ('{"execute": "qmp_capabilities"}', words[4]):
    lines.write(text)
    lines.flush()
    answer = {}
    while "return" not in answer and "error" not in answer:
        answer = json.loads(lines.readline())
print(json.dumps({**answer, "id": "libvirt-1"}))
'''


def proxy(scene, vm, uri="qemu:///system"):
    virsh = Virsh(scene, _PROXY, "/usr/bin/env python3")
    return {**virsh.environment, "MONITOR": vm.address.removeprefix("unix:"), "URI": uri}


@case("virsh before a QEMU: saved and migrated")
def _(scene):
    source = Vm(scene, "source", "7.2")
    source.passes(2)
    before = source.settings()
    environment = proxy(scene, source)
    domain = "libvirt:guest; it's"
    Ramjet(scene, "save", domain, f"file:{scene.folder}/vm.snap", env=environment).done()
    check(source.settings() == before, f"settings: {source.settings()}, were {before}")
    source.runs_on()
    target = Vm(scene, "target", "7.2", incoming="defer", paused=True)
    found = Ramjet(scene, "migrate", "--json", domain, target.address, env=environment).done()
    check(found["from"]["address"] == domain, f"{found['from']}")
    ram.same_files("memory", target.memory, source.memory)


@case("libvirt on another host: where to listen must be said")
def _(scene):
    source = Vm(scene, "source", "7.2")
    environment = proxy(scene, source, "qemu+ssh://host/system")
    words = ["libvirt:guest; it's", f"file:{scene.folder}/vm.snap"]
    Ramjet(scene, "save", *words, env=environment).failed("another host", "--listen", code=2)
    Ramjet(scene, "save", "--listen", "127.0.0.1", *words, env=environment).done()


if __name__ == "__main__":
    sys.exit(table.main(CASES, lambda scene, chosen: chosen.run(scene)))
