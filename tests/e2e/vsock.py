#!/usr/bin/env python3
"""Over vsock's loopback, where a kernel has it: each engine, and its report on zero-copy."""

import socket
import sys
from collections import namedtuple

from lib import ramjet, table
from lib.ramjet import Ramjet
from lib.table import Skip, check

Case = namedtuple("Case", "label receiver sender refused")

LOCAL = 1  # VMADDR_CID_LOCAL

CASES = [
    Case("socket to socket", "socket", ["--engine", "socket"], None),
    Case("uring to uring", "uring", ["--engine", "uring"], None),
    Case("uring, zero-copy, to uring", "uring", ["--engine", "uring", "--zero-copy"], None),
    Case("socket, zero-copy", "socket", ["--engine", "socket", "--zero-copy"], "add --engine uring"),
]


def demand_loopback():
    try:
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as probe:
            probe.bind((LOCAL, -1))
    except OSError as why:
        raise Skip(f"no vsock loopback here: {why}") from why


def run(scene, case):
    demand_loopback()
    for engine in {case.receiver, case.sender[1]}:
        ramjet.demand_engine(scene, engine)
    # Packets of 512 KiB, more than the buffer of a vsock socket holds.
    receiver, address = ramjet.recv(scene, "null:", "--json", "--digest", "--engine", case.receiver,
                                    listen=f"vsock:{LOCAL}:0")
    sender = Ramjet(scene, "send", "--json", "--digest", "--channels", 4, *case.sender,
                    "synth:64M,random=60,zero=20", address)
    if case.refused:
        sender.failed(case.refused, seconds=60, code=2)
        return
    sent, received = sender.done(), receiver.done()
    check(sent["digest"] and sent["digest"] == received["digest"], "digests differ")
    check(sent["engine"] == case.sender[1], f"sent by {sent['engine']}")


if __name__ == "__main__":
    sys.exit(table.main(CASES, run, seconds=60))
