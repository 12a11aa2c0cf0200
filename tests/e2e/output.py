#!/usr/bin/env python3
"""What scripts and eyes get: the members of each verb's JSON as docs/output.md shows them, lines of
progress, how much is told, and the state on SIGUSR1."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

from lib import table
from lib.ramjet import Ramjet, recv
from lib.scene import until
from lib.table import check

Case = namedtuple("Case", "label run")
CASES = []
PAGE = Path(__file__).parents[2] / "docs" / "output.md"
SLOW = ["--max-bandwidth", "160Mbit"]


def case(label):
    """Adds the next function to the table."""
    def add(function):
        CASES.append(Case(label, function))
        return function
    return add


# --- docs/output.md ---

def examples(heading):
    """The objects of the block below a heading."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"^### {heading}\n.*?^```json\n(.*?)^```", text, re.S | re.M)
    check(found, f"docs/output.md: no example below '{heading}'")
    return [json.loads(line) for line in found[1].splitlines()]


def shape(value):
    """Names and types of the members, all the way down; of a list those of its first element."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def same(heading, output):
    found = [json.loads(line) for line in output.decode().splitlines()]
    want = examples(heading)
    check([shape(members) for members in found] == [shape(members) for members in want],
          f"{heading}: docs/output.md has {want}, the program {found}")


@case("docs/output.md: recv, send and info")
def documented_transfer(scene):
    path = scene.folder / "vm.snap"
    receiver, address = recv(scene, f"file:{path}", "--json")
    sender = Ramjet(scene, "send", "--json", "--channels", 1, "synth:16M", address)
    sender.done()
    receiver.done()
    same("recv", receiver.output)
    same("send", sender.output)
    info = Ramjet(scene, "info", "--json", path)
    info.done()
    same("info", info.output)
    verify = Ramjet(scene, "verify", "--json", path)
    verify.done()
    same("verify", verify.output)


@case("docs/output.md: vm, migrate and qmp")
def documented_vm(scene):
    vms = []
    for name, what in (("a", ["--guest", "counter"]), ("b", ["--incoming", "defer"])):
        vm = Ramjet(scene, "vm", "--json", "--accel", "synth", "--memory", "16M", *what, "--qmp",
                    f"unix:{scene.folder}/{name}")
        check(vm.read(lambda out: b"\n" in out), f"it ended before it listened: {vm.errors}")
        vms.append(vm)
    check(vms[0].read(lambda out: b'"running"' in out), "the guest to run")
    move = Ramjet(scene, "migrate", "--json", "--channels", 1, *(f"unix:{scene.folder}/{x}" for x in "ab"))
    move.done(40)
    same("migrate", move.output)
    state = Ramjet(scene, "qmp", "--json", f"unix:{scene.folder}/b", "query-status")
    state.done()
    same("qmp", state.output)
    for vm in vms:
        vm.send_signal(signal.SIGTERM)
        vm.done(20)
    same("vm", vms[1].output)


def two_vms(scene):
    """One with a guest, at the monitor a, and one that waits for it, at b."""
    vms = []
    for name, what in (("a", ["--guest", "counter"]), ("b", ["--incoming", "defer"])):
        vm = Ramjet(scene, "vm", "--accel", "synth", "--memory", "16M", *what, "--qmp", f"unix:{scene.folder}/{name}")
        check(vm.read(lambda out: b"monitor" in out), f"it ended before it listened: {vm.errors}")
        vms.append(vm)
    check(vms[0].read(lambda out: b"running" in out), "the guest to run")
    return vms


@case("docs/output.md: save, restore and convert")
def documented_kept(scene):
    vms = two_vms(scene)
    path = f"file:{scene.folder}/vm.snap"
    for words in (["save", "--channels", 1, "--then", "stop", f"unix:{scene.folder}/a", path],
                  ["restore", "--channels", 1, path, f"unix:{scene.folder}/b"],
                  ["convert", path, f"raw:{scene.folder}/raw"]):
        verb = Ramjet(scene, words[0], "--json", *words[1:])
        verb.done(40)
        same(words[0], verb.output)
    for vm in vms:
        vm.send_signal(signal.SIGTERM)
        vm.wait(20)


@case("docs/output.md: probe")
def documented_probe(scene):
    """What this host can do differs; the questions do not, and each false has its reason."""
    answers = Ramjet(scene, "probe", "--json").done()
    check(answers.keys() == examples("probe")[0].keys(), f"{answers.keys() ^ examples('probe')[0].keys()}")
    false = {name for name, value in answers.items() if value is False}
    check(false == answers["reasons"].keys(), f"{answers}")
    check(not any(isinstance(value, str) and value.startswith(("yes", "no")) for value in answers.values()), f"{answers}")


@case("docs/output.md: a failure")
def documented_failure(scene):
    run = Ramjet(scene, "info", "--json", "/nonexistent")
    check(run.wait(5) == 1, f"exit code {run.wait()}")
    same("A failure", run.output)


# --- progress ---

@case("--progress json: an object each second")
def progress_json(scene):
    receiver, address = recv(scene, "null:", "--progress", "json")
    sender = Ramjet(scene, "send", "--progress", "json", *SLOW, "synth:64M,random=100", address)
    sender.done()
    receiver.done()
    for run in (sender, receiver):
        lines = [json.loads(line) for line in run.errors.splitlines() if line.startswith("{")]
        check(lines, f"{run.name}: no lines: {run.errors}")
        for members in lines:
            check(members["event"] == "progress" and members["verb"] == run.name.removeprefix("ramjet-"),
                  f"{members}")
    same("Progress", sender.errors.splitlines()[0].encode())


@case("the live line fits into the terminal")
def fitted(scene):
    for columns in (20, 40, 80):
        _, address = recv(scene, "null:")
        narrow = ["sh", "-c", f'stty cols {columns} <&1; exec "$@"', "sh"]
        sender = Ramjet(scene, "send", *SLOW, "synth:64M,random=100,dirty=1M", address, prefix=narrow, terminal=True)
        check(sender.wait(40) == 0, f"{sender.output}")
        lines = re.findall(r"\r([^\r\n]+?)\x1b\[K", sender.output.decode())
        check(lines, f"no live line: {sender.output}")
        for line in lines:
            check(len(line) < columns, f"{len(line)} of {columns} columns: {line}")
        check(columns != 80 or any(" left" in line for line in lines), f"{lines}")


@case("what is written is not told before it is known")
def first_round(scene):
    _, address = recv(scene, "null:")
    sender = Ramjet(scene, "send", "--progress", "always", *SLOW, "synth:64M,random=100", address)
    sender.done()
    first = [line for line in sender.errors.splitlines() if "round 1," in line]
    check(first and not any("dirty" in line for line in first), f"{first}")


# --- how much is told ---

@case("--quiet and --verbose")
def amounts(scene):
    _, address = recv(scene, "null:")
    quiet = Ramjet(scene, "send", "-q", *SLOW, "synth:64M,random=100", address, terminal=True)
    check(quiet.wait(20) == 0, f"{quiet.output}")
    check(b"\r\x1b" not in quiet.output and b"round 1" not in quiet.output, f"{quiet.output}")
    check(b"send: completed" in quiet.output, f"{quiet.output}")
    _, address = recv(scene, "null:")
    verbose = Ramjet(scene, "send", "-v", "--channels", 1, "synth:4M", address)
    verbose.done()
    for words in ("multifd is on", "status: setup", "status: completed", "round 2 begins", "channel 0: "):
        check(f"ramjet send: {words}" in verbose.errors, f"no {words!r}: {verbose.errors}")
    _, address = recv(scene, "null:")
    seen = Ramjet(scene, "send", "-v", *SLOW, "synth:64M,random=100", address, terminal=True)
    check(seen.wait(20) == 0 and b"round 1" in seen.output, f"{seen.output}")
    check(not re.search(rb"[^\r\n]\x1b\[Kramjet send: ", seen.output), f"a detail in the line of progress: {seen.output}")
    Ramjet(scene, "send", "-q", "-v", "synth:4M", address).failed("--quiet and --verbose", code=2)


@case("migrate --verbose")
def amounts_of_a_drive(scene):
    """A guest that writes all of its memory again and again: the second round is never the last."""
    vms = two_vms(scene)
    move = Ramjet(scene, "migrate", "-v", "--max-bandwidth", "20M", "--max-rounds", 2,
                  *(f"unix:{scene.folder}/{x}" for x in "ab"))
    check(move.wait(60) == 3, f"{move.errors}")
    for words in ("multifd is on", "max-bandwidth is 20", "status: active"):
        check(f"ramjet migrate: {words}" in move.errors, f"no {words!r}: {move.errors}")
    check(re.search(r"^ramjet migrate: round \d+ begins$", move.errors, re.M), f"no round: {move.errors}")
    for vm in vms:
        vm.send_signal(signal.SIGTERM)
        vm.wait(20)


# --- SIGUSR1 ---

def asked(run, pattern):
    """Sends SIGUSR1 until a line has come: it may be too early for the program to know something."""
    def told():
        run.send_signal(signal.SIGUSR1)
        return re.search(pattern, run.errors)
    until(told, f"{run.name} to tell its state", seconds=20)


@case("SIGUSR1 asks for the state")
def state(scene):
    receiver, address = recv(scene, "null:")
    asked(receiver, r"(?m)^ramjet recv: the migration has not begun$")
    sender = Ramjet(scene, "send", "--progress", "always", "--max-bandwidth", "80Mbit", "synth:64M,random=100",
                    address)
    until(lambda: sender.errors, "its first line: before it has begun, the signal ends a program")
    asked(sender, r"(?m)^ramjet send: active round 1, \d+ %, .* left")
    asked(receiver, r"(?m)^ramjet recv: active round")
    sender.done(40)
    receiver.done()
    vm = Ramjet(scene, "vm", "--accel", "synth", "--guest", "counter", "--memory", "16M")
    check(vm.read(lambda out: b"running" in out), f"{vm.errors}")
    asked(vm, r"(?m)^ramjet vm: running, \d+ pages? verified, 0 errors, longest gap ")
    vm.send_signal(signal.SIGTERM)
    check(vm.wait(20) == 0, f"{vm.errors}")


# --- help and completion ---

def verbs(scene):
    shown = Ramjet(scene, "help")
    check(shown.wait(5) == 0, shown.errors)
    return [verb for verb in re.findall(r"^  ramjet (\w+) ", shown.output.decode(), re.M) if verb != "help"]


@case("help of every verb fits into 80 columns, and each option is near itself")
def helps(scene):
    for verb in verbs(scene):
        shown = Ramjet(scene, "help", verb)
        check(shown.wait(5) == 0, f"{verb}: {shown.errors}")
        text = shown.output.decode()
        wide = [line for line in text.splitlines() if len(line) > 80]
        check(not wide, f"help {verb}: {wide}")
        for option in re.findall(r"^  (--[a-z-]+)", text, re.M):
            Ramjet(scene, verb, f"{option}x=1").failed(f"unknown option '{option}x'", f"did you mean '{option}'",
                                                       code=2)


# What is typed, and what is offered; the last word is the one to complete.
TYPED = [
    (["ramjet", "se"], ["send"]),
    (["ramjet", "recv", "--prog"], ["--progress"]),
    (["ramjet", "recv", "--progress", "a"], ["auto", "always"]),
    (["ramjet", "recv", "--progress", "=", "n"], ["never"]),
    (["ramjet", "send", "--set", "multifd-ch"], ["multifd-channels="]),
    (["ramjet", "send", "--set", "multifd", "=", ""], ["on", "off"]),
    (["ramjet", "completion", "z"], ["zsh"]),
    (["ramjet", "recv", "--dirty-s"], []),
    (["ramjet", "recv", "file", ":", "/etc/host"], []),  # bash completes the path itself
]


@case("completion by bash")
def bash_completes(scene):
    path = scene.folder / "completion"
    script = Ramjet(scene, "completion", "bash")
    check(script.wait(5) == 0, script.errors)
    path.write_bytes(script.output)
    for typed, want in TYPED:
        words = " ".join(shlex.quote(word) for word in typed)
        asked_bash = subprocess.run(
            ["bash", "-uc", f". {path}; COMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}; _ramjet; "
             'printf "%s\\n" "${COMPREPLY[@]-}"'], capture_output=True, text=True, check=False)
        found = asked_bash.stdout.split()
        check(not asked_bash.stderr and found == want, f"{typed}: {found}, want {want}: {asked_bash.stderr}")


@case("completion scripts are sound")
def sound(scene):
    for shell, option in (("bash", "-n"), ("zsh", "-n"), ("fish", "-n")):
        script = Ramjet(scene, "completion", shell)
        check(script.wait(5) == 0 and script.output, script.errors)
        for verb in verbs(scene):
            check(verb.encode() in script.output, f"{shell}: no {verb}")
        if not shutil.which(shell):
            continue
        path = scene.folder / shell
        path.write_bytes(script.output)
        done = subprocess.run([shell, option, path], capture_output=True, text=True, check=False)
        check(done.returncode == 0 and not done.stderr, f"{shell}: {done.stderr}")
    Ramjet(scene, "completion", "tcsh").failed("expected bash, zsh or fish", code=2)


def run(scene, chosen):
    chosen.run(scene)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run))
