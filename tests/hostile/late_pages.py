#!/usr/bin/env python3
"""Pages after the last flush: everything that has arrived on a channel when the main stream
ends is read, and pages in it are refused, every time. Here all of it arrives before main's
last bytes are sent."""

import contextlib
import fcntl
import socket
import ssl
import struct
import sys
import tempfile
import termios
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from harness import STUCK_S, Connections, Receiver, Skip, check, probed, run_cases, send
from wire import PAGE, SYNC, Session, packet

sys.path.append(str(Path(__file__).parents[1] / "e2e"))
from lib import certs, table  # pylint: disable=wrong-import-position

LIMITS = ("--connect-timeout", "600s", "--stall-timeout", "600s")  # never reached

MANY = 65536  # packets: more than a socket takes

A_PAGE, A_ZERO_PAGE = packet(0, [10 * PAGE]), packet(0, [], [10 * PAGE])

LATE = {
    "a page": A_PAGE,
    "a zero page": A_ZERO_PAGE,
    "a page in a SYNC": packet(SYNC, [10 * PAGE]),
    "a page, a SYNC": A_PAGE + packet(SYNC),
    "a SYNC, a page": packet(SYNC) + A_PAGE,
    "two SYNCs, a zero page": 2 * packet(SYNC) + A_ZERO_PAGE,
    "an empty packet, a page": packet() + A_PAGE,
    "a page without its last byte": A_PAGE[:-1],
    "pages, pages": 2 * packet(0, [(10 + n) * PAGE for n in range(4)]),
}

HARMLESS = {
    "nothing": b"",
    "an empty packet": packet(),
    "two SYNCs and an empty packet": 2 * packet(SYNC) + packet(),
}


@dataclass
class Way:
    """How the bytes travel."""
    options: tuple = ()
    wrap: Callable = lambda s: s
    styles: tuple = ("word",)
    channels: tuple = (2,)


def demand(what):
    found = probed(what)
    if str(found).startswith("no"):
        raise Skip(f"{what}: {found}")


def wrapping(client):
    """As a source does: with a certificate of its own, and without a name to check."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(client.folder / "ca-cert.pem")
    context.load_cert_chain(client.folder / "client-cert.pem", client.folder / "client-key.pem")
    return context.wrap_socket


def arrived(s):
    """Waits until the other end's kernel has all that was sent."""
    deadline = time.monotonic() + STUCK_S
    while struct.unpack("i", fcntl.ioctl(s, termios.TIOCOUTQ, bytes(4)))[0]:
        check(time.monotonic() < deadline, "bytes do not arrive")
        time.sleep(0.001)


def migrate(way, style, n, late, *refused):
    """The last of `n` channels has `late` after its last SYNC."""
    session = Session(style, n)
    before, end = session.main().split(session.end, 1)
    with Receiver(*LIMITS, *way.options) as receiver, Connections(way.wrap) as peer:
        main = peer.open(receiver.address)
        channels = [peer.open(receiver.address) for _ in range(n)]
        for i, s in enumerate(channels):
            send(s, session.channel(i))
        send(main, before)
        send(channels[-1], late)
        for s in channels:
            arrived(s)
        send(main, session.end + end)
        if refused:
            receiver.fails(*refused)
        else:
            receiver.completes()


def all_of(way):
    for style in way.styles:
        for n in way.channels:
            late = f"channel {n - 1}: pages after the main stream's last flush, expected none"
            for label, data in (LATE | HARMLESS).items():
                try:
                    migrate(way, style, n, data, *([late] if label in LATE else []))
                except Exception as why:
                    raise type(why)(f"{label}, {n} channels, {style}: {why}") from why


def by_socket():
    all_of(Way(styles=("word", "section"), channels=(1, 2, 8)))


def by_uring():
    demand("io-uring")
    all_of(Way(("--engine", "uring")))


def by_tls(*options):
    demand("tls")
    with tempfile.TemporaryDirectory(prefix="ramjet-hostile-") as folder:
        try:
            server, client = certs.pair(Path(folder), "X.509")
        except table.Skip as why:
            raise Skip(str(why)) from None
        all_of(Way((*server.ramjet(), *options), wrapping(client)))


def by_tls_over_uring():
    demand("io-uring")
    by_tls("--engine", "uring")


def flood(s, data):
    """Sends `data` repeatedly, in the background, until the socket is shut down."""
    begun = threading.Event()
    much = MANY * data

    def run():
        with contextlib.suppress(OSError):
            s.sendall(data)
            begun.set()
            while True:
                s.sendall(much)

    thread = threading.Thread(target=run)
    thread.start()
    check(begun.wait(STUCK_S), "nobody takes the packets")
    return thread


def without_end():
    """Packets without pages that never end. A sender that is slower than the receiver leaves the
    channel empty for a moment, which is enough."""
    for label, data in (("empty packets", packet()), ("SYNCs", packet(SYNC))):
        session = Session("word", 2)
        with Receiver("--connect-timeout", "600s", "--stall-timeout", "5s") as receiver, \
             Connections() as peer:
            main = peer.open(receiver.address)
            channels = [peer.open(receiver.address) for _ in range(2)]
            for i, s in enumerate(channels):
                send(s, session.channel(i))
            sender = flood(channels[-1], data)
            send(main, session.main())
            try:
                receiver.ends("channel 1: still sends packets 10.0 s after the main stream's end")
            except Exception as why:
                raise type(why)(f"{label}: {why}") from why
            with contextlib.suppress(OSError):
                channels[-1].shutdown(socket.SHUT_RDWR)  # a reset may be lost on a full socket
            sender.join()


def without_channels():
    """Main has an order of its own: after RAM's last section, a part of another one is refused."""
    session = Session(channels=0)
    session.devices = session.part + session.records + session.part_end + session.devices
    with Receiver(*LIMITS) as receiver, Connections() as peer:
        peer.open(receiver.address, session.main())
        receiver.fails("main channel: ", "description")


CASES = [by_socket, by_uring, by_tls, by_tls_over_uring, without_end, without_channels]

if __name__ == "__main__":
    sys.exit(run_cases((case.__name__, case) for case in CASES))
