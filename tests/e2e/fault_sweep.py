#!/usr/bin/env python3
"""Any call may fail, once or from then on: no program hangs or dies by a signal; one that reports
success has a complete result; one that reports a failure says why in one line and leaves nothing
partial; and the guest of a source that has failed runs.

Each job is one migration in which one call of one program fails, by fail_calls.c. Without words it
runs all pairs, within the limits `--to` and `--of-each`; by hand it can do more, or repeat one job:

    fault_sweep.py --to 5000 --of-each 5000 "channels into a file"
    fault_sweep.py "channels into a file" --end recv --kind pwrite --result ENOSPC --call 17
"""

import argparse
import collections
import concurrent.futures
import contextlib
import hashlib
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lib import faults, scene
from lib.monitor import Closed, Monitor, Refused
from lib.ramjet import STILL, address_in, binary
from lib.table import check

HANG_SECONDS = 300  # also on a very busy machine
# An end whose peer is gone must end soon. Ending too early is only one more failure.
IMPATIENT = ["--connect-timeout", "1s", "--stall-timeout", "1s", "--answer-timeout", "1s"]
# Exit codes; the last: success, but the report is lost.
FAILED, WRONG, CANCELLED, UNTOLD = 1, 2, 3, 4
OLD = b"what was here before\n"

Job = collections.namedtuple("Job", "pair end kind result call always")


class Stage:
    """A folder and the programs of one job; both go with it. `target` is a folder in it."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ramjet-faults.", dir=scene.memory_folder()))
        self.target = self.folder / "target"
        self.target.mkdir()
        self.programs = []
        self.orders = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in self.programs:
            program.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def orders_of(self, end):
        if end not in self.orders:
            self.orders[end] = faults.Orders(self.folder / f"{end}.orders")
        return self.orders[end]

    def start(self, end, *words):
        """One program with orders, `end` for short."""
        program = Program(end, words, self.orders_of(end).environment)
        self.programs.append(program)
        return program

    def story(self):
        return "\n".join(program.story() for program in self.programs)


class Program:
    def __init__(self, end, words, environment):
        self.end_name = end
        self.words = [str(binary()), *map(str, words)]
        self._child = subprocess.Popen(self.words, env=environment, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.output = self.errors = ""
        self.code = None
        self.terminated = False

    def first_line(self, deadline):
        """Its first line, or ""."""
        ready, _, _ = select.select([self._child.stdout], [], [], max(0, deadline - time.monotonic()))
        check(ready, f"{self.end_name} hangs before its first line")
        line = self._child.stdout.readline()
        self.output += line
        return line.strip()

    def wait(self, deadline):
        """Its exit code."""
        if self.code is not None:
            return self.code
        try:
            output, self.errors = self._child.communicate(
                timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.end_name} hangs") from None
        self.output += output
        self.code = self._child.returncode
        return self.code

    def running(self):
        return self._child.poll() is None

    def guestless(self):
        """It ended before it reported that its guest runs."""
        self.end()
        return "running" not in self.output

    def terminate(self):
        self.terminated = True
        self._child.terminate()

    def end(self):
        if self._child.poll() is None:
            self._child.kill()
        if self.code is None:
            output, self.errors = self._child.communicate()
            self.output += output
            self.code = self._child.returncode

    def story(self):
        code = f"exit code {self.code}"
        if self.code is None:
            code = "still running"
            self.end()
        return f"--- {' '.join(self.words)}\n{code}\n{self.output[-600:]}\n{self.errors[-600:]}"


def judge_end(program):
    """Checks of exit codes and lines that hold for every program."""
    if program.terminated and program.code == -signal.SIGTERM:
        return
    check(program.code >= 0, f"{program.end_name} dies by signal {-program.code}")
    check(program.code in (0, FAILED, WRONG, CANCELLED, UNTOLD), f"{program.end_name}: exit code {program.code}")
    lines = [line for line in program.errors.strip().splitlines() if "not let in: " not in line and STILL not in line]
    if program.code:
        check(len(lines) == 1, f"{program.end_name} fails with {len(lines)} lines of error")


def digest(program):
    try:
        return json.loads(program.output.strip().splitlines()[-1])["digest"]
    except (ValueError, KeyError, IndexError):
        raise AssertionError(f"{program.end_name}: exit code 0, but no whole result") from None


def hash_of(data):
    return hashlib.sha256(data).hexdigest()


def content(folder):
    """The files in the folder, by name, as hashes."""
    return {str(p.relative_to(folder)): hash_of(p.read_bytes())
            for p in folder.rglob("*") if p.is_file()}


class Transfer:
    """`ramjet send` into `ramjet recv`, or send alone, with a file as its address."""

    def __init__(self, label, source, target, send=(), listen="tcp:127.0.0.1:0", old=False,
                 tls=False, alone=False):
        self.label, self.source, self.target = label, source, target
        self.send, self.listen = send, listen
        self.old = old  # the target exists already, and is replaced
        self.tls = tls
        self.ends = ["send"] if alone else ["send", "recv"]
        self.expected = None  # from an undisturbed run: digest, files

    def run(self, stage, patience):
        """Runs the programs; returns when all have ended."""
        target = self.target.format(stage.target)
        source = self.source.format(stage.folder)
        if self.old:
            (stage.target / "it").write_bytes(OLD)
        if "{}" in self.source:
            self._make_source(source)
        common = ["--json", "--digest", *patience]
        if self.tls:
            keys = stage.folder / "keys.psk"
            keys.write_text(f"qemu:{'5a' * 32}\n")
            keys.chmod(0o600)
            common += ["--tls-psk", keys]
        deadline = time.monotonic() + HANG_SECONDS * scene.SLOWNESS
        address = target
        if "recv" in self.ends:
            options = ["--force"] if self.old else []
            receiver = stage.start("recv", "recv", *common, *options,
                                   self.listen.format(stage.folder), target)
            line = receiver.first_line(deadline)
            address = address_in(line)
            if address is None:
                receiver.wait(deadline)
                return
        sender = stage.start("send", "send", *common, *self.send, source, address)
        sender.wait(deadline)
        if "recv" in self.ends:
            if sender.code and not stage.orders["send"].succeeded("connect"):
                receiver.terminate()  # no source has connected, and none will
            receiver.wait(deadline)

    @staticmethod
    def _make_source(source):
        subprocess.run([binary(), "send", "--set", "mapped-ram=on", "synth:8M,random=50", source], check=True,
                       stdout=subprocess.DEVNULL)

    def learn(self, stage):
        """Takes the expected result from an undisturbed run."""
        for program in stage.programs:
            judge_end(program)
            check(program.code == 0, f"{program.end_name} fails undisturbed")
        digests = {json.dumps(digest(program)) for program in stage.programs}
        check(len(digests) == 1, "the digests differ")
        self.expected = digest(stage.programs[0]), content(stage.target)

    def judge(self, stage):
        for program in stage.programs:
            judge_end(program)
            if program.code == 0:
                check(digest(program) == self.expected[0], f"{program.end_name}: a wrong digest")
        codes = {program.end_name: program.code for program in stage.programs}
        left = content(stage.target)
        nothing = {"it": hash_of(OLD)} if self.old else {}
        kind = stage.orders[self.ends[-1]].kind
        if kind in ("unlink", "stat", "flock"):
            # A file that cannot be examined, removed or locked stays; a file with the
            # final name is empty.
            left = {name: it for name, it in left.items()
                    if ".partial-" not in name and it != hash_of(b"")}
        if kind == "madvise" and left.keys() == self.expected[1].keys():
            left = self.expected[1]  # the same pages, but other pages are known to be zero
        # A complete result may exist although its program failed later; never a partial one.
        complete = 0 in codes.values() or UNTOLD in codes.values()
        if complete or left != nothing:
            check(left == self.expected[1], f"{'wrong' if complete else 'half-made'} files: {left}")


TRANSFERS = [
    Transfer("channels into a file", "synth:8M,random=50", "file:{}/it", ["--channels", 2]),
    Transfer("channels over what is there", "synth:8M,random=50", "file:{}/it", ["--channels", 2],
             old=True),
    Transfer("main into raw", "synth:8M,random=50", "raw:{}/it"),
    Transfer("zstd over TLS", "file:{}/source", "file:{}/it",
             ["--channels", 2, "--compress", "zstd"], tls=True),
    Transfer("a file into memory", "file:{}/source", "null:", ["--channels", 2],
             listen="unix:{}/socket"),
    Transfer("a mapped file alone", "synth:8M,random=50", "file:{}/it",
             ["--set", "mapped-ram=on", "--channels", 2], alone=True),
    Transfer("a stream alone", "synth:8M,random=50", "file:{}/it", alone=True),
]


class Gone(Exception):
    """A program has ended, or its monitor does not answer any more."""


class Vm:
    """A `ramjet vm` in a stage, with a connection to its monitor. Where that fails, or an answer
    makes no sense, it opens another one: from then on no call fails, so the monitor must answer."""

    def __init__(self, stage, end, deadline, *options):
        self.path = stage.folder / f"{end}.monitor"
        self._orders = stage.orders_of(end)
        self._deadline = deadline
        self._monitor = None
        # A monitor that cannot accept a client lets it wait; a busy one is asked again.
        self._patience = 5
        self.program = stage.start(end, "vm", "--accel", "synth", "--memory", "8M", "--qmp",
                                   f"unix:{self.path}", *options)
        self.ready = address_in(self.program.first_line(deadline), "monitor") is not None
        if not self.ready:
            self.program.wait(deadline)

    def ask(self, command, **arguments):
        """Returns the answer; raises Refused if it is an error, Gone if there is none."""
        while True:
            try:
                if not self._monitor:
                    self._monitor = Monitor(f"unix:{self.path}", seconds=self._patience)
                return self._monitor(command, **arguments)
            except (OSError, Closed, AssertionError) as lost:
                self._monitor = None
                self._orders.heal()
                if not self.program.running():
                    raise Gone(f"{self.program.end_name}: {command}") from lost
                check(time.monotonic() < self._deadline,
                      f"{self.program.end_name} does not answer: {command}: {lost}")
                time.sleep(0.02)

    def until(self, holds, what):
        while not holds():
            check(time.monotonic() < self._deadline, f"{self.program.end_name}: no {what}")
            time.sleep(0.02)

    def running(self):
        try:
            return self.ask("query-status")["running"]
        except Gone:
            return False

    def well(self):
        """The guest runs on, and has found all of its memory right."""
        before = self.ask("x-query-guest")
        self.until(lambda: self.ask("x-query-guest")["pages-verified"]
                   > before["pages-verified"] + 4096, "going on of its guest")
        found = self.ask("x-query-guest")
        check(found["errors"] == 0, f"{self.program.end_name}: the guest finds errors: {found}")

    def quit(self):
        """The program must end."""
        try:
            if self.program.running():
                self.ask("quit")
        except (Gone, Refused):
            pass
        if self._monitor:
            self._monitor.close()
        self.program.wait(self._deadline)


class Move:
    """Moves a guest from one `ramjet vm` to another."""

    ends = ["source", "target"]

    def __init__(self, label, channels):
        self.label, self.channels = label, channels

    def run(self, stage, patience):
        deadline = time.monotonic() + HANG_SECONDS * scene.SLOWNESS
        stage.vms = target, source = (
            Vm(stage, "target", deadline, *patience, "--incoming", "defer"),
            Vm(stage, "source", deadline, *patience, "--guest", "dirtier,rate=4M"))
        stage.status = None  # the source's status at the end
        if target.ready and source.ready:
            try:
                stage.status = self._migrate(source, target)
            except (Gone, Refused):
                pass  # it has not begun, or a program has ended: judge() checks that

    def _migrate(self, source, target):
        for vm in (target, source):
            if self.channels:
                vm.ask("migrate-set-capabilities",
                       capabilities=[{"capability": "multifd", "state": True}])
                vm.ask("migrate-set-parameters", multifd_channels=self.channels)
        target.ask("migrate-incoming", uri="tcp:127.0.0.1:0", exit_on_error=False)
        at = target.ask("query-migrate").get("socket-address", [None])[0]
        if not at:
            return None  # it could not listen after all
        try:
            source.ask("migrate", uri=f"tcp:{at['host']}:{at['port']}")
        except Refused:
            pass  # perhaps it was asked twice, as the first answer was lost

        def status():
            return source.ask("query-migrate").get("status")
        source.until(lambda: status() in (None, "completed", "failed"), "end of the migration")
        return status()

    def learn(self, stage):
        self.judge(stage)
        check(stage.status == "completed", f"undisturbed, its migration is {stage.status}")

    def judge(self, stage):
        target, source = stage.vms
        here, there = source.ready and source.running(), target.ready and target.running()
        check(not (here and there), "two guests run")
        if source.program.running():
            if stage.status == "completed":
                target.until(target.running, "guest")
                target.well()
            elif here:
                source.well()
            else:
                self._judge_paused(stage.status, source, target, there)
        else:
            # A failure at the start may end the source; later that would end its guest, too.
            check(source.program.guestless(), "the source has ended with its guest")
        for vm in stage.vms:
            vm.quit()
            judge_end(vm.program)

    @staticmethod
    def _judge_paused(status, source, target, there):
        """The source is paused because it cannot know which end has the guest: it says so, and
        `cont` resumes it."""
        why = source.ask("query-migrate").get("error-desc", "")
        check(status == "failed" and "may run at the destination" in why,
              f"the migration is {status}, and the guest does not run on: {why}")
        has_it = target
        if not there:
            try:
                target.ask("cont")
            except (Gone, Refused):
                source.ask("cont")
                has_it = source
        has_it.well()


class Rest:
    """Saves a guest into a file, and loads it into another `ramjet vm`."""

    ends = ["source", "target"]

    def __init__(self, label, **capabilities):
        self.label, self.capabilities = label, capabilities

    def run(self, stage, patience):
        deadline = time.monotonic() + HANG_SECONDS * scene.SLOWNESS
        path = stage.target / "it"
        source = Vm(stage, "source", deadline, *patience, "--guest", "dirtier,rate=4M")
        stage.vms, stage.status, stage.written = [source], None, None
        if not source.ready:
            return
        try:
            stage.status = self._save(source, path)
        except (Gone, Refused):
            return  # it has not begun
        if stage.status == "completed":
            source.quit()
            stage.written = content(stage.target)
            stage.vms.append(Vm(stage, "target", deadline, *patience, "--incoming",
                                f"file:{path}"))

    def _save(self, source, path):
        source.ask("migrate-set-capabilities", capabilities=[
            {"capability": name.replace("_", "-"), "state": state}
            for name, state in self.capabilities.items()])
        try:
            source.ask("migrate", uri=f"file:{path}")
        except Refused:
            pass  # perhaps it was asked twice

        def status():
            return source.ask("query-migrate").get("status")
        source.until(lambda: status() in (None, "completed", "failed"), "end of the migration")
        return status()

    def learn(self, stage):
        check(stage.status == "completed", f"undisturbed, its migration is {stage.status}")
        check(stage.vms[1].ready, "undisturbed, its snapshot is not taken")
        self.judge(stage)

    def judge(self, stage):
        source = stage.vms[0]
        if stage.status == "completed":
            check(content(stage.target) == stage.written, "the snapshot is another one now")
            self._judge_target(stage.vms[1])
        elif source.program.running():
            source.well()
            check(set(content(stage.target).values()) <= {hash_of(b"")}, "half a snapshot is left")
        else:
            check(source.program.guestless(), "the source has ended with its guest")
        for vm in stage.vms:
            vm.quit()
            judge_end(vm.program)

    @staticmethod
    def _judge_target(target):
        if not target.ready:
            return  # it has said why
        target.until(lambda: target.running() or not target.program.running(), "guest")
        if target.program.running():
            target.well()


PAIRS = TRANSFERS + [
    Move("a guest, main only", 0),
    Move("a guest, channels", 2),
    Rest("a guest and a stream"),
    Rest("a guest and a mapped file", mapped_ram=True, multifd=True),
]


def one(job):
    """Returns (what went wrong or "", the caller of the failed call, how many calls failed)."""
    with Stage() as stage:
        orders = stage.orders_of(job.end)
        orders.fail(job.kind, job.call, job.result, faults.ALWAYS if job.always else 1)
        try:
            job.pair.run(stage, IMPATIENT)
            job.pair.judge(stage)
        except Exception as why:
            return f"{type(why).__name__}: {why}\n{stage.story()}", orders.caller, orders.failed
        return "", orders.caller, orders.failed


def learn(pair):
    """Runs a pair undisturbed; returns the calls of each end."""
    with Stage() as stage:
        pair.run(stage, [])
        try:
            pair.learn(stage)
        except AssertionError as why:
            raise AssertionError(f"{pair.label}: {why}\n{stage.story()}") from None
        return {end: stage.orders[end].calls() for end in pair.ends}


def some(total, most, chance):
    """`most` of 1…total: the first, the last, and random others."""
    if total <= most:
        return range(1, total + 1)
    return sorted({1, total} | set(chance.sample(range(2, total), max(0, most - 2))))


def jobs_of(pair, calls, options):
    chance = random.Random(pair.label)
    for end in pair.ends:
        if options.end not in (None, end):
            continue
        for kind, results in faults.RESULTS.items():
            if options.kind not in (None, kind):
                continue
            for result in results:
                if options.result not in (None, result):
                    continue
                # A program cannot end if every call is interrupted, or moves only a byte.
                forms = [False] if result in ("EINTR", "short") else [False, True]
                for always in forms:
                    total = min(calls[end].get(kind, 0), options.to)
                    most = options.of_each * (12 if kind == "memory" else 1)
                    if always:
                        most = 1 + options.of_each // 4
                    for call in [options.call] if options.call else some(total, most, chance):
                        yield Job(pair, end, kind, result, call, always)


def name(job):
    return (f"{job.pair.label}: {job.end}: {job.kind} {job.call}{'…' if job.always else ''}: "
            f"{job.result}")


def main():
    parser = argparse.ArgumentParser(description="Runs the pairs whose label contains a WORD.")
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--to", type=int, default=300, help="the last call that fails")
    parser.add_argument("--of-each", type=int, default=3,
                        help="so many of the calls of a kind, for each way to fail; of memory 12 times more")
    parser.add_argument("--end")
    parser.add_argument("--kind")
    parser.add_argument("--result")
    parser.add_argument("--call", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    pairs = [p for p in PAIRS if not options.words or any(w in p.label for w in options.words)]
    failed = 0
    for pair in pairs:
        start = time.monotonic()
        jobs = list(jobs_of(pair, learn(pair), options))
        hit = 0
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for job, (why, caller, calls) in zip(jobs, pool.map(one, jobs)):
                hit += calls > 0
                if why:
                    failed += 1
                    print(f"FAILED  {name(job)} (by {caller}): {why}", flush=True)
        print(f"{pair.label}: {len(jobs)} jobs, {hit} with a failed call, "
              f"{time.monotonic() - start:.1f} s", flush=True)
    print(f"{failed} failed")
    return 1 if failed or not pairs else 0


if __name__ == "__main__":
    sys.exit(main())
