#!/usr/bin/env python3
"""TLS that fails, between two ramjets and with clients that are no ramjet: both ends say why,
quickly, and leave no target behind. Foreign clients that come later disturb nothing."""

import os
import socket
import ssl
import sys
from collections import namedtuple

from lib import certs, mistakes, ramjet, table
from lib.scene import patience, until
from lib.table import check

Case = namedtuple("Case", "label run channels argument")


def refused(scene, case):
    """Two ramjets, one of which has wrong credentials."""
    wrong = case.argument(scene.folder)
    target = scene.folder / "vm.snap"
    receiver, address = ramjet.recv(scene, f"file:{target}",
                                    *(wrong.server.ramjet() if wrong.server else []))
    sender = ramjet.Ramjet(scene, "send", "--channels", case.channels,
                           *(wrong.client.ramjet() if wrong.client else []), "synth:64M", address)
    sender.failed(*wrong.send)
    receiver.turns_away("from 127.0.0.1:", *wrong.recv)
    check(not target.exists(), "a snapshot was left behind")


def refused_late(scene, case):
    """A destination that closes its listener before it checks main's certificate: it does so when
    the source does not wait for an answer. The source's channels are refused, and the source still
    reports main's error."""
    wrong = mistakes.client_of_another_authority(scene.folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(wrong.server.folder / "server-cert.pem",
                            wrong.server.folder / "server-key.pem")
    context.load_verify_locations(wrong.server.folder / "ca-cert.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    heard, to_say = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(heard, to_say, server_side=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = ramjet.Ramjet(scene, "send", "--channels", case.channels, *wrong.client.ramjet(),
                               "synth:64M", "tcp:127.0.0.1:%d" % listener.getsockname()[1])
        listener.settimeout(patience(10))
        main, _ = listener.accept()
    with main:
        main.settimeout(patience(10))
        while not to_say.pending:
            heard.write(main.recv(1 << 16))
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
        main.sendall(to_say.read())
        while more := main.recv(1 << 16):
            heard.write(more)
        try:
            tls.do_handshake()
            check(False, "the certificate was taken")
        except ssl.SSLCertVerificationError:
            main.sendall(to_say.read())
    sender.failed(*wrong.send)


HELLO = bytes.fromhex("16030102000100" "01fc0303") + bytes(range(32))  # the rest is missing
PLAIN = b"QEVM\0\0\0\3\7\0\0\0\x0aramjet-1.0"


def hostile(scene, case):
    """A client that connects and sends something else."""
    server, _ = certs.pair(scene.folder, "X.509")
    target = scene.folder / "vm.snap"
    receiver, address = ramjet.recv(scene, f"file:{target}", *server.ramjet())
    with connect(address) as client:
        client.sendall(case.argument)
        client.shutdown(socket.SHUT_WR)
        receiver.turns_away("from 127.0.0.1:", "the peer")
    check(not target.exists(), "a snapshot was left behind")


def silent(scene, case):
    """A client that begins a handshake and is then silent: it may stay for so long only."""
    server, _ = certs.pair(scene.folder, "X.509")
    receiver, address = ramjet.recv(scene, "null:", "--connect-timeout", "300ms",
                                    *server.ramjet())
    with connect(address) as client:
        client.sendall(case.argument)
        receiver.failed("0.3 s", "--connect-timeout")


def nobody(scene, case):
    """A client that connects and leaves without a word is not the source, which may still come."""
    server, client = certs.pair(scene.folder, "X.509")
    receiver, address = ramjet.recv(scene, "null:", "--digest", "--json", *server.ramjet())
    connect(address).close()
    sender = ramjet.Ramjet(scene, "send", "--digest", "--json", "--channels", case.channels,
                           *client.ramjet(), "synth:16M", address)
    check(sender.done()["digest"] == receiver.done()["digest"], "digests differ")


def counted(scene, case):
    """The bytes sent are the bytes received, whether the program or the kernel encrypts."""
    server, client = certs.pair(scene.folder, "X.509")
    receiver, address = ramjet.recv(scene, "null:", "--digest", "--json", *server.ramjet())
    sender = ramjet.Ramjet(scene, "send", "--digest", "--json", "--channels", case.channels,
                           *client.ramjet(), "synth:64M,random=60,zero=20", address)
    sent, received = sender.done(), receiver.done()
    check(sent["digest"] == received["digest"], "digests differ")
    left, came = sent["wire-bytes"], received["wire-bytes"]
    # Each connection's close_notify, a record of 24 bytes, is sent after the count.
    check(0 <= left - came <= 24 * (case.channels + 1),
          f"by the kernel: {sent['ktls-send']}; {left} bytes have left, {came} have come")
    if case.argument and not sent["ktls-send"]:
        raise table.Skip("this kernel has no kTLS")


def strangers(scene, case):
    """Clients that come during a migration are refused, and do not end it."""
    authority, other = certs.Authority(scene.folder), certs.Authority(scene.folder, "other")
    server, client = authority.server("server"), authority.client("client")
    receiver, address = ramjet.recv(scene, "null:", "--digest", "--json", *server.ramjet())
    sender = ramjet.Ramjet(scene, "send", "--digest", "--json", "--channels", case.channels,
                           "--max-bandwidth", "160Mbit", "--progress", "always",
                           *client.ramjet(), "synth:32M,random=100", address)
    until(lambda: sender.errors, "the sender's first line of progress")
    kept = [connect(address) for _ in range(3)]  # the last one stays silent until all is over
    kept[0].sendall(os.urandom(4096))
    kept[1].sendall(PLAIN)
    connect(address).close()
    unknown = other.client("unknown", trusting=authority)
    for wrong in (unknown.ramjet(), authority.trust("nobody").ramjet(), []):
        ramjet.Ramjet(scene, "send", *wrong, "synth:16M", address).failed()
    check(sender.done()["digest"] == receiver.done()["digest"], "digests differ")
    for connection in kept:
        connection.close()


CROWD = 600  # there is room for 512 connections


def crowd(scene, case):
    """More clients than there is room for fill the room only; the migration goes on."""
    server, client = certs.pair(scene.folder, "X.509")
    receiver, address = ramjet.recv(scene, "null:", "--digest", "--json", *server.ramjet())
    sender = ramjet.Ramjet(scene, "send", "--digest", "--json", "--channels", case.channels,
                           "--max-bandwidth", "160Mbit", "--progress", "always",
                           *client.ramjet(), "synth:128M,random=100", address)
    until(lambda: sender.errors, "the sender's first line of progress")
    kept = [connect(address) for _ in range(CROWD)]
    seen = len(sender.errors)
    until(lambda: len(sender.errors) > seen, "a line of progress behind the crowd")
    check(sender.done()["digest"] == receiver.done()["digest"], "digests differ")
    for connection in kept:
        connection.close()


def before_the_source(scene, case):
    """Silent clients, garbage, and half handshakes by the hundred: the source gets through."""
    server, client = certs.pair(scene.folder, "X.509")
    receiver, address = ramjet.recv(scene, "null:", "--digest", "--json", *server.ramjet())
    kept = [connect(address) for _ in range(CROWD)]
    for connection in kept[::4]:
        connection.sendall(HELLO)
    for _ in range(100):
        with connect(address) as noisy:
            noisy.sendall(os.urandom(100))
    sender = ramjet.Ramjet(scene, "send", "--digest", "--json", "--channels", case.channels,
                           *client.ramjet(), "synth:32M,random=100", address)
    check(sender.done()["digest"] == receiver.done()["digest"], "digests differ")
    for connection in kept:
        connection.close()


def by_name(scene, case):
    """The name in the destination's certificate can be given, and is checked."""
    authority = certs.Authority(scene.folder)
    server, client = authority.server("server"), authority.client("client")
    for name, good in ((certs.HOST, True), ("another.example", False)):
        receiver, address = ramjet.recv(scene, "null:", *server.ramjet())
        sender = ramjet.Ramjet(scene, "send", "--tls-hostname", name, *client.ramjet(),
                               "synth:16M", address)
        if good:
            sender.done()
            receiver.done()
        else:
            sender.failed(name)
            receiver.turns_away("from 127.0.0.1:", "the peer refused")


def authorized(scene, case):
    """The source's name decides: its whole distinguished name, or a pattern of it."""
    authority = certs.Authority(scene.folder)
    server, client = authority.server("server"), authority.client("client")
    for authz, good in ((client.distinguished_name, True), ("*,CN=client", True),
                        ("C=GB,O=ramjet tests,CN=other", False), ("CN=client", False)):
        receiver, address = ramjet.recv(scene, "null:", "--tls-authz", authz, *server.ramjet())
        sender = ramjet.Ramjet(scene, "send", *client.ramjet(), "synth:16M", address)
        if good:
            sender.done()
            receiver.done()
        else:
            receiver.turns_away("from 127.0.0.1:", "cn=client", "--tls-authz")
            sender.failed("the peer refused")


def by_folder(scene, case):
    """--tls-creds also takes a folder with keys, as QEMU's tls-creds-psk does."""
    keys = certs.keys(scene.folder, "keys")
    receiver, address = ramjet.recv(scene, "null:", "--tls-creds", keys.folder)
    sender = ramjet.Ramjet(scene, "send", "--tls-creds", keys.folder, "synth:16M", address)
    sender.done()
    receiver.done()


def bad_files(scene, case):
    """Faults in our own files are reported before anything connects or listens."""
    authority, other = certs.Authority(scene.folder), certs.Authority(scene.folder, "other")
    lacking = authority.server("lacking")
    (lacking.folder / "server-key.pem").unlink()
    crossed = authority.server("crossed")
    (crossed.folder / "server-key.pem").write_bytes(
        (authority.server("server").folder / "server-key.pem").read_bytes())
    keys = certs.keys(scene.folder, "keys")
    (keys.folder / "keys.psk").write_text("qemu:nothex\n")
    for wrong, verb, word in (
            (lacking, "recv", "server-key.pem"),
            (crossed, "recv", "server-key.pem"),
            (authority.server("old", dates=certs.PAST), "recv", "server-cert.pem"),
            (authority.client("old-client", dates=certs.PAST), "send", "client-cert.pem"),
            (other.client("foreign"), "recv", "server-cert.pem"),
            (keys, "recv", "keys.psk"),
            (certs.X509(scene.folder / "absent"), "send", "absent")):
        words = ["tcp:127.0.0.1:0", "null:"] if verb == "recv" else ["synth:16M", "tcp:127.0.0.1:1"]
        run = ramjet.Ramjet(scene, verb, *wrong.ramjet(), *words)
        code = run.wait(5)
        check(code in (1, 2) and word in run.errors and not run.output,
              f"{verb} with {wrong.folder.name}: exit code {code}: {run.errors}")


def append(to, made, name):
    with (to.folder / name.replace("server", "ca")).open("ab") as file:
        file.write((made.folder / name).read_bytes())


def idle(scene, case):
    """Files with certificates that this migration does not use: it succeeds,
    with a line for each."""
    authority, other = certs.Authority(scene.folder), certs.Authority(scene.folder, "other")
    server, client = authority.server("server"), authority.client("client")
    revoked, leaf = authority.client("revoked"), other.server("leaf")
    for made in (server, client):
        append(made, leaf, "server-cert.pem")
    authority.revoke(revoked, folder=server)
    other.revoke(other.client("foreign"), folder=leaf)
    append(server, leaf, "ca-crl.pem")

    receiver, address = ramjet.recv(scene, "null:", "--json", *server.ramjet())
    sender = ramjet.Ramjet(scene, "send", "--json", "--channels", case.channels, *client.ramjet(),
                           "synth:16M", address)
    check(sender.done()["status"] == receiver.done()["status"] == "completed", "it fails")
    lines = receiver.errors.splitlines()
    check(len(lines) == 2 and lines[0].startswith("ramjet recv: ") and "is no authority" in lines[0]
          and "the list is of no authority in" in lines[1], f"{lines}")
    lines = sender.errors.splitlines()
    check(len(lines) == 1 and lines[0].startswith("ramjet send: ") and "is no authority" in lines[0],
          f"{lines}")

    waiting = ramjet.Ramjet(scene, "vm", "--accel", "synth", "--memory", "16M", "--incoming",
                            "tcp:127.0.0.1:0", "--set", f"tls-creds={server.folder}")
    waiting.listening()
    lines = waiting.errors.splitlines()
    check(len(lines) == 2 and all(line.startswith("ramjet vm: ") for line in lines), f"{lines}")

    receiver, address = ramjet.recv(scene, "null:", *server.ramjet())
    ramjet.Ramjet(scene, "send", *revoked.ramjet(), "synth:16M", address).failed("revoked")
    check(receiver.wait(10) == 1 and "is revoked by" in receiver.errors, receiver.errors)


def connect(address):
    _, host, port = address.split(":")
    return socket.create_connection((host, int(port)), timeout=patience(10))


CASES = [
    *(Case(f"refused, {label}, {channels} channels", refused, channels, wrong)
      for label, wrong in mistakes.ALL for channels in (0, 2)),
    *(Case(f"refused late, {channels} channels", refused_late, channels, None)
      for channels in (1, 8)),
    Case("hostile, garbage", hostile, 2, os.urandom(4096)),
    Case("hostile, a web browser", hostile, 2, b"GET / HTTP/1.1\r\nHost: vm.example\r\n\r\n"),
    Case("hostile, migration without TLS", hostile, 2, PLAIN),
    Case("hostile, half a handshake", hostile, 2, HELLO),
    Case("silent, half a handshake", silent, 2, HELLO),
    Case("nobody, then the source", nobody, 2, None),
    Case("what leaves is what comes, 4 channels", counted, 4, False),
    Case("what leaves is what comes, main channel", counted, 0, False),
    Case("what leaves is what comes, by the kernel, 4 channels", counted, 4, True),
    Case("what leaves is what comes, by the kernel, main channel", counted, 0, True),
    Case("strangers meanwhile", strangers, 2, None),
    Case("a crowd of strangers", crowd, 2, None),
    Case("before the source", before_the_source, 2, None),
    Case("by name", by_name, 2, None),
    Case("authorized or not", authorized, 2, None),
    Case("a folder with keys", by_folder, 2, None),
    Case("bad files", bad_files, 2, None),
    Case("more than is used", idle, 2, None),
]


def run(scene, case):
    case.run(scene, case)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run))
