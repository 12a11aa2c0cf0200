#!/usr/bin/env python3
"""TLS against real QEMUs, both directions: valid certificates and pre-shared keys, and each way in
which they can be wrong; and that the end of a stream is never lost."""

import sys
from dataclasses import dataclass

from lib import certs, journey, mistakes, ramjet, table
from lib.certs import HOST
from lib.qemu import Qemu, binary
from lib.scene import Process
from lib.table import check


@dataclass
class Case:
    label: str
    run: object  # a function of scene and case
    version: str  # of the QEMU
    machine: str
    kind: str = "X.509"
    channels: int = 2
    returns: bool = False
    method: str = "none"
    repeat: int = 1
    wrong: object = None  # a function that makes a Mistake
    unused: object = None  # a function that adds unused certificates to folders of credentials


def make(function, version, label, machine=None, **more):
    where = {"into": f"{version} into ramjet", "out": f"ramjet into {version}",
             "neither": f"{version} and ramjet"}[function.__name__.partition("_")[0]]
    where += f", machine {machine}" if machine else ""
    return Case(f"{where}: {label}", function, version, f"pc-q35-{machine or version}", **more)


def qemu_source(scene, case, credentials, name="source"):
    """A QEMU with a guest that will migrate over TLS; without credentials: over plain TCP."""
    source = Qemu(scene, name, case.version, machine=case.machine,
                  options=credentials.qemu("client") if credentials else ())
    tls = {"tls_creds": "tls0"} if credentials else {}
    source.configure(["return-path"] if case.returns else [], case.channels,
                     multifd_compression=case.method, **tls)
    return source


def qemu_target(scene, case, credentials, name="target", shape=None):
    target = Qemu(scene, name, case.version, **(shape or {"machine": case.machine}),
                  incoming="defer", paused=True,
                  options=credentials.qemu("server") if credentials else ())
    tls = {"tls_creds": "tls0"} if credentials else {}
    target.configure(channels=case.channels, multifd_compression=case.method, **tls)
    return target


# ---- successes ---- ----

def into(scene, case):
    """From QEMU into ramjet."""
    server, client = certs.pair(scene.folder, case.kind)
    for turn in range(case.repeat):
        snapshot = scene.folder / f"{turn}.snap"
        source = qemu_source(scene, case, client)
        journey.capture(scene, source, f"file:{snapshot}", *server.ramjet(), rounds=3)
        journey.compare(snapshot, source)
        journey.load(scene, snapshot, source, case.channels)
        source.end()
        snapshot.unlink()


def out_of(scene, case):
    """From ramjet into QEMU."""
    server, client = certs.pair(scene.folder, case.kind)
    source = Qemu(scene, "source", case.version, machine=case.machine)
    source.configure(channels=2)
    snapshot = scene.folder / "vm.snap"
    journey.capture(scene, source, f"file:{snapshot}")
    for _ in range(case.repeat):
        target = qemu_target(scene, case, server, shape=source.shape)
        journey.deliver(scene, f"file:{snapshot}", target, case.channels, *client.ramjet(),
                        "--compress", case.method,
                        "--set", f"return-path={'on' if case.returns else 'off'}")
        journey.arrived(target, source)
        target.end()


def into_by_name(scene, case):
    """The server's certificate is checked against a name that the source is given."""
    server, client = certs.pair(scene.folder, case.kind)
    source = qemu_source(scene, case, client)
    source.configure(tls_hostname=HOST)
    journey.capture(scene, source, "null:", *server.ramjet())


def out_of_by_name(scene, case):
    authority = certs.Authority(scene.folder)
    target = qemu_target(scene, case, authority.server("server", hosts=[f"DNS:{HOST}"]))
    source = Qemu(scene, "source", case.version, machine=case.machine)
    source.configure(channels=2)
    snapshot = scene.folder / "vm.snap"
    journey.capture(scene, source, f"file:{snapshot}")
    journey.deliver(scene, f"file:{snapshot}", target, case.channels,
                    *authority.client("client").ramjet(), "--tls-hostname", HOST)
    journey.arrived(target, source)


def into_authorized(scene, case):
    """The distinguished name decides: one client is allowed, another one is not."""
    authority = certs.Authority(scene.folder)
    server, client = authority.server("server"), authority.client("client")
    authz = ["--tls-authz", client.distinguished_name]
    journey.capture(scene, qemu_source(scene, case, client), "null:", *server.ramjet(), *authz)

    receiver, address = ramjet.recv(scene, "null:", *server.ramjet(), *authz)
    source = qemu_source(scene, case, authority.client("other"), "other")
    source.passes(1)
    source.fails(address)
    receiver.turns_away("from 127.0.0.1:", "cn=other", "--tls-authz")


# ---- unused certificates ---- ----

def unused_authority(**flawed):
    def add(scene, _, *made):
        certs.Authority(scene.folder, "unused", **flawed).trusted_by(*made)
    return add


def foreign_list(scene, authority, *made):
    """Another authority's list of revocations, after the authority's own."""
    for one in (authority, certs.Authority(scene.folder, "foreign")):
        one.list_revoked(*made)


UNUSED = [
    ("an authority that has expired", unused_authority(dates=certs.PAST)),
    ("an authority that is not yet valid", unused_authority(dates=certs.FUTURE)),
    ("a leaf among the authorities",
     unused_authority(basic="critical,CA:FALSE", usage="critical,digitalSignature")),
    ("an authority without keyCertSign", unused_authority(usage="critical,cRLSign")),
    ("a second, foreign list", foreign_list),
]


def with_unused(scene, case):
    authority = certs.Authority(scene.folder)
    server, client = authority.server("server"), authority.client("client")
    case.unused(scene, authority, server, client)
    return server, client


def into_unused(scene, case):
    """They do no harm at either end; ramjet prints a line about them."""
    server, client = with_unused(scene, case)
    snapshot = scene.folder / "vm.snap"
    source = qemu_source(scene, case, client)
    receiver, address = ramjet.recv(scene, f"file:{snapshot}", "--json", *server.ramjet())
    source.passes(2)
    source.migrate(address, 1)
    journey.completed(receiver.done())
    journey.compare(snapshot, source)
    one_line(receiver)


def out_of_unused(scene, case):
    server, client = with_unused(scene, case)
    source = Qemu(scene, "source", case.version, machine=case.machine)
    source.configure(channels=case.channels)
    snapshot = scene.folder / "vm.snap"
    journey.capture(scene, source, f"file:{snapshot}")
    target = qemu_target(scene, case, server)
    sender = ramjet.Ramjet(scene, "send", "--json", "--channels", case.channels, *client.ramjet(),
                           f"file:{snapshot}", target.listen())
    journey.completed(sender.done())
    target.migrated()
    journey.arrived(target, source)
    one_line(sender)


def one_line(program):
    lines = program.errors.splitlines()
    check(len(lines) == 1 and lines[0].endswith(ramjet.UNUSED),
          f"{program.name}: want one line about what nobody uses: {lines}")


# ---- their own credentials are wrong: neither program starts ----

def own_leaf(dates):
    def make(folder, role):
        return getattr(certs.Authority(folder), role)("own", dates=dates)
    return make


def own_authority(**flawed):
    def make(folder, role):
        return getattr(certs.Authority(folder, **flawed), role)("own")
    return make


OWN = [
    ("certificate expired", own_leaf(certs.PAST)),
    ("certificate not yet valid", own_leaf(certs.FUTURE)),
    ("authority expired", own_authority(dates=certs.PAST)),
    ("authority not yet valid", own_authority(dates=certs.FUTURE)),
    ("authority a leaf",
     own_authority(basic="critical,CA:FALSE", usage="critical,digitalSignature")),
    ("authority without keyCertSign", own_authority(usage="critical,cRLSign")),
]


def neither_starts(scene, case):
    for role, words in (("server", ("recv", "tcp:127.0.0.1:0", "null:")),
                        ("client", ("send", "synth:16M", "tcp:127.0.0.1:1"))):
        folder = scene.folder / role
        folder.mkdir()
        own = case.wrong(folder, role)
        verb, *rest = words
        refuses = ramjet.Ramjet(scene, verb, *own.ramjet(), *rest)
        refuses.failed("-cert.pem: the certificate (", code=2)
        starts = Process(scene, "qemu", [binary(case.version), "-machine", "none", "-nodefaults",
                                         "-display", "none", *own.qemu(role)])
        code = starts.wait(20)
        check(code == 1 and "certificate" in starts.errors, f"{role}: {code}: {starts.errors}")


# ---- failures. QEMU closes without a word when it refuses a peer. ---- ----

def into_wrongly(scene, case):
    """QEMU's migration into ramjet fails: both report why, and the guest runs on."""
    wrong = case.wrong(scene.folder)
    snapshot = scene.folder / "vm.snap"
    options = wrong.server.ramjet() if wrong.server else []
    receiver, address = ramjet.recv(scene, f"file:{snapshot}", *options)
    source = qemu_source(scene, case, wrong.client)
    source.passes(1)
    source.fails(address, *wrong.qemu)
    receiver.turns_away("from 127.0.0.1:", *(wrong.recv if wrong.seen_by == "server" else ()))
    check(not snapshot.exists(), "a snapshot was left behind")


def out_of_wrongly(scene, case):
    """ramjet's migration into QEMU fails, and ramjet says why."""
    wrong = case.wrong(scene.folder)
    target = qemu_target(scene, case, wrong.server)
    options = wrong.client.ramjet() if wrong.client else []
    sender = ramjet.Ramjet(scene, "send", "--channels", case.channels, *options,
                           # A plain QEMU 7.2 keeps waiting for more bytes.
                           "--connect-timeout", "3s", "synth:64M", target.listen())
    sender.failed(*(wrong.send if wrong.seen_by == "client" else ()))


BOTH = ("7.2", "10.0")
RIGHT = [(kind, channels, returns) for kind in ("X.509", "PSK") for channels in (0, 2, 4)
         for returns in (False, True)]
CASES = [
    *(make(function, version, f"{kind}, {channels} channels{', return path' if returns else ''}",
           kind=kind, channels=channels, returns=returns)
      for function in (into, out_of) for version in BOTH for kind, channels, returns in RIGHT),
    *(make(function, version, f"X.509 and {method}", method=method, channels=4)
      for function in (into, out_of) for version in BOTH for method in ("zlib", "zstd")),
    *(make(function, version, "by name") for function in (into_by_name, out_of_by_name)
      for version in BOTH),
    *(make(into_authorized, version, "authorized or not") for version in BOTH),
    *(make(into_wrongly, version, f"refused, {label}", wrong=wrong)
      for version in BOTH for label, wrong in mistakes.ALL),
    *(make(out_of_wrongly, version, f"refused, {label}", wrong=wrong)
      for version in BOTH for label, wrong in mistakes.ALL if wrong is not mistakes.revoked),
    # A source that waits for nothing closes as soon as it has written. Its end must arrive.
    *(make(function, version, f"10 times, {kind}", machine, kind=kind, channels=4, repeat=10)
      for function in (into, out_of)
      for version, machine, kind in (("7.2", None, "X.509"), ("10.0", None, "X.509"),
                                     ("10.0", "7.2", "X.509"), ("10.0", None, "PSK"))),
    # Older versions refuse most unused certificates.
    *(make(function, "11.1", f"unused: {label}", unused=unused)
      for function in (into_unused, out_of_unused) for label, unused in UNUSED),
    *(make(function, "11.1", f"chain, {label}", wrong=wrong)
      for function in (into_wrongly, out_of_wrongly) for label, wrong in mistakes.CHAINS
      # A QEMU reads ca-crl.pem only as a destination.
      if function is out_of_wrongly or wrong is not mistakes.revoked_server),
    *(make(neither_starts, "11.1", f"its own {label}", wrong=wrong) for label, wrong in OWN),
]


def run(scene, case):
    case.run(scene, case)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run, seconds=120))
