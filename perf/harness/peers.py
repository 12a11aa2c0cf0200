"""The ways to move an image, one class each. A peer knows how to start its two ends and how to read
what they print; when it runs, how often and after what is perf/run's business."""

import json
import shutil
import subprocess
import time
from dataclasses import dataclass

from .errors import PerfError
from .host import peak_anonymous_kib
from .image import same_bytes

RUN_LIMIT_S = 300


@dataclass
class Sample:
    """One run. The meaning of each member is printed under every table (report.COLUMNS)."""

    wall_ms: float
    cpu_ms: float
    send_cpu_ms: float
    recv_cpu_ms: float
    process_wall_ms: float
    process_cpu_ms: float
    send_maxrss_mib: float
    recv_maxrss_mib: float
    wire_bytes: int
    other_cpu_ms: float = 0.0  # what the rest of the machine used meanwhile; filled by perf/run


@dataclass
class Setting:
    """What a peer is given: where, what, and with which programs."""

    scenario: object
    image: object
    source: object  # host
    destination: object  # host
    programs: dict  # name → path
    scratch: object  # folder with room for a copy of the image


class Ramjet:
    name = "ramjet"
    title = "ramjet"
    programs = ("ramjet",)

    def refuse(self, scenario):
        """Why this scenario cannot be run so, or None."""
        for field in ("tls", "dirty"):
            if getattr(scenario, field) is not None:
                return f"{field} is not measured yet"
        return None

    def version(self, setting):
        return _first_line_of([setting.programs["ramjet"], "--version"])

    def commands(self, setting):
        s = setting.scenario
        ramjet = setting.programs["ramjet"]
        pinned = ["--json", "--progress", "never"]
        source = ["--channels", s.channels, "--compress", s.method]
        if s.engine != "auto":
            pinned += ["--engine", s.engine]
        if s.zero_copy:
            source += ["--zero-copy"]
        if s.limit:
            source += ["--max-bandwidth", s.limit]
        return {
            "recv": [ramjet, "recv", *pinned, f"tcp:{setting.destination.address}:0", "null:"],
            "send": [ramjet, "send", *pinned, *source, f"image:{setting.image}"],
        }

    def run(self, setting):
        commands = self.commands(setting)
        with _Pair(setting, commands["recv"], commands["send"]) as pair:
            return self._sample(pair.end())

    def check(self, setting):
        """Two untimed runs: the memory of both ends by their own digests, over exactly what is
        timed; and by this program's own comparison, with the memory written to a file."""
        commands = self.commands(setting)
        with _Pair(setting, commands["recv"] + ["--digest"], commands["send"] + ["--digest"]) as p:
            peaks = peak_anonymous_kib((p.recv.pid, p.send.pid), p.sending)
            ended = p.end()
        digests = [_result(ended[end], "digest")["digest"] for end in ("send", "recv")]
        if not digests[0] or digests[0] != digests[1]:
            raise PerfError(f"digests differ: sent {digests[0]}, received {digests[1]}")

        folder = setting.scratch / "received"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            with _Pair(setting, commands["recv"][:-1] + [f"raw:{folder}"], commands["send"]) as p:
                p.end()
            self._compare(folder, setting.image)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return {
            "digests-equal": True,
            "received-file-equals-image": True,
            "recv-peak-anonymous-mib": round(peaks[0] / 1024, 1),
            "send-peak-anonymous-mib": round(peaks[1] / 1024, 1),
        }

    @staticmethod
    def _compare(folder, image):
        size = image.stat().st_size
        blocks = [p for p in folder.iterdir() if p.is_file() and p.stat().st_size == size]
        if len(blocks) != 1:
            raise PerfError(f"recv raw: left {len(blocks)} files of the image's size, expected 1")
        if not same_bytes(blocks[0], image):
            raise PerfError("what recv raw: wrote is not the image")

    @staticmethod
    def _sample(ended):
        needed = ("total-time", "setup-time", "cpu-time-ms", "wire-bytes")
        send, recv = (_result(ended[end], *needed) for end in ("send", "recv"))
        return Sample(
            wall_ms=max(r["total-time"] - r["setup-time"] for r in (send, recv)),
            cpu_ms=send["cpu-time-ms"] + recv["cpu-time-ms"],
            send_cpu_ms=send["cpu-time-ms"],
            recv_cpu_ms=recv["cpu-time-ms"],
            process_wall_ms=ended["process_wall_ms"],
            process_cpu_ms=ended["send"].cpu_ms + ended["recv"].cpu_ms,
            send_maxrss_mib=ended["send"].maxrss_kib / 1024,
            recv_maxrss_mib=ended["recv"].maxrss_kib / 1024,
            wire_bytes=send["wire-bytes"],
        )


class Ceiling:
    """The same sockets and buffers without a protocol."""

    programs = ("raw_ceiling",)

    def __init__(self, name, title, options):
        self.name = name
        self.title = title
        self._options = options

    def refuse(self, scenario):
        if scenario.method != "none" or scenario.tls or scenario.dirty or scenario.limit:
            return "a raw socket neither compresses, encrypts, dirties nor limits"
        return None

    def version(self, setting):
        return None

    def commands(self, setting):
        ceiling = setting.programs["raw_ceiling"]
        channels = ["--channels", setting.scenario.channels]
        return {"both": [ceiling, *channels, *self._options, setting.image]}

    def run(self, setting, *more):
        process = setting.source.start([*self.commands(setting)["both"], *more])
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

    def check(self, setting):
        self.run(setting, "--check")
        return {"received-memory-equals-image": True}


PEERS = {
    peer.name: peer
    for peer in (
        Ramjet(),
        Ceiling("ceiling", "raw sockets, fresh memory", []),
        Ceiling("ceiling-populated", "raw sockets, populated memory", ["--populated"]),
    )
}


class _Pair:
    """A receiver that says where it listens, and a sender started once it has."""

    def __init__(self, setting, recv_argv, send_argv):
        self._deadline = time.monotonic() + RUN_LIMIT_S
        self.send = None
        self.recv = setting.destination.start(recv_argv)
        try:
            word, _, address = self.recv.first_line(self._deadline).partition(" ")
            if word != "listening":
                raise PerfError(f"the receiver's first line should name its address, got {word!r}")
            self._begin = time.monotonic()
            self.send = setting.source.start([*send_argv, address])
        except BaseException:
            self.close()
            raise

    def sending(self):
        return not _is_zombie(self.send.pid)

    def end(self):
        """Reaped in the order in which they should end; if the sender fails, it has more to say."""
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


def _is_zombie(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rpartition(")")[2].split()[0] == "Z"


def _result(ended, *needed):
    """The JSON object an end prints, after the line with its address if it printed one."""
    try:
        found = json.loads(ended.stdout[ended.stdout.index("{") :])
    except ValueError:
        raise PerfError(f"no JSON result in: {ended.stdout[:200]!r}") from None
    for key in needed:
        if key not in found:
            raise PerfError(f"the JSON result has no {key!r}")
    return found


def _first_line_of(argv):
    try:
        run = subprocess.run(argv, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return run.stdout.partition("\n")[0]
