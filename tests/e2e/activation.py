#!/usr/bin/env python3
"""`ramjet recv systemd:[NAME]`: sockets that a service manager has opened. By systemd-socket-activate
where it is installed, and by a stand-in that follows the protocol; and what the manager is told."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

from lib import prometheus, ramjet, table
from lib.scene import until
from lib.table import Skip, check

UNITS = Path(__file__).parents[2] / "contrib" / "systemd"
SYNTH = "synth:8M"
# Its arguments: the sockets' names and descriptors, what is wrong with the pid, and the program.
STAND_IN = """
import fcntl, os, sys
names, fds, wrong, *program = sys.argv[1:]
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD_CLOEXEC, 100) for fd in fds.split(",")]
for n, fd in enumerate(high):
    os.dup2(fd, 3 + n)
os.closerange(3 + len(high), 100)
os.environ.update(LISTEN_FDS=str(len(high)), LISTEN_PID=str(os.getpid() + int(wrong)))
if names:
    os.environ["LISTEN_FDNAMES"] = names
os.execv(program[0], program)
"""


class Manager:
    """What systemd would have: sockets that listen, and a socket for messages."""

    def __init__(self, scene, names="", other_pid=0, listens=True):
        self.scene, self.names, self.other_pid = scene, names, other_pid
        self.sockets = []
        for _ in (names.split(":") if names else [""]):
            s = socket.socket()
            scene.at_end.callback(s.close)
            s.bind(("127.0.0.1", 0))
            if listens:
                s.listen(512)
            self.sockets.append(s)
        self.messages = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        scene.at_end.callback(self.messages.close)
        self.path = scene.folder / "notify"
        self.messages.bind(str(self.path))
        self.heard = ""

    def address(self, n=0):
        return f"tcp:127.0.0.1:{self.sockets[n].getsockname()[1]}"

    def start(self, *arguments):
        fds = [s.fileno() for s in self.sockets]
        return ramjet.Ramjet(
            self.scene, *arguments, pass_fds=fds, env={**os.environ, "NOTIFY_SOCKET": str(self.path)},
            prefix=[sys.executable, "-c", STAND_IN, self.names, ",".join(map(str, fds)),
                    self.other_pid])

    def hears(self, text):
        """Waits for a message that has this text."""
        while text not in self.heard:
            self.heard += self.messages.recv(4096).decode() + "\n"


def completed(receiver, n):
    """Waits until it has reported n migrations."""
    def count(output):
        return output.count(b'{"status":"completed"')

    check(receiver.read(lambda output: count(output) >= n), f"{n} migrations: {receiver.errors}")


def send(scene, address, *options):
    ramjet.Ramjet(scene, "send", *options, SYNTH, address).done()


# --- the cases -------------------------------------------------------------------------------------


def repeats(scene):
    manager = Manager(scene)
    receiver = manager.start("recv", "--repeat", "--json", "systemd:", "null:")
    manager.hears("READY=1")
    manager.hears(f"STATUS=listening {manager.address()}")
    send(scene, manager.address())
    manager.hears("migrations: 1 completed, 0 failed")
    send(scene, manager.address(), "--channels", 4)
    completed(receiver, 2)
    receiver.send_signal(signal.SIGTERM)
    check(receiver.wait(10) == 0, receiver.errors)
    manager.hears("STOPPING=1")


def one(scene):
    """Without --repeat the program ends after one; what has connected is the next one's."""
    manager = Manager(scene)
    first = manager.start("recv", "--json", "systemd:", "null:")
    send(scene, manager.address())
    check(first.wait(10) == 0, first.errors)
    waiting = ramjet.Ramjet(scene, "send", SYNTH, manager.address())
    second = manager.start("recv", "--json", "systemd:", "null:")
    check(second.wait(10) == 0, second.errors)
    waiting.done()


def named(scene):
    """Two of three sockets have the name: a source may come at either, but not at the third."""
    manager = Manager(scene, "in:other:in")
    receiver = manager.start("recv", "--repeat", "--json", "systemd:in", "null:")
    send(scene, manager.address(0))
    send(scene, manager.address(2))
    completed(receiver, 2)
    with socket.create_connection(manager.sockets[1].getsockname()) as unheard:
        unheard.sendall(b"hello")
        send(scene, manager.address(0))
        completed(receiver, 3)
        unheard.setblocking(False)
        try:
            check(unheard.recv(1) is None, "somebody has answered at the other socket")
        except BlockingIOError:
            pass


def metrics_too(scene):
    """One socket for migrations, one for metrics."""
    manager = Manager(scene, "migration:metrics")
    receiver = manager.start("recv", "--repeat", "--json", "--metrics", "systemd:metrics",
                             "systemd:migration", "null:")
    send(scene, manager.address(0))
    completed(receiver, 1)
    until(lambda: prometheus.scrape(manager.address(1)).ended() == (1, 0, 0), "its metrics")
    receiver.send_signal(signal.SIGTERM)
    check(receiver.wait(10) == 0, receiver.errors)


def closed_on_exec(scene):
    """No descriptor of the sockets is left open for a program that this one would execute."""
    manager = Manager(scene, "a:b")
    receiver = manager.start("recv", "--repeat", "systemd:a", "null:")
    manager.hears("READY=1")
    for fd in os.listdir(f"/proc/{receiver.pid}/fdinfo"):
        text = Path(f"/proc/{receiver.pid}/fdinfo/{fd}").read_text()
        flags = int(text.split("flags:")[1].split()[0], 8)
        is_socket = os.readlink(f"/proc/{receiver.pid}/fd/{fd}").startswith("socket:")
        check(not is_socket or flags & os.O_CLOEXEC, f"descriptor {fd}: no CLOEXEC")


def refused(scene):
    for manager, address, words in (
            (Manager(scene, other_pid=1), "systemd:", "for another process"),
            (Manager(scene_again(scene), "a:b"), "systemd:c", "one of the names"),
            (Manager(scene_again(scene), listens=False), "systemd:", "a socket that listens")):
        manager.start("recv", address, "null:").failed(words, code=2)
    ramjet.Ramjet(scene, "recv", "systemd:", "null:").failed("no socket was handed over", code=2)


def scene_again(scene):
    """The next manager's path is free again."""
    (scene.folder / "notify").unlink()
    return scene


def real(scene):
    """systemd's own activator starts it at the first connection."""
    activate = shutil.which("systemd-socket-activate")
    if not activate:
        raise Skip("no systemd-socket-activate here")
    path = scene.folder / "s"
    receiver = ramjet.Ramjet(scene, "recv", "--repeat=2", "--json", "systemd:migration", "null:",
                             prefix=[activate, "-l", path, "--fdname=migration"])
    until(path.exists, "the socket")
    send(scene, f"unix:{path}")
    send(scene, f"unix:{path}", "--channels", 0)
    check(receiver.wait(10) == 0, receiver.errors)
    objects = [json.loads(line) for line in receiver.output.decode().splitlines()
               if line.startswith("{") and '"status"' in line]
    check([o["status"] for o in objects] == ["completed"] * 2, receiver.output)


def units(scene):
    """The examples are units: systemd's own check finds no fault."""
    if not shutil.which("systemd-analyze"):
        raise Skip("no systemd-analyze here")
    for unit in UNITS.iterdir():
        text = unit.read_text(encoding="utf-8")
        (scene.folder / unit.name).write_text(
            text.replace("/usr/local/bin/ramjet", str(Path(ramjet.binary()).resolve())),
            encoding="utf-8")
    for unit in UNITS.iterdir():
        found = subprocess.run(["systemd-analyze", "verify", "--man=no", scene.folder / unit.name],
                               capture_output=True, text=True, check=False)
        faults = [line for line in found.stderr.splitlines() if unit.stem in line]
        check(found.returncode == 0 and not faults, f"{unit.name}: {found.stderr}")


Case = namedtuple("Case", "label run")
CASES = [
    Case("one after the other", repeats),
    Case("one, and the next process", one),
    Case("by name", named),
    Case("metrics, too", metrics_too),
    Case("closed on exec", closed_on_exec),
    Case("refused", refused),
    Case("systemd-socket-activate", real),
    Case("the example units", units),
]

if __name__ == "__main__":
    sys.exit(table.main(CASES, lambda scene, case: case.run(scene), seconds=60))
