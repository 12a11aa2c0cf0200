#!/usr/bin/env python3
"""`--metrics`: the figures of recv, send, vm and migrate for Prometheus, at an address and in a file,
while a migration runs and after it. No client disturbs the migration, and the page that lists the
metrics is right."""

import re
import shutil
import signal
import stat
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

from lib import prometheus, ramjet, table
from lib.runner import FAST, Vm
from lib.scene import patience, until
from lib.table import Skip, check

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
SLOW = ("--max-bandwidth", "4M")  # a migration of some seconds
HERE = "tcp:127.0.0.1:0"


def served_at(process):
    """Waits for the line that says where its metrics are."""
    found = []

    def has_line():
        found[:] = re.findall(r"metrics at (\S+)\n", process.errors)
        return found

    until(has_line, f"{process.name} to serve its metrics")
    return found[0]


def stay(scene, *options, target="null:", metrics=HERE):
    receiver, address = ramjet.recv(scene, target, "--repeat", "--metrics", metrics, *options)
    return receiver, address, served_at(receiver)


def send(scene, address, *options, source="synth:16M"):
    return ramjet.Ramjet(scene, "send", *options, source, address)


def until_page(where, holds, what):
    """Scrapes until the page is as it should be, and returns it."""
    page = []

    def look():
        page[:] = [prometheus.scrape(where)]
        return holds(page[0])

    until(look, what)
    return page[0]


def under_way(where):
    return until_page(where, lambda page: page.status() == "active", "an active migration")


def completed(where, n=1):
    return until_page(where, lambda page: page.ended()[0] == n, f"{n} completed migrations")


def ends(process):
    process.send_signal(signal.SIGTERM)
    check(process.wait(20) == 0, process.errors)


# --- the cases -------------------------------------------------------------------------------------


def receiver_at(scene, metrics):
    receiver, address, where = stay(scene, metrics=metrics.format(scene.folder))
    page = prometheus.scrape(where)
    check(page.status() == "none" and page.ended() == (0, 0, 0), "before the first one")
    sender = send(scene, address, "--channels", 3, *SLOW)
    page = under_way(where)
    check(page.value("ramjet_migration_ram_bytes") == 16 << 20, "its size")
    check(page.value("ramjet_migration_expected_downtime_seconds") is None, "only a source knows it")
    check(page.labels("ramjet_channel_bytes_total", "channel") == ["0", "1", "2"], "channels")
    sender.done()
    page = completed(where)
    sent = page.value("ramjet_migration_transferred_bytes_total")
    parts = [page.value("ramjet_channel_bytes_total", channel=str(n)) for n in range(3)]
    check(sum(parts) == page.value("ramjet_migration_multifd_bytes_total") <= sent, f"{parts} {sent}")
    pages = sum(page.value("ramjet_migration_pages_total", kind=kind) for kind in ("normal", "zero"))
    check(pages >= 4096, f"{pages} pages")
    send(scene, address, "--channels", 0).done()
    page = completed(where, 2)
    check(page.value("ramjet_migration_channels") == 0, "the second one has none")
    ends(receiver)
    if where.startswith("unix:"):
        check(not Path(where.removeprefix("unix:")).exists(), "the socket is left")


def failures_count(scene):
    receiver, address, where = stay(scene)
    sender = send(scene, address, *SLOW)
    under_way(where)
    sender.end()
    page = until_page(where, lambda page: page.ended() == (0, 1, 0), "one failure")
    check(page.status() == "failed", page.status())
    with prometheus.connect(address) as stranger:  # it is no migration
        stranger.sendall(b"hello, hello")
        stranger.recv(1)
    send(scene, address).done()
    check(completed(where).ended() == (1, 1, 0), "one of each")
    ends(receiver)


def sender_at(scene):
    receiver, address = ramjet.recv(scene, "null:")
    sender = send(scene, address, "--metrics", f"unix:{scene.folder}/metrics", *SLOW)
    page = under_way(served_at(sender))
    check(page.value("ramjet_build_info", verb="send", version="0.1.0") == 1, "the verb")
    sender.done()
    check(receiver.wait(20) == 0, receiver.errors)


def in_a_file(scene):
    """A reader finds a whole text at any time, and the last one has the end."""
    folder = scene.folder / "collector"
    folder.mkdir()
    file = folder / "ramjet.prom"
    receiver, address = ramjet.recv(scene, "null:")
    sender = send(scene, address, "--metrics", f"file:{file}", *SLOW)
    until(file.exists, "the file")
    first = file.stat()
    check(stat.S_IMODE(first.st_mode) == 0o644, f"mode {first.st_mode:o}")
    prometheus.Page(file.read_text())
    until(lambda: file.stat().st_ino != first.st_ino, "another text")
    prometheus.Page(file.read_text())
    sender.done()
    page = prometheus.Page(file.read_text())
    check(page.status() == "completed" and page.ended() == (1, 0, 0), "the end")
    check(page.value("ramjet_migration_downtime_seconds") is not None, "its downtime")
    check([f.name for f in folder.iterdir()] == [file.name], f"left: {list(folder.iterdir())}")
    check(receiver.wait(20) == 0, receiver.errors)


def file_is_lost(scene):
    """The folder goes away: the migration goes on, and a line tells it."""
    folder = scene.folder / "collector"
    folder.mkdir()
    receiver, address = ramjet.recv(scene, "null:")
    sender = send(scene, address, "--metrics", f"file:{folder}/ramjet.prom", *SLOW)
    until((folder / "ramjet.prom").exists, "the file")
    shutil.rmtree(folder)
    sender.done()
    check("ramjet send: metrics: " in sender.errors, sender.errors)
    check(receiver.wait(20) == 0, receiver.errors)


def machines(scene):
    """Two VMs, and the program that drives them: each has metrics of its own."""
    source = Vm(scene, "--accel", "synth", "--metrics", HERE, guest="dirtier,rate=20M")
    target = Vm(scene, "--accel", "synth", "--metrics", HERE)
    file = scene.folder / "migrate.prom"
    out, into = served_at(source), served_at(target)
    check(prometheus.scrape(out).status() == "none", "before it")
    driver = ramjet.Ramjet(scene, "migrate", "--channels", 2, "--max-bandwidth", "100K",
                           "--downtime-limit", "1ms", "--metrics", f"file:{file}", source.address,
                           target.address)
    page = under_way(out)
    check(page.value("ramjet_migration_channels") == 2, "two channels")
    until(lambda: file.exists() and prometheus.Page(file.read_text()).status() == "active",
          "the driver's figures")
    source.parameters(**FAST)
    check(driver.wait(60) == 0, driver.errors)
    for name, page in (("source", completed(out)), ("destination", completed(into)),
                       ("driver", prometheus.Page(file.read_text()))):
        check(page.ended() == (1, 0, 0) and page.status() == "completed", f"{name}: {page.ended()}")
        check(page.value("ramjet_migration_transferred_bytes_total") > 0, f"{name}: bytes")
    check(prometheus.scrape(out).value("ramjet_migration_downtime_seconds") > 0, "its downtime")


def hostile(scene):
    """Clients that are silent, slow, loud, wrong or many: a scrape is answered all the same, and the
    migration does not notice."""
    receiver, address, where = stay(scene)
    silent = [prometheus.connect(where) for _ in range(100)]
    for s in silent:
        scene.at_end.callback(s.close)
    sender = send(scene, address, *SLOW)
    under_way(where)
    for request, status in (
            (b"GET / HTTP/1.1\r\n\r\n", "404"), (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
            (b"\x16\x03\x01\n", "400"), (b"GET /metrics\r\n\r\n", "400"),
            (b"GET /metrics HTTP/1.1\r\nA: " + b"a" * 5000, "431"), (b"a" * 10000, "431")):
        answer = prometheus.ask(where, request)
        check(answer.status.startswith(f"HTTP/1.0 {status} "), f"{request[:30]}: {answer.status}")
    answer = prometheus.ask(where, b"HEAD /metrics HTTP/1.0\r\n\r\n")
    check(answer.body == "" and int(answer.headers["Content-Length"]) > 1000, f"HEAD: {answer}")
    with prometheus.connect(where) as half:  # closes its own direction: it may still read
        half.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        half.shutdown(1)
        check(half.recv(12) == b"HTTP/1.0 200", "a client that has closed its direction")
    with prometheus.connect(where) as slow:
        slow.sendall(b"GET /met")
        slow.settimeout(patience(10))
        check(slow.recv(1) == b"", "a client that never ends its request is closed")
    sender.done()
    completed(where)
    ends(receiver)


def without_descriptors(scene):
    """Where no descriptor is left for a client, the migration still has its own."""
    receiver, address = ramjet.recv(scene, "null:", "--repeat", "--metrics", HERE,
                                    prefix=["prlimit", "--nofile=40"])
    where = served_at(receiver)
    for _ in range(60):
        s = prometheus.connect(where)
        scene.at_end.callback(s.close)
    send(scene, address, "--channels", 4).done()
    completed(where)
    ends(receiver)


def refused(scene):
    _, address, busy = stay(scene)
    for metrics, words in (("tcp:127.0.0.1", "--metrics: address"), ("nowhere", "or file:path"),
                           ("vsock:1:2", "expected tcp:host:port"), ("", "--metrics: address"),
                           ("file:", "expected file:path"),
                           (busy, "--metrics: listen"),
                           (f"file:{scene.folder}/none/x.prom", "no such file")):
        for verb in (("recv", HERE, "null:"), ("send", "synth:1M", address),
                     ("vm", "--accel", "synth", "--guest", "idle")):
            ended = ramjet.Ramjet(scene, verb[0], "--metrics", metrics, *verb[1:])
            check(ended.wait(10) in (1, 2), f"{verb[0]} --metrics {metrics!r}: exit code")
            check(words in ended.errors.lower(), f"{verb[0]} {metrics!r}: {ended.errors}")


def a_page(scene):
    receiver, address, where = stay(scene)
    send(scene, address, "--channels", 2).done()
    completed(where)
    body = prometheus.ask(where).body
    ends(receiver)
    return body


def documented(scene):
    """docs/metrics.md has just these metrics, each with its type and its labels."""
    body = a_page(scene)
    page = prometheus.Page(body)
    rows = dict(re.findall(r"^\| `(ramjet_\w+)(?:\{[\w, ]+\})?` \| (\w+) \|", DOCS.read_text(),
                           re.MULTILINE))
    check(rows == page.types, f"differ: {set(rows.items()) ^ set(page.types.items())}")
    labels = {name: sorted(set(re.findall(r'(\w+)="', " ".join(
        re.findall(rf"^{name}\{{(.*)\}} ", body, re.MULTILINE))))) for name in page.types}
    told = {name: sorted(part.strip() for part in inner.split(",")) for name, inner in
            re.findall(r"^\| `(ramjet_\w+)\{([\w, ]+)\}`", DOCS.read_text(), re.MULTILINE)}
    check(told == {name: found for name, found in labels.items() if found}, f"{told} {labels}")


def promtool(scene):
    """Prometheus's own linter."""
    tool = shutil.which("promtool")
    if not tool:
        raise Skip("no promtool here")
    found = subprocess.run([tool, "check", "metrics"], input=a_page(scene), capture_output=True,
                           text=True, check=False)
    check(found.returncode == 0 and not found.stdout + found.stderr, found.stdout + found.stderr)


Case = namedtuple("Case", "label run")
CASES = [
    Case("recv at tcp", lambda scene: receiver_at(scene, HERE)),
    Case("recv at unix", lambda scene: receiver_at(scene, "unix:{}/metrics")),
    Case("recv, failures", failures_count),
    Case("send at unix", sender_at),
    Case("send into a file", in_a_file),
    Case("send, its file is lost", file_is_lost),
    Case("vm and migrate", machines),
    Case("hostile clients", hostile),
    Case("few descriptors", without_descriptors),
    Case("refused", refused),
    Case("documented", documented),
    Case("promtool", promtool),
]

if __name__ == "__main__":
    sys.exit(table.main(CASES, lambda scene, case: case.run(scene), seconds=120))
