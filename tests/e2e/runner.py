#!/usr/bin/env python3
"""ramjet vm and its guests move back and forth between processes, driven by a QMP client that knows
nothing of ramjet: they lose nothing, whatever is set, cancelled or killed on the way."""

import os
import random
import signal
import socket
import struct
import sys
from collections import namedtuple

from lib import certs, ramjet, table
from lib.monitor import Closed, Monitor, Refused
from lib.ramjet import Ramjet
from lib.runner import CRAWL, FAST, Vm, demand_kvm, dirtier, memory_at, moved
from lib.scene import until
from lib.table import check

Case = namedtuple("Case", "label run")
CASES = []

MIB = 1 << 20
PAGE = 4096


def case(label, *arguments):
    """Adds the next function to the table, once for these arguments."""
    def add(function):
        CASES.append(Case(label, lambda scene: function(scene, *arguments)))
        return function
    return add


# --- a client that knows QEMU's documentation ------------------------------------------------------

RAM = {name: int for name in (
    "transferred", "remaining", "total", "duplicate", "normal", "normal-bytes", "page-size",
    "dirty-pages-rate", "dirty-sync-count", "dirty-sync-missed-zero-copy", "pages-per-second",
    "multifd-bytes", "precopy-bytes", "downtime-bytes", "postcopy-bytes", "postcopy-requests")}
RAM["mbps"] = float
CHANNEL = {name: int for name in ("id", "bytes", "packets", "normal", "zero", "wait-ms",
                                  "codec-ms", "copied-sends")}
MIGRATION = {
    "status": str, "remaining": int, "total-time": int, "setup-time": int,
    "expected-downtime": int, "downtime": int, "error-desc": str, "ram": dict,
    "cpu-throttle-percentage": int, "socket-address": list, "channels": list,
}
TIMES = {"status", "total-time", "setup-time", "ram", "channels"}
MUST = {  # of a source
    "setup": {"status"},
    "active": TIMES | {"remaining"},
    "pre-switchover": TIMES | {"remaining", "expected-downtime"},
    "device": TIMES | {"remaining", "expected-downtime"},
    "completed": TIMES | {"downtime"},
    "cancelling": {"status"},
    "cancelled": {"status"},
    "failed": {"status", "error-desc"},
}
NEVER = {"completed": {"expected-downtime", "remaining", "error-desc"},
         "active": {"downtime", "error-desc"}}


def typed(what, found, types):
    for name, value in found.items():
        check(name in types, f"{what} has a member {name}")
        check(type(value) is types[name], f"{what}: {name} is {value!r}, want {types[name]}")


def documented(found):
    """Checks a source's query-migrate answer by name and type; returns it."""
    typed("query-migrate", found, MIGRATION)
    status = found.get("status")
    check(MUST[status] <= found.keys(), f"{status} lacks {MUST[status] - found.keys()}")
    check(not NEVER.get(status, set()) & found.keys(), f"{status} has too much: {found}")
    if "ram" in found:
        check(found["ram"].keys() == RAM.keys(), f"ram has {found['ram'].keys() ^ RAM.keys()}")
        typed("ram", found["ram"], RAM)
    for channel in found.get("channels", []):
        check(channel.keys() == CHANNEL.keys(), f"{channel}")
        typed("a channel", channel, CHANNEL)
    return found


def greeted(monitor):
    """The greeting is QEMU's, and before qmp_capabilities no other command works."""
    version = monitor.greeting["QMP"]["version"]
    typed("qemu", version["qemu"], dict.fromkeys(("major", "minor", "micro"), int))
    check(isinstance(version["package"], str), f"{version}")
    check(isinstance(monitor.greeting["QMP"]["capabilities"], list), f"{monitor.greeting}")
    refused(monitor, "query-status", kind="CommandNotFound")
    check(monitor("qmp_capabilities") == {}, "want an empty object")
    refused(monitor, "qmp_capabilities", kind="CommandNotFound")


def refused(monitor, command, *words, kind="GenericError", **arguments):
    try:
        answer = monitor(command, **arguments)
    except Refused as error:
        check(error.kind == kind, f"{command} {arguments}: {error}")
        check("\n" not in error.desc and all(w in error.desc for w in words), f"{error}")
        return
    check(False, f"{command} {arguments} was answered {answer}")


def names(events):
    return [data.get("status", name) for name, data in events if name != "MIGRATION_PASS"]


def same_settings(*monitors):
    """Capabilities are a list of all that exist, parameters are one object; both
    show what was set."""
    for monitor in monitors:
        monitor("migrate-set-capabilities", capabilities=[
            {"capability": name, "state": True}
            for name in ("events", "multifd", "return-path", "pause-before-switchover")])
        on = {c["capability"] for c in monitor("query-migrate-capabilities") if c["state"]}
        check(on == {"events", "multifd", "return-path", "pause-before-switchover"}, f"{on}")
        monitor("migrate-set-parameters", multifd_channels=3, multifd_compression="zstd",
                downtime_limit=400)
        found = monitor("query-migrate-parameters")
        check([found[n] for n in ("multifd-channels", "multifd-compression", "downtime-limit",
                                  "tls-creds")] == [3, "zstd", 400, ""], f"{found}")


@case("a generic client: two monitors, settings, events, query-migrate")
def generic(scene):
    demand_kvm(scene)
    source = Vm(scene, guest="dirtier,rate=50M", memory="64M", qmp="tcp:127.0.0.1:0")
    target = Vm(scene, memory="64M")
    a, b = Monitor(source.address, negotiate=False), Monitor(target.address, negotiate=False)
    for monitor in (a, b):
        greeted(monitor)
        check(monitor("query-migrate") == {}, "nothing has happened yet")
    same_settings(a, b)
    # The answer to migrate-incoming comes after the real port is known.
    b("migrate-incoming", channels=[{"channel-type": "main", "addr": {
        "transport": "socket", "type": "inet", "host": "127.0.0.1", "port": "0"}}])
    waiting = b("query-migrate")
    typed("query-migrate", waiting, MIGRATION)
    at, = waiting["socket-address"]
    check(at["type"] == "inet" and at["host"] == "127.0.0.1" and int(at["port"]) > 0, f"{at}")
    check(b("query-status") == {"status": "inmigrate", "running": False}, "want inmigrate")

    a("migrate-set-parameters", max_bandwidth=4 * MIB)  # less than the guest writes
    check(a("migrate", uri=f"tcp:{at['host']}:{at['port']}") == {}, "want an empty object")
    polled = poll(a)
    refused(a, "migrate-set-capabilities", "(rule C1)",
            capabilities=[{"capability": "multifd", "state": False}])
    refused(a, "migrate", "(rule M8)", uri="tcp:127.0.0.1:1")
    refused(a, "migrate-continue", state="device")
    check(a("query-status") == {"status": "finish-migrate", "running": False}, "want finish-migrate")
    check(a("migrate-continue", state="pre-switchover") == {}, "want an empty object")
    a.status("completed")
    b.status("completed")
    judge(a, b, polled)
    source.quit()
    target.swept()
    target.quit()


def poll(monitor):
    """Polls query-migrate until pre-switchover, which comes after it was active for a while."""
    polled = {}
    while "pre-switchover" not in polled:
        found = documented(monitor("query-migrate"))
        polled.setdefault(found["status"], []).append(found)
        if len(polled.get("active", [])) == 200:
            monitor("migrate-set-parameters", max_bandwidth=0)
    return polled


def judge(a, b, polled):
    sent = [found["ram"]["transferred"] for found in polled["active"]]
    check(sent == sorted(sent) and sent[-1] > sent[0], f"transferred goes {sent[0]} … {sent[-1]}")
    end = documented(a("query-migrate"))
    check(end["status"] == "completed" and len(end["channels"]) == 3, f"{end}")
    check(sum(c["bytes"] for c in end["channels"]) == end["ram"]["multifd-bytes"], f"{end}")
    check(names(a.events) == ["setup", "active", "STOP", "pre-switchover", "device", "completed"],
          f"the source's events are {a.events}")
    passes = [data["pass"] for name, data in a.events if name == "MIGRATION_PASS"]
    check(passes == list(range(2, end["ram"]["dirty-sync-count"] + 1)), f"passes are {passes}")
    check(names(b.events) == ["setup", "active", "RESUME", "completed"],
          f"the destination's events are {b.events}")
    check(a("query-status") == {"status": "postmigrate", "running": False}, "want postmigrate")
    check(b("query-status") == {"status": "running", "running": True}, "want running")


# --- twenty moves back and forth -------------------------------------------------------------------

Leg = namedtuple("Leg", "method channels over tls paused dirty backend")
CHOICES = Leg(method=("none", "zlib", "zstd"), channels=(0, 1, 2, 4), over=("tcp", "unix"),
              tls=(False, True), paused=(False, True), dirty=("log", "ring", "uffd"),
              backend=("anon", "memfd", "file"))
_chance = random.Random(752)  # in 20 moves nearly every value meets every other
LEGS = [Leg(*map(_chance.choice, CHOICES)) for _ in range(20)]


def settle(vm, leg, tls):
    vm.set(multifd=leg.channels > 0, return_path=True)
    vm.parameters(multifd_compression=leg.method if leg.channels else "none", multifd_channels=leg.channels or 2,
                  tls_creds=str(tls.folder) if leg.tls else "",
                  tls_hostname=certs.HOST if leg.tls else "")


def hop(scene, source, leg, tls):
    """Moves the guest into a new process; the old one ends. Returns the new one."""
    server, client = tls
    backend = f"file:{scene.folder}/memory-{len(scene.processes)}" if leg.backend == "file" else leg.backend
    target = Vm(scene, "--dirty-source", leg.dirty, "--backend", backend,
                *(["--paused"] if leg.paused else []), memory="128M")
    target.parameters(**FAST)
    settle(target, leg, server)
    settle(source, leg, client)
    uri = f"unix:{target.path}-guest" if leg.over == "unix" else "tcp:127.0.0.1:0"
    moved(source, target, target.listen(uri))
    if leg.paused:
        check(target.state() == "paused", f"started --paused, it is {target.state()}")
        check(source.digest() == target.digest(), f"{leg}: memory differs")
        target.qmp("cont")
    source.quit()
    return target


@case("ping-pong, 20 times")
def ping_pong(scene):
    demand_kvm(scene)
    tls = certs.pair(scene.folder, "X.509")
    here = dirtier(scene, memory="128M")
    before = here.guest()
    for number, leg in enumerate(LEGS, 1):
        here = hop(scene, here, leg, tls)
        now = here.swept()
        check(now["moves"] == number, f"{leg}: moves is {now['moves']}, want {number}")
        for member in ("heartbeats", "pages-written", "pages-verified"):
            check(now[member] > before[member], f"{leg}: {member} went to {now[member]}")
        before = now
    here.quit()


# --- cancelled or killed, in every state -----------------------------------------------------------

def waits_at(address):
    """Whether a tcp connection has unread bytes."""
    port = f":{int(address.rpartition(':')[2]):04X}"
    with open("/proc/net/tcp", encoding="ascii") as table_of_all:
        for line in list(table_of_all)[1:]:
            _, local, _, state, queues, *_ = line.split()
            if local.endswith(port) and state == "01" and not queues.endswith(":00000000"):
                return True
    return False


class Trial:
    """A migration that stays in one state until the test acts."""

    def __init__(self, scene, state):
        demand_kvm(scene)
        self.scene = scene
        # All of it must fit into the sockets' buffers.
        self.rate = 4 * MIB if state == "device all sent" else 100 * MIB
        self.source = dirtier(scene, guest=f"dirtier,rate={self.rate},write=avx,timer=10ms")
        self.target = Vm(scene)
        self._stopped = False
        getattr(self, "_" + state.replace("-", "_").replace(" ", "_"))()

    def _stop_target(self):
        self.target.send_signal(signal.SIGSTOP)
        self._stopped = True

    def wake_target(self):
        if self._stopped:
            self.target.send_signal(signal.SIGCONT)
        self._stopped = False

    def _start(self, status):
        self.source.qmp.forget()
        self.source.qmp("migrate", uri=self.address)
        self.source.qmp.status(status)

    def _setup(self):
        """TLS, and a handshake that gets no answer."""
        server, client = certs.pair(self.scene.folder, "X.509")
        for vm, creds in ((self.target, server), (self.source, client)):
            vm.set(multifd=True)
            vm.parameters(tls_creds=str(creds.folder))
        self.address = self.target.listen()
        self._stop_target()
        self._start("setup")
        until(lambda: waits_at(self.address), "the source's first words")

    def _active(self):
        self.source.set(multifd=True, return_path=True)
        self.source.parameters(**CRAWL)
        self.address = self.target.listen()
        self._start("active")
        until(lambda: self._transferred() > MIB // 2, "the first bytes")

    def _transferred(self):
        return self.source.qmp("query-migrate")["ram"]["transferred"]

    def _pre_switchover(self):
        self.source.set(multifd=True, return_path=True, pause_before_switchover=True)
        self.address = self.target.listen()
        self._start("pre-switchover")

    def _device(self):
        """The rest takes long: on a slow path the guest may have written most of
        its memory again."""
        self.source.parameters(max_bandwidth=20 * MIB)
        self._pre_switchover()
        check(self.source.qmp("query-migrate")["remaining"] > MIB // 2, "the guest wrote nothing")
        self.source.parameters(max_bandwidth=1 << 16)
        self.source.qmp("migrate-continue", state="pre-switchover")
        self.source.qmp.status("device")

    def _device_all_sent(self):
        """Only the destination's verdict is missing, and it does not come."""
        self.source.parameters(downtime_limit=30)
        self._pre_switchover()
        self._stop_target()
        self.source.qmp("migrate-continue", state="pre-switchover")
        self.source.qmp.status("device")
        # The pages use channels of their own: a long main channel can only be the guest's devices.
        until(lambda: self.source.qmp("query-migrate")["ram"]["downtime-bytes"] > 2 * PAGE,
              "the guest's devices")

    def source_goes_on(self, status):
        """The source's guest runs on at full speed, and can be migrated to another destination."""
        source = self.source
        source.qmp.status(status)
        heard = names(source.qmp.events)
        check(heard.count("STOP") == heard.count("RESUME"), f"heard {heard}")
        check(source.state() == "running", f"the source is {source.state()}")
        report = documented(source.qmp("query-migrate"))
        check(("error-desc" in report) == (status == "failed"), f"{report}")
        source.full_speed(self.rate)
        source.swept(source.guest()["sweeps"] + 1)
        self.again()
        return report.get("error-desc", "")

    def again(self):
        """A second migration, to a new destination."""
        fresh = Vm(self.scene)
        self.source.set(multifd=True, return_path=True, pause_before_switchover=False)
        self.source.parameters(**FAST, tls_creds="")
        moved(self.source, fresh, fresh.listen())
        check(fresh.swept()["moves"] == 1, "want one move")
        fresh.quit()
        self.source.quit()


STATES = ("setup", "active", "pre-switchover", "device")


def target_forgets(trial, state):
    """A source that leaves in the handshake never was one for the destination: it still waits for
    its source. Later it knows that its source has gone."""
    trial.wake_target()
    if state != "setup":
        trial.target.failed("channel")
        return
    check(trial.target.state() == "inmigrate", f"the target is {trial.target.state()}")
    trial.target.send_signal(signal.SIGTERM)
    trial.target.failed("before it reported anything")


def cancelled(scene, state):
    trial = Trial(scene, state)
    trial.source.qmp("migrate_cancel")
    trial.source_goes_on("cancelled")
    target_forgets(trial, state)


def destination_killed(scene, state):
    trial = Trial(scene, state)
    trial.target.send_signal(signal.SIGKILL)
    why = trial.source_goes_on("failed")
    check(why and "\n" not in why, f"error-desc is {why!r}")


def source_killed(scene, state):
    trial = Trial(scene, state)
    trial.source.send_signal(signal.SIGKILL)
    trial.source.wait(5)
    target_forgets(trial, state)
    check(not trial.target.path.exists(), "its monitor's path is still there")


for _state in STATES:
    case(f"cancel in {_state}", _state)(cancelled)
    case(f"the destination is killed in {_state}", _state)(destination_killed)
    case(f"the source is killed in {_state}", _state)(source_killed)
case("the destination is killed when all is sent", "device all sent")(destination_killed)


@case("the source is killed when all is sent: the guest waits for its user")
def source_killed_late(scene):
    trial = Trial(scene, "device all sent")
    trial.source.send_signal(signal.SIGKILL)
    trial.source.wait(60)
    trial.wake_target()
    target = trial.target
    target.qmp.status("failed")
    why = target.qmp("query-migrate")["error-desc"]
    check("the source was lost before it confirmed" in why, why)
    check(target.state() == "postmigrate", f"the target is {target.state()}")
    target.qmp("cont")
    target.swept()
    target.quit()


@case("cancel when all is sent: the guest stays")
def cancel_late(scene):
    trial = Trial(scene, "device all sent")
    trial.source.qmp("migrate_cancel")
    trial.source_goes_on("cancelled")
    trial.wake_target()
    trial.target.failed("the source has given up, and keeps its guest")


HELLO = struct.Struct(">II16sB39x")
SYNC = struct.pack(">IIIIIIQ1312x", 0x11223344, 1, 1, 128, 0, 0, 1)  # a packet without pages


def gone_early(scene, words):
    """A source that has gone after its channels' first bytes, and before main's: the next source's
    channels would not match."""
    demand_kvm(scene)
    target = Vm(scene, "--connect-timeout", "500ms")
    port = int(target.listen().rpartition(":")[2])
    main, *channels = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
    for number, channel in enumerate(channels):
        channel.sendall(HELLO.pack(0x11223344, 1, bytes(16), number) + words)
    for connection in (main, *channels):
        connection.close()
    target.failed("no main connection")


case("the source has gone after its hellos", b"")(gone_early)
case("the source has gone after its first SYNC", SYNC)(gone_early)


@case("cancelled at any moment: there is always one guest")
def cancelled_anywhere(scene):
    demand_kvm(scene)
    source = dirtier(scene, guest="dirtier,rate=100M,timer=10ms")
    ends = []
    for number in range(24):
        target = Vm(scene)
        source.set(multifd=number % 3 > 0, return_path=True)
        source.parameters(multifd_channels=max(1, number % 3))
        address = target.listen()
        source.qmp.forget()
        source.qmp("migrate", uri=address)
        for _ in range(number * number):  # each query takes time: so the delay grows
            source.qmp("query-migrate")
        source.qmp("migrate_cancel")
        ends.append(source.qmp.status("cancelled", "completed"))
        if ends[-1] == "completed":
            target.qmp.status("completed")
            check(source.state() == "postmigrate", f"the source is {source.state()}")
            target.swept()
            source.quit()
            source = target
            source.parameters(**FAST)
        else:
            if not source.qmp("query-migrate")["ram"]["precopy-bytes"]:  # main had no byte
                target.send_signal(signal.SIGTERM)
            target.failed()
            check(source.state() == "running", f"the source is {source.state()}")
            source.beats(5)
    check(ends[0] == "cancelled", f"a cancel at once comes too late: {ends}")
    source.swept(source.guest()["sweeps"] + 1)
    source.quit()


@case("the destination is killed at any moment: the guest is where it was")
def destination_killed_anywhere(scene):
    demand_kvm(scene)
    source = dirtier(scene, guest="dirtier,rate=100M,timer=10ms")
    source.set(multifd=True, return_path=True)
    for number in range(16):
        target = Vm(scene)
        address = target.listen()
        source.qmp.forget()
        source.qmp("migrate", uri=address)
        for _ in range(number * number):
            source.qmp("query-migrate")
        target.send_signal(signal.SIGKILL)
        end = source.qmp.status("failed", "completed")
        if source.state() == "postmigrate":  # the guest may have moved: the user knows better
            why = source.qmp("query-migrate").get("error-desc", "")
            check(end == "completed" or "it may run at the destination" in why, why)
            source.qmp("cont")  # the guest here is unchanged
        check(source.state() == "running", f"the source is {source.state()}")
        source.swept(source.guest()["sweeps"] + 1)
    source.quit()


def fate(vm):
    """"running", "postmigrate" where it waits for its user, or "over" where it has ended;
    None before that."""
    try:
        state = vm.state()
        return state if state in ("running", "postmigrate") else None
    except (Closed, ConnectionError):
        return "over"


@case("the source is killed at any moment: the destination ends, or has the guest")
def source_killed_anywhere(scene):
    demand_kvm(scene)
    for number in range(10):
        source = dirtier(scene, guest="dirtier,rate=100M,timer=10ms")
        source.set(multifd=True, return_path=True)
        target = Vm(scene, "--connect-timeout", "1s")
        source.qmp("migrate", uri=target.listen())
        source.qmp.status("active")
        for _ in range(2 * number * number):
            source.qmp("query-migrate")
        source.send_signal(signal.SIGKILL)
        until(lambda: fate(target), "the destination's decision")
        if fate(target) == "over":
            target.failed("channel")
        else:
            if fate(target) == "postmigrate":
                target.qmp("cont")
            target.swept()
            target.quit()


def source_quits(scene, state, end):
    """It cancels first: no end keeps half a guest."""
    trial = Trial(scene, state)
    end(trial.source)
    trial.source.qmp.event("SHUTDOWN")
    trial.source.done(10)
    trial.target.failed("channel")


def destination_quits(scene, state, end):
    trial = Trial(scene, state)
    end(trial.target)
    trial.target.failed()
    check(trial.source_goes_on("failed"), "want a reason")


def _quit(vm):
    vm.qmp("quit")


def _terminate(vm):
    vm.send_signal(signal.SIGTERM)


for _state in ("active", "pre-switchover", "device"):
    for _name, _end in (("quit", _quit), ("SIGTERM", _terminate)):
        case(f"{_name} at the source in {_state}", _state, _end)(source_quits)
        case(f"{_name} at the destination in {_state}", _state, _end)(destination_quits)


@case("VMs that do not fit each other say why, and the guest stays where it is")
def misfits(scene):
    demand_kvm(scene)
    for options, shape, text in (
            ([], {"memory": "16M"}, "same memory"),
            ([], {"cpus": 1}, "vcpu"),
            (["--machine", "ramjet-9.9"], {}, "machine type"),
            (["--uuid", "11111111-2222-3333-4444-555555555555"], {}, "uuid"),
            (["--set", "multifd=on", "--set", "multifd-channels=3"], {}, "channel")):
        source = dirtier(scene, "--uuid", "99999999-2222-3333-4444-555555555555")
        source.set(multifd=True, return_path=True, validate_uuid=True)
        target = Vm(scene, *options, **shape)
        source.qmp("migrate", uri=target.listen())
        source.qmp.status("failed")
        target.failed(text)
        check(source.state() == "running", f"the source is {source.state()}")
        source.swept(source.guest()["sweeps"] + 1)
        source.quit()


@case("every guest moves")
def every_guest(scene):
    demand_kvm(scene)
    for guest in ("counter", "idle", "dirtier,pattern=sequential,write=word,fill=lines,timer=off",
                  "dirtier,pattern=hot,write=sse,rate=0"):
        source = Vm(scene, guest=guest, cpus=1)
        source.parameters(**FAST)
        source.set(return_path=True)
        source.beats()
        before = source.guest()
        target = Vm(scene, cpus=1)
        address = target.listen(f"unix:{target.path}-guest")
        moved(source, target, address)
        target.beats()
        now = target.guest()
        check(now["errors"] == 0 and now["moves"] == 1 and now["last-move-gap-us"] > 0, f"{now}")
        check(now["heartbeats"] > before["heartbeats"], f"{now}")
        source.quit()
        target.quit()
        check(not os.path.exists(f"{target.path}-guest"), "the path it listened at is still there")


# --- snapshots -------------------------------------------------------------------------------------

def captured(scene, source):
    """Saves the running guest into a mapped-ram file."""
    snapshot = scene.folder / "guest.snap"
    receiver, address = ramjet.recv(scene, f"file:{snapshot}", "--json")
    source.set(multifd=True, return_path=True)
    source.qmp("migrate", uri=address)
    source.qmp.status("completed")
    receiver.done()
    check(source.state() == "postmigrate", f"the source is {source.state()}")
    return snapshot


@case("a snapshot by ramjet recv, resumed twice")
def snapshot(scene):
    demand_kvm(scene)
    source = dirtier(scene, memory="64M")
    path = captured(scene, source)
    stood = source.guest()
    refused(source.qmp, "migrate", "(rule M10)", uri="tcp:127.0.0.1:1")
    source.qmp("cont")
    check(source.state() == "running", f"after cont it is {source.state()}")
    source.beats()
    source.swept(stood["sweeps"] + 2)
    source.quit()
    for _ in range(2):
        resumed = Vm(scene, "--incoming", f"file:{path}", memory="64M")
        found = resumed.swept()
        check(found["moves"] == 1 and found["heartbeats"] > stood["heartbeats"], f"{found}")
        resumed.quit()


@case("a snapshot goes on from paused, and from one VM to the next")
def snapshot_moves_on(scene):
    demand_kvm(scene)
    source = dirtier(scene)
    path = captured(scene, source)
    resumed = Vm(scene, "--incoming", f"file:{path}", "--paused")
    check(resumed.digest() == source.digest(), "memory differs")
    check(resumed.state() == "paused", f"it is {resumed.state()}")
    check(resumed.guest()["heartbeats"] == source.guest()["heartbeats"], "it has run")
    source.quit()
    resumed.qmp("cont")
    resumed.swept()
    target = Vm(scene)
    resumed.parameters(**FAST)
    moved(resumed, target, target.listen())
    check(target.swept()["moves"] == 2, f"{target.guest()}")
    resumed.quit()
    target.quit()


@case("a snapshot goes on, and away, before its pages are read")
def snapshot_leaves_at_once(scene):
    demand_kvm(scene)
    source = dirtier(scene, memory="256M")
    path = captured(scene, source)
    source.quit()
    target = Vm(scene, memory="256M")
    listening = target.listen()
    resumed = Vm(scene, "--incoming", f"file:{path}", memory="256M")
    check(resumed.state() == "running", f"it is {resumed.state()}")
    resumed.qmp("migrate", uri=listening)  # its memory may still be mapped from the file
    resumed.qmp.status("completed")
    path.unlink()
    found = target.swept()
    check(found["moves"] == 2, f"{found}")
    resumed.quit()
    target.quit()


@case("all of a snapshot is read first where an option demands it")
def snapshot_eager(scene):
    demand_kvm(scene)
    source = dirtier(scene)
    path = captured(scene, source)
    source.quit()
    for options in (("--eager",), ("--set", "direct-io=on"), ("--backend", "memfd"),
                    ("--dirty-source", "uffd")):
        resumed = Vm(scene, "--incoming", f"file:{path}", *options)
        check(resumed.qmp("query-migrate")["status"] == "completed", f"{options}: not completed")
        resumed.swept()
        resumed.quit()


@case("a snapshot of a paused guest stays paused")
def snapshot_paused(scene):
    demand_kvm(scene)
    source = dirtier(scene)
    source.qmp("stop")
    resumed = Vm(scene, "--incoming", f"file:{captured(scene, source)}")
    check(resumed.state() == "paused", f"it is {resumed.state()}")
    check(resumed.digest() == source.digest(), "memory differs")
    resumed.qmp("cont")
    resumed.swept()
    resumed.quit()


@case("a snapshot that was cut, or is another VM's, is refused")
def snapshot_cut(scene):
    demand_kvm(scene)
    source = dirtier(scene)
    path = captured(scene, source)
    source.quit()
    whole = path.stat().st_size
    wrong = Ramjet(scene, "vm", "--incoming", f"file:{path}", "--memory", "64M", "--cpus", 2)
    wrong.failed(str(path).lower())
    wrong = Ramjet(scene, "vm", "--incoming", f"file:{path}", "--memory", "32M", "--cpus", 1)
    wrong.failed(str(path).lower())
    for size in (whole - 1, whole - 5000, whole // 2, 100, 0):
        os.truncate(path, size)
        cut = Ramjet(scene, "vm", "--incoming", f"file:{path}", "--memory", "32M", "--cpus", 2)
        cut.failed(str(path).lower())
        check(not cut.output, f"{size} bytes: {cut.output}")


# --- ends of programs, and clients -----------------------------------------------------------------

@case("a page that went wrong before the move is reported after it")
def wrong_page(scene):
    demand_kvm(scene)
    source = dirtier(scene, guest="dirtier,rate=1M,verify=1")
    source.qmp("stop")  # for good: it can run only at the destination
    start = memory_at(source, 32 * MIB)
    with open(f"/proc/{source.pid}/mem", "r+b", buffering=0) as memory:
        # Whether the page is still zero or not, this is wrong. The first pages are the program's.
        for page in range(4000, 4100):
            memory.seek(start + page * PAGE + 96)
            memory.write(b"\xee")
    target = Vm(scene)
    source.set(multifd=True, return_path=True)
    moved(source, target, target.listen())
    target.qmp("cont")
    until(lambda: target.guest()["errors"] > 0, "the guest to notice", 30)
    target.qmp("quit")
    target.failed("errors found", "expected 0x")


@case("quit and SIGTERM end it well, and its sockets are gone")
def ends(scene):
    demand_kvm(scene)
    for end in (lambda vm: vm.qmp("quit"), lambda vm: vm.send_signal(signal.SIGTERM)):
        vm = Vm(scene, guest="idle", memory="16M")
        vm.beats(1)
        second = Monitor(vm.address)
        end(vm)
        for client in (vm.qmp, second):
            report = client.event("SHUTDOWN")
            check(report["guest"] is False and isinstance(report["reason"], str), f"{report}")
            try:
                check(False, f"after SHUTDOWN: {client.receive()}")
            except Closed:
                pass
        vm.done(10)
        check(not vm.path.exists(), "its monitor's path is still there")


@case("what was to come has failed: that is why its VM ends")
def cannot_come(scene):
    demand_kvm(scene)
    target = Vm(scene, memory="16M", cpus=1)
    target.qmp("migrate-incoming", uri="tcp:127.0.0.1:0")
    (at,) = target.qmp("query-migrate")["socket-address"]
    with socket.create_connection((at["host"], int(at["port"]))) as stranger:
        stranger.sendall(b"QEVM\0\0\0\3\7\0\0\0\5wrong" + bytes(64))
        report = target.qmp.event("SHUTDOWN")
    check(report == {"guest": False, "reason": "host-error"}, f"{report}")
    target.failed("machine type: found 'wrong'")


@case("addresses that are taken")
def taken(scene):
    demand_kvm(scene)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        uri = f"tcp:{address}"
        Ramjet(scene, "vm", "--incoming", uri).failed("--incoming", address)
        Ramjet(scene, "vm", "--guest", "idle", "--qmp", uri).failed("--qmp", address)
        waiting = Vm(scene, memory="16M")
        refused(waiting.qmp, "migrate-incoming", address, uri=uri)
        waiting.listen()  # it can be asked again
        half = scene.folder / "half"
        Ramjet(scene, "vm", "--guest", "idle", "--qmp", f"unix:{half}", "--qmp", uri).failed(address)
        check(not half.exists(), "what it did listen at is still there")
    first = Vm(scene, guest="idle", memory="16M")
    Ramjet(scene, "vm", "--guest", "idle", "--qmp", first.address).failed("--qmp", str(first.path))
    check(first.state() == "running" and first.path.exists(), "the first one's monitor is gone")
    first.quit()


@case("with exit-on-error: false it waits on, as long as its memory is clean")
def waits_on(scene):
    demand_kvm(scene)
    target = Vm(scene, memory="16M")
    source = dirtier(scene, memory="32M")
    source.set(multifd=True, return_path=True)
    for _ in range(2):  # the source's memory has another size: nothing is written here
        source.qmp("migrate", uri=target.listen(exit_on_error=False))
        source.qmp.status("failed")
        target.qmp.status("failed")
        why = target.qmp("query-migrate")["error-desc"]
        check("same memory" in why, why)
        check(target.state() == "inmigrate", f"it is {target.state()}")
    fitting = dirtier(scene, memory="16M")
    fitting.set(pause_before_switchover=True)
    fitting.qmp("migrate", uri=target.listen(exit_on_error=False))
    fitting.qmp.status("pre-switchover")
    fitting.qmp("migrate_cancel")
    target.qmp.status("failed")
    refused(target.qmp, "migrate-incoming", "start another", uri="tcp:127.0.0.1:0")
    for vm in (source, fitting):
        vm.swept(vm.guest()["sweeps"] + 1)
        vm.quit()
    target.qmp("quit")
    target.wait(5)


@case("a monitor's path that a killed one has left is taken over")
def left_behind(scene):
    demand_kvm(scene)
    killed = Vm(scene, guest="idle", memory="16M")
    killed.send_signal(signal.SIGKILL)
    killed.wait(5)
    check(killed.path.exists(), "want a path that was left behind")
    again = Vm(scene, guest="idle", memory="16M", qmp=killed.address)
    again.beats(1)
    again.quit()
    check(not killed.path.exists(), "its monitor's path is still there")


@case("several monitors, several clients, and some that die")
def clients(scene):
    demand_kvm(scene)
    vm = Vm(scene, "--qmp", "tcp:127.0.0.1:0", guest="idle", memory="16M")
    vm.read(lambda out: b"running" in out)
    second = vm.output.split(b"\n")[1].decode().removeprefix("monitor ")
    others = [Monitor(vm.address), Monitor(second), Monitor(second)]
    vm.qmp("stop")
    for client in others:
        client.event("STOP")
    for half in (b'{"execute": "query-st', b'{"execute": "query-migrate-parameters"}' * 50, b"\xff"):
        dies = Monitor(vm.address)
        dies.send(half)
        dies.close()
    asks_and_dies = Monitor(second)
    asks_and_dies.send(b'{"execute": "cont"}')
    asks_and_dies.close()
    for client in (vm.qmp, *others):
        client.event("RESUME")
        check(client("query-status")["running"] is True, "want running")
    vm.quit()


# --- stop and cont during a migration --------------------------------------------------------------

@case("stop during a migration: it arrives paused")
def stopped_on_the_way(scene):
    trial = Trial(scene, "active")
    source, target = trial.source, trial.target
    source.qmp("stop")
    source.qmp.event("STOP")
    check(source.state() == "paused", f"the source is {source.state()}")
    source.parameters(**FAST)
    source.qmp.status("completed")
    target.qmp.status("completed")
    check(names(source.qmp.events).count("STOP") == 1, f"{source.qmp.events}")
    check("RESUME" not in names(target.qmp.events), f"{target.qmp.events}")
    check(target.state() == "paused", f"the destination is {target.state()}")
    check(source.digest() == target.digest(), "memory differs")
    stood = target.guest()
    target.qmp("cont")
    target.qmp.event("RESUME")
    target.swept()
    target.beats()
    check(stood["sweeps"] == 0 and stood["moves"] == 1, f"{stood}")
    target.quit()
    source.quit()


@case("stop and cont during a migration: it arrives running")
def went_on_on_the_way(scene):
    trial = Trial(scene, "active")
    source, target = trial.source, trial.target
    source.qmp("stop")
    source.qmp("cont")
    source.qmp.event("RESUME")
    source.beats()
    source.parameters(**FAST)
    source.qmp.status("completed")
    target.qmp.status("completed")
    check(target.state() == "running", f"the destination is {target.state()}")
    target.swept()
    target.quit()
    source.quit()


@case("stop during a migration that is cancelled: it stays paused")
def stopped_and_cancelled(scene):
    for state in ("active", "pre-switchover"):
        trial = Trial(scene, state)
        source = trial.source
        source.qmp("stop")
        source.qmp("migrate_cancel")
        source.qmp.status("cancelled")
        check(source.state() == "paused", f"{state}: the source is {source.state()}")
        source.qmp("cont")
        source.swept(source.guest()["sweeps"] + 1)
        trial.again()
        trial.target.failed("channel")


@case("a paused source arrives paused")
def paused(scene):
    demand_kvm(scene)
    source = dirtier(scene)
    source.qmp("stop")
    target = Vm(scene)
    moved(source, target, target.listen())
    check(target.state() == "paused", f"the destination is {target.state()}")
    check(source.digest() == target.digest(), "memory differs")
    target.qmp("cont")
    target.swept()
    target.quit()
    source.quit()


@case("one that has never run arrives so")
def never_ran(scene):
    demand_kvm(scene)
    source = Vm(scene, "--paused", guest="dirtier")
    check(source.state() == "prelaunch", f"it is {source.state()}")
    target = Vm(scene)
    moved(source, target, target.listen())
    check(target.state() in ("paused", "prelaunch"), f"the destination is {target.state()}")
    check(source.digest() == target.digest(), "memory differs")
    target.qmp("cont")
    target.swept()
    target.quit()


def run(scene, chosen):
    chosen.run(scene)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run, seconds=60))
