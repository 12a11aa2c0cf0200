"""The ways to move memory, one class each. A peer can prepare its two ends, start the transfer and
read the output; when and how often it runs is decided by perf/run."""

import json
import os
import shutil
import signal
import socket
import time
from dataclasses import dataclass

from .errors import PerfError
from .host import anonymous_kib, first_line_of, peak_anonymous_kib
from .image import same_bytes

RUN_LIMIT_S = 600


@dataclass
class Sample:
    """One run. The meaning of each member is printed below every table (report.COLUMNS)."""

    wall_ms: float
    cpu_ms: float
    send_cpu_ms: float
    recv_cpu_ms: float
    process_wall_ms: float
    process_cpu_ms: float
    send_maxrss_mib: float
    recv_maxrss_mib: float
    wire_bytes: int
    downtime_ms: float = 0.0
    rounds: int = 0
    # Of the whole machine during the run; filled by measure.run_once().
    other_cpu_ms: float = 0.0  # used by other processes
    stolen_ms: float = 0.0  # not given by the hypervisor
    small_pages: int = 0  # faults that should have got a huge page but got a small one


@dataclass
class Setting:
    """What a peer gets: where, what, and with which programs."""

    scenario: object
    image: object  # a file with the memory, or None
    source: object  # host
    destination: object  # host
    programs: dict  # name → path
    scratch: object  # a folder with room for a copy of the image
    credentials: object  # folder, or None


class Ramjet:
    name = "ramjet"
    title = "ramjet"
    programs = ("ramjet",)

    def refuse(self, _scenario):
        """Why this scenario cannot run in this way, or None."""
        return None

    def version(self, setting):
        return first_line_of([setting.programs["ramjet"], "--version"])

    def commands(self, setting):
        s = setting.scenario
        ramjet = setting.programs["ramjet"]
        pinned = ["--json", "--progress", "never"]
        if s.engine != "auto":
            pinned += ["--engine", s.engine]
        if s.tls:
            pinned += ["--tls-creds", setting.credentials]
        source = ["--channels", s.channels, "--compress", s.method]
        if s.zero_copy:
            source += ["--zero-copy"]
        if s.limit:
            source += ["--max-bandwidth", s.limit]
        if s.downtime_ms != 300:
            source += ["--downtime-limit", f"{s.downtime_ms}ms"]
        listen = f"tcp:{setting.destination.address}:0"
        return {
            "recv": [ramjet, "recv", *pinned, listen, self._target(setting)],
            "send": [ramjet, "send", *pinned, *source, self.source(setting)],
        }

    @staticmethod
    def source(setting):
        s = setting.scenario
        if s.mix == "untouched":
            return f"synth:{s.image['size']},zero=100"
        if s.mix == "synth":
            more = f",zero={s.image['zero']}" if "zero" in s.image else ""
            more += f",dirty={s.dirty}" if s.dirty else ""
            return f"synth:{s.image['size']},seed={s.seed}{more}"
        return f"{'image' if s.source == 'file' else 'memory'}:{setting.image}"

    @staticmethod
    def _target(setting):
        kind = setting.scenario.receiver
        return "null:" if kind == "memory" else f"{kind}:{setting.scratch / 'received'}"

    def memory_bytes(self, scenario):
        """The memory that its processes touch during the timed part."""
        source = 0 if holds(scenario) else scenario.source_bytes
        return source + scenario.destination_bytes

    def ready(self, setting):
        kind = _HeldTrial if holds(setting.scenario) else _RamjetTrial
        return kind(setting, self.commands(setting))

    def check(self, setting):
        """Two untimed runs compare the memory: by both ends' own digests, over exactly the timed
        transfer; and by this program, with the memory written to a file."""
        commands = self.commands(setting)
        with _RamjetTrial(setting, commands):
            digests = [commands[end] + ["--digest"] for end in ("recv", "send")]
            with Pair(setting, *digests) as p:
                peaks = peak_anonymous_kib((p.recv.pid, p.send.pid), p.sending)
                ended = p.end()
        digests = [result_of(ended[end], "digest")["digest"] for end in ("send", "recv")]
        if not digests[0] or digests[0] != digests[1]:
            raise PerfError(f"digests differ: sent {digests[0]}, received {digests[1]}")
        found = {
            "digests-equal": True,
            "recv-peak-anonymous-mib": round(peaks[0] / 1024, 1),
            "send-peak-anonymous-mib": round(peaks[1] / 1024, 1),
        }
        if setting.image:
            self._check_file(setting, commands)
            found["received-file-equals-image"] = True
        return found

    def _check_file(self, setting, commands):
        folder = setting.scratch / "received"
        _remove(folder)
        try:
            with Pair(setting, commands["recv"][:-1] + [f"raw:{folder}"], commands["send"]) as p:
                p.end()
            self._compare(folder, setting.image)
        finally:
            _remove(folder)

    @staticmethod
    def _compare(folder, image):
        size = image.stat().st_size
        blocks = [p for p in folder.iterdir() if p.is_file() and p.stat().st_size == size]
        if len(blocks) != 1:
            raise PerfError(f"recv raw: left {len(blocks)} files of the image's size, expected 1")
        if not same_bytes(blocks[0], image):
            raise PerfError("what recv raw: wrote is not the image")


class _RamjetTrial:
    """Both ends start in the timed part: ramjet itself reports the migration's time."""

    def __init__(self, setting, commands):
        self._setting = setting
        self._commands = commands

    def run(self):
        with Pair(self._setting, self._commands["recv"], self._commands["send"]) as pair:
            return ramjet_sample(pair.end())

    def __enter__(self):
        _remove(self._setting.scratch / "received")
        return self

    def __exit__(self, *_):
        _remove(self._setting.scratch / "received")


def holds(scenario):
    """Whether the source gets its memory before the destination's is warmed. A thread that dirties
    it would have to catch up afterwards."""
    return scenario.source_bytes > 0 and not scenario.dirty


class _HeldTrial(_RamjetTrial):
    """The sender has its memory and is about to connect when it is stopped; it continues in the
    timed part. Otherwise it would take the memory that was warmed for the receiver. If it is always
    faster than we are, as with little memory on a busy machine, it is not stopped."""

    TRIES = 10
    LEFT = 64 << 20  # bytes that it has not read yet

    def __init__(self, setting, commands):
        super().__init__(setting, commands)
        self._socket = None
        self._send = None

    def __enter__(self):
        super().__enter__()
        for _ in range(self.TRIES):
            self._socket = self._bound()
            address = "tcp:{}:{}".format(*self._socket.getsockname())
            self._send = self._setting.source.start([*self._commands["send"], address])
            if self._stopped_in_time():
                return self
            self._drop()
        return self

    def _bound(self):
        """Bound, but not listening: a program that connects too early is refused, and does not wait
        in a queue while its clock runs."""
        s = socket.socket()
        s.bind((self._setting.destination.address, 0))
        return s

    def _stopped_in_time(self):
        """Stops it a little before it has read everything; the rest takes some milliseconds."""
        size = self._setting.scenario.source_bytes
        enough = (size - min(size // 2, self.LEFT)) >> 10
        deadline = time.monotonic() + RUN_LIMIT_S
        while not _is_zombie(self._send.pid) and time.monotonic() < deadline:
            if anonymous_kib(self._send.pid) >= enough:
                return self._stop() and anonymous_kib(self._send.pid) < size >> 10
        return False

    def _stop(self):
        """False if it has ended instead. A sender with all its memory may have tried to connect
        already, and been refused."""
        os.kill(self._send.pid, signal.SIGSTOP)
        while (state := _state(self._send.pid)) not in "TZ":
            time.sleep(0.001)
        return state == "T"

    def run(self):
        if not self._send:
            return super().run()
        deadline = time.monotonic() + RUN_LIMIT_S
        self._socket.listen(1024)
        fd = self._socket.fileno()
        argv = [f"fd:{fd}" if str(word).startswith("tcp:") else word
                for word in self._commands["recv"]]
        recv = self._setting.destination.start(argv, pass_fds=[fd])
        try:
            recv.first_line(deadline)
            begin = time.monotonic()
            os.kill(self._send.pid, signal.SIGCONT)
            ended = {"send": self._send.end(deadline), "recv": recv.end(deadline)}
            ended["process_wall_ms"] = (time.monotonic() - begin) * 1000
            return ramjet_sample(ended)
        finally:
            recv.close()

    def _drop(self):
        for one in (self._send, self._socket):
            if one:
                one.close()
        self._send = self._socket = None

    def __exit__(self, *_):
        self._drop()
        super().__exit__()


def ramjet_sample(ended):
    needed = ("total-time", "setup-time", "cpu-time-ms", "wire-bytes", "downtime", "ram")
    send, recv = (result_of(ended[end], *needed) for end in ("send", "recv"))
    return Sample(
        # At least a millisecond: other values are divided by it.
        wall_ms=max(1, *(r["total-time"] - r["setup-time"] for r in (send, recv))),
        cpu_ms=max(1, send["cpu-time-ms"] + recv["cpu-time-ms"]),
        send_cpu_ms=send["cpu-time-ms"],
        recv_cpu_ms=recv["cpu-time-ms"],
        process_wall_ms=ended["process_wall_ms"],
        process_cpu_ms=ended["send"].cpu_ms + ended["recv"].cpu_ms,
        send_maxrss_mib=ended["send"].maxrss_kib / 1024,
        recv_maxrss_mib=ended["recv"].maxrss_kib / 1024,
        wire_bytes=send["wire-bytes"],
        downtime_ms=send["downtime"],
        rounds=send["ram"]["dirty-sync-count"],
    )


class Ceiling:
    """The same sockets and buffers without a protocol."""

    programs = ("raw_ceiling",)

    def __init__(self, name, title, options):
        self.name = name
        self.title = title
        self._options = options

    def refuse(self, scenario):
        s = scenario
        if s.method != "none" or s.tls or s.dirty or s.limit or s.zero_copy:
            return "a raw socket neither compresses, encrypts, lends, dirties nor limits"
        if s.receiver != "memory" or s.mix in ("untouched", "zero", "synth"):
            return "a raw socket carries a file's pages that are not zero into memory"
        return None

    def version(self, _setting):
        return None

    def commands(self, setting):
        ceiling = setting.programs["raw_ceiling"]
        channels = ["--channels", setting.scenario.channels]
        return {"both": [ceiling, *channels, *self._options, setting.image]}

    def memory_bytes(self, scenario):
        return scenario.destination_bytes

    def ready(self, setting):
        return _CeilingTrial(setting, self.commands(setting)["both"])

    def check(self, setting):
        with _CeilingTrial(setting, [*self.commands(setting)["both"], "--check"]) as trial:
            trial.run()
        return {"received-memory-equals-image": True}


class _CeilingTrial:
    def __init__(self, setting, argv):
        self._setting = setting
        self._argv = argv

    def run(self):
        process = self._setting.source.start(self._argv)
        try:
            out = json.loads(process.end(time.monotonic() + RUN_LIMIT_S).stdout)
        finally:
            process.close()
        return Sample(
            wall_ms=out["wall_ms"],
            cpu_ms=out["cpu_ms"],
            send_cpu_ms=out["send"]["cpu_ms"],
            recv_cpu_ms=out["recv"]["cpu_ms"],
            process_wall_ms=out["process_wall_ms"],
            process_cpu_ms=out["process_cpu_ms"],
            send_maxrss_mib=out["send"]["maxrss_kib"] / 1024,
            recv_maxrss_mib=out["recv"]["maxrss_kib"] / 1024,
            wire_bytes=out["bytes"],
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def _address_in(line):
    """Where a receiver listens: its first line is an event, or, in older builds, a text."""
    word, _, address = line.partition(" ")
    if word == "listening":
        return address
    try:
        return json.loads(line)["address"]
    except (ValueError, KeyError, TypeError):
        raise PerfError(f"the receiver's first line should name its address: {line!r}") from None


class Pair:
    """A receiver that prints its address, and a sender that starts after that."""

    def __init__(self, setting, recv_argv, send_argv):
        self._deadline = time.monotonic() + RUN_LIMIT_S
        self.send = None
        self.recv = setting.destination.start(recv_argv)
        try:
            address = _address_in(self.recv.first_line(self._deadline))
            self._begin = time.monotonic()
            self.send = setting.source.start([*send_argv, address])
        except BaseException:
            self.close()
            raise

    def sending(self):
        return not _is_zombie(self.send.pid)

    def end(self):
        """Reaped in the order in which they should end; if the sender fails,
        its error says more."""
        ended = {"send": self.send.end(self._deadline), "recv": self.recv.end(self._deadline)}
        ended["process_wall_ms"] = (time.monotonic() - self._begin) * 1000
        return ended

    def close(self):
        for process in (self.send, self.recv):
            if process:
                process.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _remove(path):
    """What a receiver wrote, a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _state(pid):
    """As in /proc: R, S, T if it is stopped, Z if it has ended."""
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rpartition(")")[2].split()[0]


def _is_zombie(pid):
    return _state(pid) == "Z"


def result_of(ended, *needed):
    """The JSON object that an end prints as its last line."""
    try:
        found = json.loads(ended.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise PerfError(f"no JSON result in: {ended.stdout[:200]!r}") from None
    for key in needed:
        if key not in found:
            raise PerfError(f"the JSON result has no {key!r}")
    return found


OWN_PEERS = {
    peer.name: peer
    for peer in (
        Ramjet(),
        Ceiling("ceiling", "raw sockets, fresh memory", []),
        Ceiling("ceiling-populated", "raw sockets, populated memory", ["--populated"]),
    )
}
