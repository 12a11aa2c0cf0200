#!/usr/bin/env python3
"""Input that is not a migration is named in the error: files, by every verb that opens one, and
peers that speak something else, at the listening and at the dialing end."""

import bz2
import gzip
import itertools
import json
import lzma
import socket
import subprocess
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path

from harness import RAMJET, STUCK_S, check, connect, run_cases, send

EXPECTED = "expected a migration"

FILES = [
    ("empty", b"", "not a single byte"),
    ("libvirt's", b"LibvirtQemudSave" + bytes([2, 0, 0, 0]) + bytes(72) + b"<domain/>",
     "a libvirt save file: 0 bytes of XML"),
    ("libvirt's, cut", b"LibvirtQemudPart" + bytes([2, 0, 0, 0]) + bytes(72),
     "a libvirt save file that is not whole"),
    ("gzip", gzip.compress(b"QEVM" + bytes(5000)), "gzip"),
    ("xz", lzma.compress(b"QEVM" + bytes(5000)), "xz"),
    ("bzip2", bz2.compress(b"QEVM" + bytes(5000)), "bzip2"),
    ("zstd", b"\x28\xb5\x2f\xfd\x04" + bytes(100), "zstd"),
    ("qcow2", b"QFI\xfb\0\0\0\3" + bytes(504), "qcow2"),
    ("LUKS", b"LUKS\xba\xbe\0\2" + bytes(504), "LUKS"),
    ("ELF", Path("/proc/self/exe").read_bytes()[:4096], "ELF"),
    ("JSON", json.dumps({"execute": "stop"}).encode(), "JSON: '{\"execute\""),
    ("text", "Grüße\nvon hier".encode(), "text: 'Grüße…'"),
    ("zeros", bytes(8192), "zeros"),
    ("a channel's", bytes.fromhex("1122334400000001") + bytes(56), "multifd channel"),
    ("noise", bytes(range(129, 255)) + bytes(8), "magic: found 0x81828384"),
]

PEERS = [
    ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "the peer speaks HTTP"),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "the peer speaks HTTP"),
    ("SSH", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "the peer speaks SSH"),
    ("TLS", bytes.fromhex("16030100c8010000c40303") + bytes(200), "the peer speaks TLS"),
    ("libvirt's RPC", bytes.fromhex("0000001c2000808600000001000000420000000000000000") + bytes(4),
     "the peer speaks libvirt's RPC"),
    ("QMP", b'{"execute": "qmp_capabilities"}\r\n', "the peer speaks QMP"),
    ("gzip", gzip.compress(bytes(500)), "gzip has packed"),
    ("mail", b"EHLO mail.example\r\n", "text: 'EHLO mail.example…'"),
    ("noise", bytes([0x80, 1, 2, 3, 4, 5]), "magic 0x80010203, expected"),
]

SERVERS = [
    ("HTTP", b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "the peer speaks HTTP"),
    ("SSH", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "the peer speaks SSH"),
    ("TLS", bytes.fromhex("15030300020246"), "the peer speaks TLS"),
    ("QMP", b'{"QMP": {"version": {}, "capabilities": []}}\r\n', "the peer speaks QMP"),
    ("VNC", b"RFB 003.008\n", "the peer speaks VNC"),
    ("mail", b"220 mail.example ESMTP\r\n", "text: '220 mail.example ESMTP…'"),
    ("noise", bytes([0x80, 1, 2, 3]), "message type 32769"),
]


def refused(done, *words, code=1):
    errors = done.stderr.decode()
    check(done.returncode == code, f"exit code {done.returncode}, want {code}: {errors}")
    lines = [line for line in errors.splitlines() if ": still " not in line]
    check(len(lines) == 1, f"want one line: {errors!r}")
    for word in words:
        check(word in errors, f"no {word!r} in: {errors}")


def run(*words):
    return subprocess.run([RAMJET, *words], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=STUCK_S, check=False)


VERBS = [
    ["info", "{path}"],
    ["send", "file:{path}", "tcp:127.0.0.1:1"],
    ["vm", "--accel", "synth", "--memory", "4M", "--incoming", "file:{path}"],
]


def open_file(content, name, words):
    with tempfile.TemporaryDirectory(prefix="ramjet-foreign-") as folder:
        path = f"{folder}/file"
        Path(path).write_bytes(content)
        refused(run(*(word.format(path=path) for word in words)), path,
                name if "magic" in name or "libvirt" in name else EXPECTED, name)


def files():
    for label, content, name in FILES:
        for words in VERBS:
            yield f"{label}, {words[0]}", partial(open_file, content, name, words)


def listen_to(data, name):
    receiver = subprocess.Popen([RAMJET, "recv", "tcp:127.0.0.1:0", "null:"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
    try:
        address = receiver.stdout.readline().decode().strip().removeprefix("listening ")
        with connect(address) as s:
            send(s, data)
            report = receiver.stderr.readline()  # and it still waits for its source
        receiver.terminate()
        out, errors = receiver.communicate(timeout=STUCK_S)
    finally:
        receiver.kill()
        receiver.wait()
    check(b"cancelled; refused meanwhile: " in errors, f"ends with {errors!r}")
    refused(subprocess.CompletedProcess([], receiver.returncode, out, report), "connection: ", name,
            code=3)


def dial_to(data, name):
    """Serves first bytes; then it reads until the other end closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            s, _ = listener.accept()
            with s:
                s.sendall(data)
                try:
                    while s.recv(65536):
                        pass
                except ConnectionResetError:
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        refused(run("send", "--channels", "0", "synth:16M", f"tcp:127.0.0.1:{port}"),
                "return path", name)
        thread.join(STUCK_S)


def peers():
    for label, data, name in PEERS:
        yield f"{label} comes", partial(listen_to, data, name)
    for label, data, name in SERVERS:
        yield f"{label} is there", partial(dial_to, data, name)


if __name__ == "__main__":
    sys.exit(run_cases(itertools.chain(files(), peers())))
