"""A QEMU moves the same memory into a second one. Both are paused (-S, no KVM), so that no CPU time
is a guest's. The source's memory is filled before the clock starts: by `ramjet send` into it, as
any migration fills a guest. It is anonymous memory as QEMU gives it to its guests."""

import re
import subprocess
import time
from pathlib import Path

from .errors import PerfError
from .host import cpu_clock_ms, first_line_of, peak_rss_mib, reset_peak_rss
from .image import pieces
from .peers import RUN_LIMIT_S, Sample
from .process_memory import digest, guest_memory
from .process_memory import pieces as memory_pieces
from .qmp import Qmp
from .scenario import parse_size

BLOCK = "pc.ram"  # the memory backend's id is the RAM block's name on the wire; ramjet's is this
UNLIMITED = 100 << 30  # bytes per second; QEMU's own default is 128 MiB
FINAL = ("completed", "failed", "cancelled")


def version_of(binary):
    found = re.search(r"version ([0-9.]+)", first_line_of([binary, "--version"]))
    if not found:
        raise PerfError(f"{binary} does not say what version of QEMU it is")
    return found[1]


class Qemu:
    programs = ("ramjet",)  # to fill the source

    def __init__(self, binary):
        number = version_of(binary)
        self._binary = binary
        self.name = f"qemu-{number}"
        self.title = f"QEMU {number}"

    def refuse(self, scenario):
        if scenario.dirty:
            return "its guest stands still"
        if scenario.receiver != "memory":
            return "it receives into memory"
        if scenario.source == "file":
            return "a guest's memory is not a file"
        return None

    def version(self, _setting):
        return first_line_of([self._binary, "--version"])

    def _argv(self, setting, end):
        s = setting.scenario
        # A guest has touched its memory, and keeps it until it is ended.
        touched = "on" if end == "client" and s.mix != "untouched" else "off"
        backend = f"memory-backend-ram,id={BLOCK},size={s.image_bytes},prealloc={touched}"
        argv = [self._binary, "-nodefaults", "-no-user-config", "-display", "none", "-S",
                "-accel", "tcg", "-machine", f"q35,memory-backend={BLOCK}",
                "-object", backend, "-m", f"size={s.image_bytes >> 20}M"]
        if end == "server" or _filling(s):
            argv += ["-incoming", "defer"]
        if s.tls:
            argv += ["-object", f"tls-creds-x509,id=tls0,dir={setting.credentials},endpoint={end},"
                                "verify-peer=on"]
        return argv

    def commands(self, setting):
        return {"recv": self._argv(setting, "server"), "send": self._argv(setting, "client")}

    def memory_bytes(self, scenario):
        """The source's memory exists already when the clock starts."""
        return scenario.destination_bytes

    def ready(self, setting):
        return _Trial(setting, self.commands(setting))

    def check(self, setting):
        with self.ready(setting) as trial:
            trial.run()
            found = [digest(memory_pieces(m.pid, guest_memory(m.pid, setting.scenario.image_bytes)))
                     for m in (trial.source, trial.destination)]
        if setting.image:
            found.append(digest(pieces(setting.image)))
        if len(set(found)) != 1:
            raise PerfError(f"{self.title}: source, destination and image differ: {found}")
        return {"digests-equal": True, "image-compared": bool(setting.image)}


def _filling(scenario):
    return scenario.mix not in ("untouched", "zero")


class _Machine:
    """One QEMU process and its monitor."""

    def __init__(self, host, argv):
        self._qmp = Qmp(RUN_LIMIT_S)
        fd = self._qmp.theirs.fileno()
        monitor = ["-chardev", f"socket,id=qmp,fd={fd}", "-mon", "chardev=qmp,mode=control"]
        self._process = host.start([*argv, *monitor], pass_fds=[fd])
        self.pid = self._process.pid
        try:
            self._qmp.start()
        except PerfError as e:
            output = self._process.last_words()
            self.close()
            raise PerfError(f"{e}. {output}") from None

    def ask(self, command, **arguments):
        return self._qmp(command, **arguments)

    def machine_type(self):
        """The versioned name for which q35 stands."""
        return next(m["name"] for m in self.ask("query_machines") if m.get("alias") == "q35")

    def configure(self, capabilities, **parameters):
        on = [{"capability": name, "state": True} for name in ("events", *capabilities)]
        self.ask("migrate_set_capabilities", capabilities=on)
        self.ask("migrate_set_parameters", **parameters)

    def listen(self, address):
        self.ask("migrate_incoming", uri=f"tcp:{address}:0")
        at = self.ask("query_migrate")["socket-address"][0]
        return f"tcp:{at['host']}:{at['port']}"

    def completed(self):
        """Waits for the end of a migration, in either role; returns its own report."""
        status = self._qmp.event("MIGRATION", lambda data: data.get("status") in FINAL)["status"]
        report = self.ask("query_migrate")
        if status != "completed":
            raise PerfError(f"QEMU's migration {status}: {report.get('error-desc')}")
        return report

    def close(self):
        self._qmp.close()
        self._process.close()


class _Trial:
    """Two QEMUs with all settings, and the source's memory as the scenario says."""

    def __init__(self, setting, commands):
        self._setting = setting
        self._commands = commands
        self.source = self.destination = None

    def __enter__(self):
        try:
            self.source = _Machine(self._setting.source, self._commands["send"])
            if _filling(self._setting.scenario):
                self._fill()
            self.destination = _Machine(self._setting.destination, self._commands["recv"])
            for machine in (self.source, self.destination):
                capabilities, parameters = self._settings(machine is self.source)
                machine.configure(capabilities, **parameters)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for machine in (self.source, self.destination):
            if machine:
                machine.close()

    def _fill(self):
        s = self._setting.scenario
        ramjet = self._setting.programs["ramjet"]
        memory = f"image:{self._setting.image}" if self._setting.image else \
            f"synth:{s.image['size']},seed={s.seed}"
        self.source.configure(["multifd"], multifd_channels=2)
        address = self.source.listen("127.0.0.1")
        sender = self._setting.source.start([
            ramjet, "send", "--progress", "never", "--channels", 2,
            "--machine", self.source.machine_type(), memory, address])
        try:
            sender.end(time.monotonic() + RUN_LIMIT_S)
        finally:
            sender.close()
        self.source.completed()

    def _settings(self, is_source):
        """Sets capabilities, and parameters by name."""
        s = self._setting.scenario
        method, _, level = (s.qemu_method or s.method).partition(":")
        capabilities = ["multifd"]
        parameters = {"multifd_channels": s.channels, "multifd_compression": method}
        if s.tls:
            parameters["tls_creds"] = "tls0"
        if not is_source:
            return capabilities, parameters
        if level:
            parameters[f"multifd_{method}_level"] = int(level)
        parameters["max_bandwidth"] = parse_size(s.limit) if s.limit else UNLIMITED
        parameters["downtime_limit"] = s.downtime_ms
        capabilities.append("return-path")
        if s.zero_copy:
            capabilities.append("zero-copy-send")
        return capabilities, parameters

    def run(self):
        address = self.destination.listen(self._setting.destination.address)
        ends = (self.source, self.destination)
        for end in ends:
            reset_peak_rss(end.pid)
        cpu = [cpu_clock_ms(end.pid) for end in ends]
        begin = time.monotonic()
        self.source.ask("migrate", uri=address)
        report = self.source.completed()
        self.destination.completed()
        process_wall_ms = (time.monotonic() - begin) * 1000
        used = [cpu_clock_ms(end.pid) - before for end, before in zip(ends, cpu)]
        return Sample(
            wall_ms=max(1, report["total-time"] - report["setup-time"]),
            cpu_ms=sum(used),
            send_cpu_ms=used[0],
            recv_cpu_ms=used[1],
            process_wall_ms=process_wall_ms,
            process_cpu_ms=sum(used),
            send_maxrss_mib=peak_rss_mib(self.source.pid),
            recv_maxrss_mib=peak_rss_mib(self.destination.pid),
            wire_bytes=report["ram"]["transferred"],
            downtime_ms=report["downtime"],
            rounds=report["ram"]["dirty-sync-count"],
        )


def default_binary(perf):
    """The QEMU that perf/peer-qemu has put into its folder, or None."""
    found = subprocess.run([perf / "peer-qemu", "--where"], capture_output=True, text=True,
                           check=False)
    return Path(found.stdout.strip()) if found.returncode == 0 else None
