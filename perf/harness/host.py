"""The machine of a run. Everything that is done *to* a machine goes through this class, so that a
remote machine can take its place."""

import mmap
import os
import platform
import select
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .errors import PerfError

# Newer than Python's own list.
MADV_POPULATE_WRITE = 23
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


@dataclass
class Ended:
    """What is left of a process: all its output, and the resources it used from exec to exit."""

    stdout: str
    cpu_ms: float
    maxrss_kib: int


class Process:
    """A child whose resource use is measured: it is therefore reaped by wait4 and not by Popen."""

    def __init__(self, argv, pass_fds=()):
        self.argv = [str(a) for a in argv]
        self._stderr = tempfile.TemporaryFile()
        try:
            self._child = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._stderr,
                pass_fds=pass_fds,
            )
        except OSError as e:
            raise PerfError(f"{self.argv[0]}: {e.strerror}") from None
        self.pid = self._child.pid
        self._reaped = False

    def first_line(self, deadline):
        """Reads without Python's buffer: what follows the line stays in the pipe for end()."""
        line = b""
        out = self._child.stdout.fileno()
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([out], [], [], max(0, deadline - time.monotonic()))
            byte = os.read(out, 1) if ready else b""
            if not byte:
                raise PerfError(f"{self._what()}: printed no line. {self.last_words()}")
            line += byte
        return line.decode().rstrip("\n")

    def end(self, deadline):
        pidfd = os.pidfd_open(self.pid)
        try:
            ready, _, _ = select.select([pidfd], [], [], max(0, deadline - time.monotonic()))
        finally:
            os.close(pidfd)
        if not ready:
            raise PerfError(f"{self._what()}: not finished in time")
        status, usage = self._reap()
        stdout = self._child.stdout.read().decode()
        if status != 0:
            code = os.waitstatus_to_exitcode(status)
            raise PerfError(f"{self._what()}: exit code {code}. {self.last_words()}")
        return Ended(stdout, (usage.ru_utime + usage.ru_stime) * 1000, usage.ru_maxrss)

    def close(self):
        """Ends it if it still runs; else does nothing."""
        if not self._reaped:
            os.kill(self.pid, signal.SIGKILL)  # Popen's own would reap a child that has ended
            self._reap()
        self._child.stdout.close()
        self._stderr.close()

    def _reap(self):
        _, status, usage = os.wait4(self.pid, 0)
        self._reaped = True
        self._child.returncode = os.waitstatus_to_exitcode(status)
        return status, usage

    def _what(self):
        return " ".join([os.path.basename(self.argv[0])] + self.argv[1:3])

    def last_words(self):
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return f"It said: {lines[-1]}" if lines else "It said nothing."


class LocalHost:
    """This machine, or some of its cores: `prefix` starts a command on those only."""

    address = "127.0.0.1"

    def __init__(self, prefix=()):
        self._prefix = prefix

    def start(self, argv, pass_fds=()):
        return Process([*self._prefix, *argv], pass_fds)

    def warm(self, n_bytes):
        """Touches and frees memory. A hypervisor may have taken freed memory back, and the
        next first touch is then many times slower: each run would measure how long the
        machine had been idle before it. It happens in a process of its own: a child's peak
        begins with its parent's."""
        n_bytes = min(n_bytes, available_bytes() * 8 // 10)
        pid = os.fork()
        if pid == 0:
            try:
                self._touch(n_bytes)
            finally:
                os._exit(0)  # in any case: the code above on the stack is the parent's
        os.waitpid(pid, 0)

    @staticmethod
    def _touch(n_bytes):
        with mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
            try:
                memory.madvise(mmap.MADV_HUGEPAGE)
                memory.madvise(MADV_POPULATE_WRITE)
            except OSError:
                memory[:: mmap.PAGESIZE] = bytes(len(range(0, n_bytes, mmap.PAGESIZE)))

    def counters(self):
        """Of everything on the machine since it started; times in the resolution of ticks."""
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
        events = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
        return {
            "busy-ms": (user + nice + system + irq + softirq) * TICK_MS,
            "stolen-ms": steal * TICK_MS,
            "small-pages": int(events.get("thp_fault_fallback", 0)),
        }

    def others(self):
        """Begins to watch; the result is called at the end, and says how much of a core programs
        used meanwhile that this one did not start, in percent."""
        began, before, own = time.monotonic(), self.counters()["busy-ms"], _own_cpu_ms()

        def percent():
            used = self.counters()["busy-ms"] - before - (_own_cpu_ms() - own)
            return max(0.0, used / 10 / (time.monotonic() - began))

        return percent

    def facts(self):
        return {
            "cpu": _first_value("/proc/cpuinfo", "model name") or platform.processor(),
            "cores": os.cpu_count(),
            "memory-gib": round(int(_first_value("/proc/meminfo", "MemTotal").split()[0]) / 2**20),
            "kernel": platform.release(),
            "huge-pages": _chosen("/sys/kernel/mm/transparent_hugepage/enabled"),
            "congestion-control": _chosen("/proc/sys/net/ipv4/tcp_congestion_control"),
            "load-at-start": round(os.getloadavg()[0], 2),
        }


def _own_cpu_ms():
    """Of this process and all that it has waited for."""
    t = os.times()
    return 1000 * (t.user + t.system + t.children_user + t.children_system)


def peak_anonymous_kib(pids, still_running):
    """The highest RssAnon seen of each process while still_running(): its own memory,
    without the page cache that maxrss counts as soon as a file is mapped. It is sampled, so
    for untimed runs."""
    peak = {pid: 0 for pid in pids}
    while still_running():
        for pid in pids:
            try:
                value = _first_value(f"/proc/{pid}/status", "RssAnon")
            except OSError:
                continue
            if value:
                peak[pid] = max(peak[pid], int(value.split()[0]))
        time.sleep(0.002)
    return [peak[pid] for pid in pids]


def anonymous_kib(pid):
    """The memory of its own that a process has now; 0 after its end."""
    try:
        value = _first_value(f"/proc/{pid}/status", "RssAnon")
    except OSError:
        return 0
    return int(value.split()[0]) if value else 0


def available_bytes():
    return int(_first_value("/proc/meminfo", "MemAvailable").split()[0]) << 10


def cpu_clock_ms(pid):
    """CPU time of another process, all its threads, also ended ones; finer than /proc's ticks."""
    return time.clock_gettime_ns(~pid << 3 | 2) / 1e6  # the kernel's numbers for such clocks


def reset_peak_rss(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_rss_mib(pid):
    """Since reset_peak_rss()."""
    return int(_first_value(f"/proc/{pid}/status", "VmHWM").split()[0]) / 1024


def first_line_of(argv):
    try:
        run = subprocess.run(argv, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return run.stdout.partition("\n")[0]


def _first_value(path, key):
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def _chosen(path):
    """ "always [madvise] never" → madvise."""
    try:
        text = Path(path).read_text().strip()
    except OSError:
        return "unknown"
    return text.partition("[")[2].partition("]")[0] or text
