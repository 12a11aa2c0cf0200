#!/usr/bin/env python3
"""Text that is not ours, at every input: a peer's, a file's, a monitor's, a user's. Whatever is in
it, ramjet prints one line of visible characters, and JSON keeps all of it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unicodedata
from functools import partial
from pathlib import Path

from harness import RAMJET, STUCK_S, Failed, Skip, Way, check, run_cases, run_session
from wire import Session, configuration, device, packet, str8, u32, u8

# It clears the screen in two ways, fakes a line, reverses the writing direction, and is invisible.
EVIL = "x\x1b[2J\x9b2J\r\nramjet recv: completed\u2028\u202e\u2066\u200b\x7fy"
RAW = b"\xff\xfe\xc0\x8a\x1b[2J\x9b\n"  # not even UTF-8

CASES = []


def case(label):
    """Adds the next function to the table."""
    def add(function):
        CASES.append((label, function))
        return function
    return add


def visible(text, lines, what):
    """These bytes are so many lines of UTF-8 in which every character is visible."""
    try:
        found = text.decode().splitlines() if isinstance(text, bytes) else text.splitlines()
    except UnicodeDecodeError as why:
        raise Failed(f"{what}: {why}: {text!r}") from None
    check(len(found) == lines, f"{what}: {len(found)} lines, expected {lines}: {text!r}")
    for line in found:
        bad = [c for c in line if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs")]
        check(not bad, f"{what}: holds {bad}: {line!r}")


def run(*words, folder=None, **popen):
    return subprocess.run([RAMJET, *words], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=STUCK_S, check=False, cwd=folder, **popen)


def refused(session, says, folder, channels=None):
    """recv ends with one visible line that contains this."""
    ended = run_session(session, Way(session.style, True, False), None, folder)
    check(ended.code == 1, f"accepted: {ended.output}")
    visible(ended.errors, 1, "recv")
    check(says in ended.errors, f"no {says!r} in: {ended.errors}")


def described(entries):
    text = entries if isinstance(entries, bytes) else json.dumps(
        {"configuration": {}, "devices": entries}, ensure_ascii=False).encode()
    return u8(6) + u32(len(text)) + text


def entry(name, size, instance=0):
    return {"name": name, "instance_id": instance, "vmsd_name": "v", "version": 1,
            "fields": [{"name": "data", "type": "buffer", "size": size}]}


# ---- text from a peer ---- ----

@case("the description lists a device that is not there")
def absent_device(folder):
    s = Session()
    s.description = described([entry(EVIL, 8)])
    refused(s, "description: lists device", folder)


@case("a device's instance differs")
def other_instance(folder):
    s = Session()
    s.devices = device(EVIL, b"12345678")
    s.description = described([entry(EVIL, 8, instance=3)])
    refused(s, "the description says 3", folder)


@case("a device is longer than described")
def longer_device(folder):
    s = Session()
    s.devices = device(EVIL, b"12345678")
    s.description = described([entry(EVIL, 4)])
    refused(s, "no footer", folder)


@case("a description that is no JSON")
def no_json(folder):
    for text in (b"{" + EVIL.encode() + b"}", b"{" + RAW + b"}", b'{"a": ' + EVIL.encode() + b"}"):
        s = Session()
        s.description = described(text)
        refused(s, "not JSON", folder)


@case("names of blocks, machines, capabilities")
def names(folder):
    for name in (EVIL.encode(), RAW):
        s = Session(channels=0)
        s.start = s.start.replace(str8("rom"), str8(name))
        refused(s, "expected printable ASCII", folder)
        s = Session()
        s.configuration = u8(7) + u32(len(name)) + name
        refused(s, "machine type: holds byte", folder)
        s = Session()
        s.configuration = configuration(s.machine, u8(5) + str8(name) + u32(1))
        refused(s, "expected printable ASCII", folder)


@case("a packet's block")
def block_of_packet(folder):
    for name in (EVIL.encode(), RAW):
        s = Session()
        s.channels[0][2] = packet(0, [0], name=name)
        refused(s, "multifd packet: RAM block", folder)


@case("a snapshot's devices, by info")
def info(folder):
    s = Session()
    s.devices = device(EVIL, b"12345678")
    s.description = described([entry(EVIL, 8)])
    ended = run_session(s, Way(s.style, True, False, "file"), None, folder)
    check(ended.code == 0, f"refused: {ended.errors}")
    visible(ended.output, 3, "recv")
    done = run("info", folder / "target")
    check(done.returncode == 0, f"info: {done.stderr}")
    visible(done.stdout, 8, "info")
    done = run("info", "--json", folder / "target")
    visible(done.stdout, 1, "info --json")
    found = json.loads(done.stdout)["devices"][0]["name"]
    check(found == EVIL, f"info --json: {found!r}")


# ---- text from a monitor ---- ----

class FakeMonitor:
    """Listens, and sends `sent` to its client: a piece for each line that it receives."""

    def __init__(self, folder, *sent):
        self.address = f"unix:{folder}/monitor"
        self._sent = sent
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{folder}/monitor")
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        s, _ = self._listener.accept()
        with s, s.makefile("rb") as lines:
            for piece in self._sent:
                s.sendall(piece)
                if not lines.readline():
                    return

    def close(self):
        self._listener.close()
        self._thread.join(STUCK_S)
        os.unlink(self.address.removeprefix("unix:"))


def asked(folder, *sent):
    greeting = b'{"QMP": {"version": {}, "capabilities": []}}\n'
    monitor = FakeMonitor(folder, *sent) if sent[0] is not None else FakeMonitor(
        folder, greeting, b'{"return": {}, "id": 1}\n', *sent[1:])
    done = run("qmp", "--timeout", f"{STUCK_S:.0f}s", monitor.address, "query-status")
    monitor.close()
    return done


@case("a monitor that speaks something else")
def no_monitor(folder):
    for sent in (EVIL.encode(), RAW, b'{"QMP' + EVIL.encode()):
        done = asked(folder, sent + b"\n")
        check(done.returncode == 1 and not done.stdout, f"{done}")
        visible(done.stderr, 1, "qmp")


@case("a monitor's refusal")
def refusal(folder):
    error = json.dumps({"error": {"class": EVIL, "desc": EVIL}, "id": 2}, ensure_ascii=False)
    done = asked(folder, None, error.encode() + b"\n")
    check(done.returncode == 1 and not done.stdout, f"{done}")
    visible(done.stderr, 1, "qmp")


@case("a monitor's answer")
def answer(folder):
    sent = json.dumps({"return": {EVIL: EVIL}, "id": 2}, ensure_ascii=False)
    done = asked(folder, None, sent.encode() + b"\n")
    check(done.returncode == 0, f"{done}")
    visible(done.stdout, 1, "qmp")
    check(json.loads(done.stdout) == {EVIL: EVIL}, f"{done.stdout!r}")


@case("monitors that ramjet migrate asks")
def migrated(folder):
    """FROM answers everything with the same text; the error is one line."""
    evil = json.dumps({"return": {"status": EVIL, "package": EVIL, "type": EVIL, "qemu": {}},
                       "id": 0}, ensure_ascii=False)
    error = json.dumps({"error": {"class": "GenericError", "desc": EVIL}, "id": 0},
                       ensure_ascii=False)
    for text in (evil, error):
        listener = socket.socket(socket.AF_UNIX)
        path = f"{folder}/from"
        listener.bind(path)
        listener.listen()

        def serve():
            while True:
                try:
                    s, _ = listener.accept()
                except OSError:
                    return
                with s, s.makefile("rb") as lines:
                    s.sendall(b'{"QMP": {"version": {}, "capabilities": []}}\n')
                    for line in lines:
                        asked_for = json.loads(line)
                        sent = json.loads(text)
                        if asked_for["execute"] == "qmp_capabilities":
                            sent = {"return": {}}
                        sent["id"] = asked_for["id"]
                        s.sendall(json.dumps(sent, ensure_ascii=False).encode() + b"\n")

        threading.Thread(target=serve, daemon=True).start()
        for words in ([], ["--json"]):
            done = run("migrate", *words, f"unix:{path}", f"unix:{path}")
            check(done.returncode in (1, 2), f"{done}")
            visible(done.stderr, 1, "migrate")
            visible(done.stdout, 1 if done.stdout else 0, "migrate --json")
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        os.unlink(path)


@case("a certificate's name")
def certificate(folder):
    if not shutil.which("openssl"):
        raise Skip("no openssl")

    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-utf8",
           "-days", "2"]
    name = "/CN=" + EVIL.replace("/", "").replace("+", "")
    for role in ("server", "client"):
        (folder / role).mkdir()
        openssl(*new, "-subj", name if role == "client" else "/CN=server", "-addext",
                "subjectAltName=IP:127.0.0.1", "-keyout", f"{role}/{role}-key.pem", "-out",
                f"{role}/{role}-cert.pem")
    for role, other in (("server", "client"), ("client", "server")):
        pems = [(folder / role / f"{role}-cert.pem").read_bytes()]
        if role == "client":  # it trusts the server, the server does not trust it
            pems.append((folder / other / f"{other}-cert.pem").read_bytes())
        (folder / role / "ca-cert.pem").write_bytes(b"".join(pems))
    receiver = subprocess.Popen([RAMJET, "recv", "--tls-creds", folder / "server",
                                 "tcp:127.0.0.1:0", "null:"], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    at = receiver.stdout.readline().decode().strip().removeprefix("listening ")
    done = run("send", "--tls-creds", folder / "client", "synth:16M", at)
    first = receiver.stderr.readline()
    receiver.terminate()
    _, errors = receiver.communicate(timeout=STUCK_S)
    visible(done.stderr, 1, "send")
    check(b"the peer's certificate (CN=x" in first, f"{first}")
    for line in (first + errors).splitlines(keepends=True):
        visible(line, 1, "recv")
        check(line.startswith(b"ramjet recv: "), f"a line of its own: {line!r}")


# ---- answers of ramjet's own monitor ---- ----

@case("what a client says comes back visible")
def echoed(folder):
    path = f"{folder}/monitor"
    vm = subprocess.Popen([RAMJET, "vm", "--accel", "synth", "--guest", "idle", "--memory", "4M",
                           "--qmp", f"unix:{path}"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        check(vm.stdout.readline() == f"monitor unix:{path}\n".encode(), "its first line")
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(STUCK_S)
            s.connect(path)
            lines = s.makefile("rb")
            lines.readline()
            half = "\u00e4" * 31  # the quoted part ends in the middle of a character
            bare = EVIL.replace("[", "").replace("\n", "")  # one message: no other one begins
            for sent in (json.dumps({"execute": EVIL}, ensure_ascii=False).encode(),
                         b"\xfe\xc0\x8a\x1b2J\x9b", b"{" + bare.encode() + b"}",
                         b'{"execute": "qmp_capabilities"}',
                         json.dumps({"execute": "x" + half}, ensure_ascii=False).encode(),
                         json.dumps({"execute": "migrate", "arguments": {"uri": EVIL}},
                                    ensure_ascii=False).encode(),
                         json.dumps({"execute": "stop", "arguments": {EVIL: half}},
                                    ensure_ascii=False).encode()):
                s.sendall(sent + b"\n")
                line = lines.readline()
                visible(line.replace(b"\r\n", b"\n"), 1, f"the answer to {sent!r}")
                check(line.isascii(), f"not ASCII: {line!r}")
                json.loads(line)
    finally:
        vm.terminate()
        _, errors = vm.communicate(timeout=STUCK_S)
    if errors != b"ramjet vm: the guest was ended before it reported anything\n":  # on a busy machine
        visible(errors, 0, "vm")


# ---- text from a user ---- ----

@case("words of the command line")
def words(folder):
    for argv in ([EVIL], ["help", EVIL], ["help", "settings", EVIL], ["info", f"file:{EVIL}"],
                 ["info", f"raw:{EVIL}"], ["send", f"file:{EVIL}", "tcp:127.0.0.1:1"],
                 ["send", EVIL, "tcp:127.0.0.1:1"], ["send", "synth:1M", EVIL],
                 ["send", "synth:1M", f"tcp:{EVIL}:1"], ["send", "synth:1M", f"unix:{EVIL}"],
                 ["send", f"--{EVIL}", "synth:1M", "tcp:127.0.0.1:1"],
                 ["send", "--channels", EVIL, "synth:1M", "tcp:127.0.0.1:1"],
                 ["send", "--set", EVIL, "synth:1M", "tcp:127.0.0.1:1"],
                 ["send", "--tls-creds", EVIL, "synth:1M", "tcp:127.0.0.1:1"],
                 ["send", "--tls-psk", EVIL, "synth:1M", "tcp:127.0.0.1:1"],
                 ["recv", "tcp:127.0.0.1:0", f"file:{EVIL}/{EVIL}"],
                 ["send", "image:" + EVIL.replace("/", "") + "=/proc/self/exe", "file:x"],
                 ["vm", "--guest", EVIL], ["vm", "--payload", EVIL],
                 ["vm", "--accel", "synth", "--guest", "idle", "--name", "x", "--qmp", EVIL],
                 ["qmp", f"unix:{EVIL}", "stop"], ["migrate", f"unix:{EVIL}", f"unix:{EVIL}"]):
        done = run(*argv, folder=folder)
        check(done.returncode in (1, 2) and not done.stdout, f"{argv}: {done}")
        visible(done.stderr, 1, f"{argv}")


@case("bytes that are no UTF-8, as words and in JSON")
def raw_words(folder):
    path = b"file:" + RAW.replace(b"/", b"")
    done = run(b"send", path, b"tcp:127.0.0.1:1", folder=folder)
    check(done.returncode == 1, f"{done}")
    visible(done.stderr, 1, "send")
    done = run(b"migrate", b"--json", b"unix:" + RAW, b"unix:" + RAW, folder=folder)
    visible(done.stderr, 1, "migrate")
    visible(done.stdout, 1 if done.stdout else 0, "migrate --json")


@case("an address that is printed")
def address(folder):
    path = str(folder / "a\nlistening tcp:1.2.3.4:5\x1b[2J")
    receiver = subprocess.Popen([RAMJET, "recv", f"unix:{path}", "null:"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
    first = receiver.stdout.readline()
    receiver.terminate()
    out, errors = receiver.communicate(timeout=STUCK_S)
    visible(first, 1, "recv's first line")
    visible(out, 0, "recv's output")
    visible(errors, 1, "recv's errors")


def in_folder(function):
    with tempfile.TemporaryDirectory(prefix="ramjet-text-") as folder:
        function(Path(folder))


if __name__ == "__main__":
    sys.exit(run_cases((label, partial(in_folder, function)) for label, function in CASES))
