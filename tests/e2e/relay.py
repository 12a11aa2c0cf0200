#!/usr/bin/env python3
"""The relay of lib/relay.py does what it promises, to the byte; ramjet works through one that does
nothing, and reports the error through one that interferes."""

import socket
import sys
import threading
import time
from collections import namedtuple

from lib import table
from lib.monitor import connect
from lib.ramjet import Ramjet, recv
from lib.relay import Relay
from lib.table import check

Case = namedtuple("Case", "label run")
CASES = []

PATTERN = bytes(range(251)) * 8000  # 2 MB, and no position looks like those near it


def case(label):
    def add(function):
        CASES.append(Case(label, function))
        return function
    return add


class Peer:
    """A listener that reads one connection to its end, and sends `answer`."""

    def __init__(self, scene, scheme, answer=b"", reads=True):
        self.got, self.ended = b"", None
        self._answer = answer
        self._go = threading.Event()
        if reads:
            self._go.set()
        if scheme == "unix":
            self.address = f"unix:{scene.folder}/peer"
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(f"{scene.folder}/peer")
            self._listener.listen()
        else:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.address = f"tcp:127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def _main(self):
        with self._listener, self._listener.accept()[0] as connection:
            if self._answer:
                connection.sendall(self._answer)
            self._go.wait()
            try:
                while piece := connection.recv(65536):
                    self.got += piece
                self.ended = "closed"
            except ConnectionResetError:
                self.ended = "reset"

    def join(self):
        self._go.set()
        self._thread.join()


def send(connection, data=PATTERN):
    """What a broken path does not accept is not sent."""
    try:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def through(scene, plan, scheme="tcp", answer=b""):
    """Sends PATTERN up; returns the peer, the relay, and the connection."""
    peer = Peer(scene, scheme, answer)
    listen = f"unix:{scene.folder}/relay" if scheme == "unix" else "tcp:127.0.0.1:0"
    relay = Relay(scene, peer.address, plan, listen=listen)
    connection = connect(relay.address)
    scene.at_end.callback(connection.close)
    send(connection)
    return peer, relay, connection


def both(label):
    """Adds a case for TCP and one for UNIX sockets."""
    def add(function):
        for scheme in ("tcp", "unix"):
            CASES.append(Case(f"{label}, {scheme}", lambda scene, s=scheme: function(scene, s)))
        return function
    return add


@both("forwards, counts, and says when a position was passed")
def forwards(scene, scheme):
    marks = []

    def plan(c):
        marks.extend([c.up.mark(1), c.up.mark(1 << 20), c.up.mark(len(PATTERN) + 1)])
    peer, relay, connection = through(scene, plan, scheme, b"answer")
    peer.join()
    check(connection.recv(100) == b"answer", "no answer")
    check(connection.recv(100) == b"", "no end of the answer")
    relay.wait(lambda: relay.connections[0].closed)
    check(peer.got == PATTERN and peer.ended == "closed", f"{len(peer.got)} bytes, {peer.ended}")
    counts = relay.up.count, relay.connections[0].up.count, relay.down.count
    check(counts == (len(PATTERN), len(PATTERN), 6), f"counts {counts}")
    check(marks[0].time <= marks[1].time and marks[2].time is None, "marks")


@both("cuts after just so many bytes")
def cuts(scene, scheme):
    for position in (0, 1, 4096, 777777, len(PATTERN) - 1):
        peer, relay, connection = through(scene, lambda c: c.up.at(position, c.cut), scheme)
        peer.join()
        check(peer.got == PATTERN[:position], f"{len(peer.got)} bytes, want {position}")
        relay.close()
        if scheme == "unix":
            (scene.folder / "relay").unlink()
            (scene.folder / "peer").unlink()


@case("resets after just so many bytes")
def resets(scene):
    peer, _, connection = through(scene, lambda c: c.up.at(777777, c.reset))
    peer.join()
    check(peer.got == PATTERN[:777777] and peer.ended == "reset", f"{len(peer.got)}, {peer.ended}")
    try:
        check(connection.recv(1) == b"-", "no reset")
    except ConnectionResetError:
        pass


@case("a cut on the way back")
def cuts_down(scene):
    _, _, connection = through(scene, lambda c: c.down.at(3, c.cut), answer=b"answer")
    got = b""
    try:
        while piece := connection.recv(100):
            got += piece
    except ConnectionResetError:
        pass
    check(got == b"ans", f"got {got}")


@both("half-closes one direction, the other goes on")
def half_closes(scene, scheme):
    peer, _, connection = through(scene, lambda c: c.up.at(4096, c.up.half_close), scheme,
                                  b"answer")
    peer.join()
    check(peer.got == PATTERN[:4096] and peer.ended == "closed", f"{len(peer.got)}, {peer.ended}")
    check(connection.recv(100) == b"answer", "the other direction ends, too")


@both("swallows, and no end notices")
def swallows(scene, scheme):
    peer, relay, connection = through(scene, lambda c: c.up.at(4096, c.swallow), scheme)
    # The relay has read all of it, and its end, too.
    relay.wait(lambda: relay.connections and relay.connections[0].up.eof)
    connection.settimeout(0.2)
    try:
        check(False, f"the end is told: {connection.recv(1)}")
    except TimeoutError:
        pass
    check(peer.ended is None, "the end is told to the peer")
    relay.close()
    peer.join()
    check(peer.got == PATTERN[:4096], f"{len(peer.got)} bytes")


@case("stalls, and goes on")
def stalls(scene):
    peer, relay, _ = through(scene, lambda c: c.up.at(4096, c.up.stall))
    relay.wait(lambda: relay.up.count == 4096)
    relay.connections[0].resume()
    peer.join()
    check(peer.got == PATTERN, f"{len(peer.got)} bytes")


@case("flips a bit")
def flips(scene):
    def plan(c):
        c.up.flip(0, 7)
        c.up.flip(1000000)
    peer, *_ = through(scene, plan)
    peer.join()
    want = bytearray(PATTERN)
    want[0] ^= 0x80
    want[1000000] ^= 1
    check(peer.got == want, "another byte is another one")


@case("finds words, wherever pieces end")
def finds(scene):
    found = []
    peer = Peer(scene, "tcp")

    def plan(c):
        c.up.on(b"needle", lambda: found.append(c.up.count))
    relay = Relay(scene, peer.address, plan)
    with connect(relay.address) as connection:
        for i, piece in enumerate((b"xxneed", b"leneedle", b"need", b"l", b"e", b"needl")):
            connection.sendall(piece)
            sent = sum(map(len, (b"xxneed", b"leneedle", b"need", b"l", b"e", b"needl")[:i + 1]))
            relay.wait(lambda: relay.up.count == sent)
    peer.join()
    check(found == [8, 14, 20], f"found at {found}")


@case("delays and throttles")
def slow(scene):
    marks = []

    def plan(c):
        c.up.delay, c.up.rate = 0.2, 10e6
        marks.extend([c.up.mark(1), c.up.mark(len(PATTERN))])
    peer = Peer(scene, "tcp")
    relay = Relay(scene, peer.address, plan)
    with connect(relay.address) as connection:
        start = time.monotonic()
        send(connection)
        peer.join()
    check(marks[0].time - start >= 0.2, f"delayed by {marks[0].time - start:.3f} s")
    check(marks[1].time - marks[0].time > 0.15, "2 MB at 10 MB/s took less than 0.15 s")


@case("the total of all connections, and a path that stays cut")
def totals(scene):
    receiver, address = recv(scene, "null:", "--stall-timeout", "60s")
    relay = Relay(scene, address)
    mark = relay.up.mark(1 << 20)
    relay.up.at(20 << 20, relay.cut)
    sender = Ramjet(scene, "send", "--channels", 4, "synth:64M,random=100", relay.address)
    check(sender.wait() == 1, f"exit code {sender.wait()}: {sender.errors}")
    check(receiver.wait() == 1, f"exit code {receiver.wait()}: {receiver.errors}")
    mark.wait()
    check(relay.up.count == 20 << 20, f"{relay.up.count} bytes")
    try:
        with connect(relay.address) as late:
            check(late.recv(1) == b"-", "still open")
    except ConnectionResetError:
        pass


def passes(scheme, channels):
    def run(scene):
        listen = f"unix:{scene.folder}/recv" if scheme == "unix" else "tcp:127.0.0.1:0"
        front = f"unix:{scene.folder}/relay" if scheme == "unix" else "tcp:127.0.0.1:0"
        receiver, address = recv(scene, "null:", "--json", "--digest", listen=listen)
        relay = Relay(scene, address, listen=front)
        sender = Ramjet(scene, "send", "--json", "--digest", "--channels", channels,
                        "synth:64M,random=50", relay.address)
        ours, theirs = sender.done(), receiver.done()
        check(ours["digest"] == theirs["digest"], f"{ours['digest']}, {theirs['digest']}")
        check(len(relay.connections) == 1 + channels, f"{len(relay.connections)} connections")
        check(relay.up.count == ours["wire-bytes"], f"{relay.up.count}, {ours['wire-bytes']}")
    return Case(f"ramjet through it, {scheme}, {channels} channels", run)


CASES += [passes(scheme, channels) for scheme in ("tcp", "unix") for channels in (0, 4)]


if __name__ == "__main__":
    sys.exit(table.main(CASES, lambda scene, case: case.run(scene)))
