#!/usr/bin/env python3
"""What a receiver waits for, how long, and what ends the wait early: a row of the table of waits in
docs/architecture.md for each case. No case decides by a short time: what must end at once gets
limits of minutes, and what must end by a limit is only checked for its words."""

import os
import resource
import sys
import time

from harness import CONNECT_S, STALL_S, Connections, Failed, Receiver, check, run_cases, send
from wire import Session, configuration, description, header, hello, u8, u32

LONG = "600s"  # a limit that is never reached


def channels_far_apart():
    """A proxy on this host delivers main at once, and each of 8 channels 0.3 s
    after the one before."""
    session = Session(channels=8)
    with Receiver("--channels", "8") as receiver, Connections() as peer:
        main = peer.open(receiver.address, session.main())
        for i in range(8):
            time.sleep(0.3)
            peer.open(receiver.address, session.channel(i))
        receiver.completes()
        main.close()


def source_leaves():
    """A receiver whose source has gone waits for none of its channels, whatever the limits are."""
    session = Session(channels=2)
    limits = ("--connect-timeout", LONG, "--stall-timeout", LONG)
    for data in (session.header, session.main()):
        with Receiver("--channels", "3", *limits) as receiver, Connections() as peer:
            main = peer.open(receiver.address)
            channels = [peer.open(receiver.address, session.channel(i)) for i in range(2)]
            send(main, data)
            for s in (main, *channels):
                s.close()
            receiver.fails("main channel")
    with Receiver(*limits) as receiver, Connections() as peer:  # before main has sent anything
        main = peer.open(receiver.address)
        channel = peer.open(receiver.address, hello(0))
        main.close()
        channel.close()
        receiver.fails("there is no main connection")


LIMITED = ("--connect-timeout", f"{CONNECT_S}s", "--stall-timeout", LONG)


def drop_by_drop():
    """A byte now and then is not silence, but the time to prove itself a migration is limited."""
    with Receiver(*LIMITED) as receiver, Connections() as peer:
        trickle(peer.open(receiver.address, header()), configuration("x" * 100))
        receiver.fails("no list of RAM blocks within", "(--connect-timeout)")


def stranger_drop_by_drop():
    """The same for a client that comes during a migration: it is closed, the migration goes on."""
    session = Session(channels=0)
    with Receiver(*LIMITED) as receiver, Connections() as peer:
        main = peer.open(receiver.address)
        begin, end = session.main().split(session.part, 1)
        send(main, begin)
        trickle(peer.open(receiver.address), hello(0))
        check(receiver.running(), "the receiver has ended")
        send(main, session.part + end)
        receiver.completes()


def trickle(s, data):
    """Sends byte after byte, for many times the limit, until the receiver closes."""
    try:
        for i in range(len(data)):
            s.sendall(data[i:i + 1])
            time.sleep(CONNECT_S / 10)
        raise Failed(f"{len(data)} bytes were taken")
    except (BrokenPipeError, ConnectionResetError):
        pass


def strangers():
    """Many silent clients, and one that sends garbage, before a source comes and after."""
    silent, noisy = 2000, 500
    session = Session(channels=4)
    with Receiver("--connect-timeout", LONG) as receiver, Connections() as crowd:
        for i in range(silent):
            crowd.open(receiver.address, b"" if i % 4 else b"Q")
        for i in range(noisy):
            crowd.open(receiver.address, os.urandom(100)).close()
        with Connections() as peer:
            main = peer.open(receiver.address)
            channels = [peer.open(receiver.address, hello(i)) for i in range(4)]
            send(main, session.header)
            for i in range(10):
                crowd.open(receiver.address, os.urandom(100))
            for i in range(4):
                send(channels[i], session.channel(i)[len(hello(i)):])
            for i in range(10):
                crowd.open(receiver.address, b"").close()
            send(main, session.main()[len(session.header):])
            receiver.completes()


SILENT = ("--connect-timeout", LONG, "--stall-timeout", f"{STALL_S}s")


def main_rests():
    """A source that waits before the switch-over is silent, wherever in main its buffer ended."""
    for channels in (0, 2):
        session = Session(channels=channels)
        whole = session.main()
        if channels:  # inside a footer: where QEMU 10.0 stops
            at = whole.index(session.switch + session.end) - 3
        else:
            at = whole.index(session.records) + 1000
        with Receiver(*SILENT) as receiver, Connections() as peer:
            main = peer.open(receiver.address)
            pieces = [session.channels[i] for i in range(channels)]
            kept = [peer.open(receiver.address, b"".join(of[:4])) for of in pieces]
            send(main, whole[:at])
            time.sleep(2 * STALL_S)
            for s, of in zip(kept, pieces):
                send(s, b"".join(of[4:]))
            send(main, whole[at:])
            receiver.completes()


def main_is_swallowed():
    """Channels deliver SYNC packets, but main never delivers the word that belongs to them."""
    session = Session(channels=2)
    for data in (session.header + session.configuration + session.start,
                 session.main().split(session.end, 1)[0] + session.end):
        with Receiver(*SILENT) as receiver, Connections() as peer:
            main = peer.open(receiver.address)
            kept = [peer.open(receiver.address, session.channel(i)) for i in range(2)]
            send(main, data)
            receiver.fails("nothing has come on main for", "(--stall-timeout)")
            check(len(kept) == 2, "channels")


def tail_is_swallowed():
    """Nothing after the start of RAM's last section: the source's guest is paused there."""
    session = Session(channels=0)
    with Receiver(*SILENT) as receiver, Connections() as peer:
        peer.open(receiver.address, session.main().split(session.end, 1)[0] + session.end)
        receiver.fails("the peer has sent nothing for")


def description_is_not_true():
    """The answer comes at once, though the source keeps its connections open."""
    limits = ("--connect-timeout", LONG, "--stall-timeout", LONG)
    for text in (description([("timer", 8)]), description([("timer", 8), ("cpu", 99)]),
                 u8(6) + u32(4) + b"{ x}"):
        session = Session(channels=0)
        session.description = text
        with Receiver(*limits) as receiver, Connections() as peer:
            peer.open(receiver.address, session.main())
            receiver.fails("main channel: ", "description")


CASES = [
    channels_far_apart,
    source_leaves,
    drop_by_drop,
    stranger_drop_by_drop,
    strangers,
    main_rests,
    main_is_swallowed,
    tail_is_swallowed,
    description_is_not_true,
]


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1 << 16), hard))  # for many clients
    return run_cases((case.__name__, case) for case in CASES)


if __name__ == "__main__":
    sys.exit(main())
