#!/usr/bin/env python3
"""One test for all combinations, ramjet to ramjet: engines at both ends, methods, TLS, zero-copy
where it is allowed, channels. The memory is the same at both ends afterwards."""

import sys
from dataclasses import dataclass
from itertools import product

from lib import certs, ramjet, table
from lib.journey import completed
from lib.table import check

ENGINES = ("socket", "uring")
METHODS = ("none", "zlib", "zlib:6", "zstd", "zstd:1", "zstd:-5")
SECURITIES = ("no TLS", "X.509", "PSK")


@dataclass
class Case:
    label: str
    engines: tuple = ("socket", "socket")  # the source's and the destination's
    method: str = "none"
    security: str = "no TLS"
    channels: int = 2
    zero_copy: bool = False
    source: str = "synth:64M,dirty=20M"
    refused: tuple = ()  # options with which the source refuses to start...
    why: str = None  # ...and its line then holds this


def case(engines, method, security, channels, zero_copy=False, small=False):
    label = f"{'small' if small else 'full'} {engines[0]} to {engines[1]}, "
    label += ("zero-copy" if zero_copy else method) + f", {security}, "
    label += f"{channels} channels" if channels else "main channel"
    # The slowest codec, and a build with sanitizers, get less memory to move.
    source = "synth:16M,dirty=10M" if small or method == "zlib:6" else "synth:64M,dirty=20M"
    return Case(label, engines, method, security, channels, zero_copy, source)


def refused(label, why, *options):
    return Case(f"small refused: {label}", refused=options, why=why)


CASES = [
    *(case(*all_of) for all_of in product(product(ENGINES, ENGINES), METHODS, SECURITIES,
                                          (1, 2, 7, 16))),
    *(case(engines, "none", security, 0)
      for engines, security in product(product(ENGINES, ENGINES), SECURITIES)),
    *(case(engines, "none", "no TLS", channels, zero_copy=True)
      for engines, channels in product(product(ENGINES, ENGINES), (1, 2, 7, 16))),

    # Every pair of engine, method and TLS, with few channels.
    *(case((engine, engine), method, security, channels, small=True)
      for engine, (method, security, channels) in product(ENGINES, (
          ("none", "no TLS", 0), ("none", "X.509", 0), ("none", "PSK", 2), ("none", "X.509", 7),
          ("zlib", "no TLS", 2), ("zlib", "X.509", 2), ("zlib", "PSK", 1),
          ("zstd", "no TLS", 7), ("zstd", "X.509", 2), ("zstd:-5", "PSK", 2)))),
    *(case(engines, "none", "no TLS", 2, small=True)
      for engines in product(ENGINES, ENGINES)),
    *(case((engine, "socket"), "none", "no TLS", channels, zero_copy=True, small=True)
      for engine, channels in product(ENGINES, (1, 7))),

    refused("zero-copy and zlib", "no multifd-compression", "--zero-copy", "--compress", "zlib"),
    refused("zero-copy and zstd", "no multifd-compression", "--zero-copy",
            "--compress", "zstd:-5"),
    refused("zero-copy and certificates", "no tls", "--zero-copy", "--tls-creds", "{}/client"),
    refused("zero-copy and a key", "no tls", "--zero-copy", "--tls-psk", "{}/keys/keys.psk"),
    refused("zero-copy without channels", "needs multifd", "--zero-copy", "--channels", "0"),
    refused("certificates and a key", "not both", "--tls-creds", "{}/client",
            "--tls-psk", "{}/keys/keys.psk"),
    refused("no such engine", "steam", "--engine", "steam"),
    refused("no such level", "expected 0 to 9", "--compress", "zlib:10"),
]


def credentials(scene, security):
    """Options for the destination and for the source."""
    if security == "no TLS":
        return [], []
    server, client = certs.pair(scene.folder, security)
    return server.ramjet(), client.ramjet()


def run(scene, case):
    if case.refused:
        run_refused(scene, case)
        return
    for engine in set(case.engines):
        ramjet.demand_engine(scene, engine)
    there, here = credentials(scene, case.security)
    receiver, address = ramjet.recv(scene, "null:", "--json", "--digest",
                                    "--engine", case.engines[1], *there)
    words = ["--zero-copy"] if case.zero_copy else ["--compress", case.method]
    sender = ramjet.Ramjet(scene, "send", "--json", "--digest", "--channels", case.channels,
                           "--engine", case.engines[0], *words, *here, case.source, address)
    sent, received = completed(sender.done()), completed(receiver.done())

    check(sent["digest"] and sent["digest"] == received["digest"],
          f"digests differ: sent {sent['digest']}, received {received['digest']}")
    check(sent["ram"]["dirty-sync-count"] >= 2, "want a second round: the source was dirty")
    for result, engine in zip((sent, received), case.engines):
        busy = [c["id"] for c in result["channels"] if c["packets"]]
        check(len(busy) == case.channels, f"channels {busy} have carried packets")
        check(result["engine"] == engine, f"says engine {result['engine']}")
        method = result.get("multifd-compression", "none")
        check(method == case.method.partition(":")[0], f"says method {method}")
        tls = result.get("tls", "no TLS")
        check((tls == "no TLS") == (case.security == "no TLS"), f"says {tls}")
    if case.zero_copy:
        check(sent["ram"]["dirty-sync-missed-zero-copy"] >= 1, "nothing was sent by zero-copy")


def run_refused(scene, case):
    certs.Authority(scene.folder).client("client")
    certs.keys(scene.folder, "keys")
    words = [word.format(scene.folder) for word in case.refused]
    ramjet.Ramjet(scene, "send", *words, "synth:16M", "tcp:127.0.0.1:1").failed(case.why, code=2)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run))
