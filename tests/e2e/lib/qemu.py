"""A QEMU with the test guest in it, as the source or the destination of a migration."""

import os
import shutil
import subprocess
from pathlib import Path

from . import guest
from .qmp import Qmp, QmpError
from .scene import Process
from .table import Skip, check

_FINAL = ("completed", "failed", "cancelled")

MAIN_BLOCK = "m"  # the RAM block's name on the wire is the id of its memory backend


_FETCHED = {"10.0": ("scripts/qemu-10", "--cached"), "11.1": ("perf/peer-qemu", "--where")}


def binary(version):
    """The QEMU "7.2", "10.0" or "11.1" for the test, or Skip. The environment may name it; nothing
    is downloaded here."""
    name = {"7.2": "QEMU_72", "10.0": "QEMU_10", "11.1": "QEMU_11"}[version]
    if name in os.environ:
        path, why = os.environ[name], os.environ.get(name + "_WHY")
    elif version in _FETCHED:
        script, option = _FETCHED[version]
        answer = subprocess.run([Path(__file__).parents[3] / script, option], capture_output=True,
                                text=True, check=False)
        path, why = answer.stdout.strip(), answer.stderr.strip()
    else:
        path, why = shutil.which("qemu-system-x86_64"), None
    if not path:
        raise Skip(why or f"QEMU {version} is not installed")
    return path


class Qemu(Process):
    """One QEMU under TCG. Its main memory is a file that can be compared: `memory`.

    What must be equal on both sides of a migration is in `machine`, `devices` and `uuid`;
    `shape` has the three, for another one.
    """

    def __init__(self, scene, name, version, *, machine, devices=False, uuid=None,
                 incoming=None, paused=False, options=(), netns=None):
        self.memory = scene.folder / f"{name}.ram"
        self.shape = {"machine": machine, "devices": devices, "uuid": uuid}
        self.plugged = scene.folder / f"{name}.virtio-mem"  # only with devices
        self.qmp = Qmp()
        argv = [
            binary(version), "-nodefaults", "-no-user-config", "-display", "none",
            "-accel", "tcg", "-machine", f"{machine},memory-backend={MAIN_BLOCK}",
            "-object", _backend(MAIN_BLOCK, self.memory),
            "-m", f"size={guest.MEMORY >> 20}M" + (",maxmem=1G" if devices else ""),
            "-kernel", guest.build(scene.folder), "-debugcon", "stdio",
            "-chardev", f"socket,id=monitor,fd={self.qmp.theirs.fileno()}",
            "-mon", "chardev=monitor,mode=control",
        ]
        if devices:
            argv += [
                "-device", "VGA,addr=2",
                "-netdev", "hubport,id=hub,hubid=0",
                "-device", "virtio-net-pci,netdev=hub,mac=52:54:00:12:34:56,addr=3",
                "-object", _backend("more", self.plugged),
                # Otherwise QEMU takes its block size from the host's /sys, differently
                # in each version.
                "-device", "virtio-mem-pci,id=vm0,memdev=more,requested-size=64M,block-size=2M,"
                           "addr=4",
                "-device", "virtio-rng-pci,addr=5",
            ]
        argv += ["-uuid", uuid] if uuid else []
        argv += ["-incoming", incoming] if incoming else []
        argv += ["-S"] if paused else []
        super().__init__(scene, name, [*argv, *options],
                         netns=netns, pass_fds=[self.qmp.theirs.fileno()])
        self.qmp.start()

    def configure(self, capabilities=(), channels=0, **parameters):
        """Sets migration capabilities and parameters; channels = 0: no multifd."""
        on = ["events", *capabilities, *(["multifd"] if channels else [])]
        self.qmp("migrate_set_capabilities",
                 capabilities=[{"capability": name, "state": True} for name in on])
        if channels:
            parameters["multifd_channels"] = channels
        if parameters:
            self.qmp("migrate_set_parameters", **parameters)

    def passes(self, more):
        """Waits until the guest has found all its memory right `more` times again."""
        seen = len(self.output)
        check(self.read(lambda out: len(out) >= seen + more or b"X" in out),
              f"{self.name}: QEMU ended while its guest was expected to run")
        check(b"X" not in self.output, f"{self.name}: the guest found a wrong byte in its memory")

    def migrate(self, uri, rounds=3, postcopy=False):
        """Migrates the running guest; sends about `rounds` rounds of dirty pages. Then it lets
        QEMU converge, or switch to postcopy."""
        # QEMU sends in bursts, ten a second. 6 MiB in each is less than what the guest dirties
        # meanwhile: it does not converge too early, unless this machine starves the guest.
        self.qmp("migrate_set_parameters", downtime_limit=1, max_bandwidth=64 << 20)
        self.qmp("migrate", uri=uri)
        _, data = self.qmp.event(lambda _, data: data.get("status") in _FINAL
                                 or data.get("pass", 0) > rounds)
        if "pass" in data:
            limit = 1 if postcopy else 60000
            self.qmp("migrate_set_parameters", downtime_limit=limit, max_bandwidth=64 << 30)
            if postcopy:
                self.qmp("migrate_start_postcopy")
            self.migrated()
        else:
            self._demand_completed(data["status"])

    def fails(self, uri, *words):
        """A migration that must fail with an error that contains all `words`; the guest runs on."""
        self.qmp("migrate", uri=uri)
        self.qmp.event(lambda _, data: data.get("status") == "failed")
        why = self.qmp("query_migrate").get("error-desc", "")
        for word in words:
            check(word in why.lower(), f"{self.name}: want {word!r} in: {why}")
        check(self.qmp("query_status")["running"], f"{self.name}: the guest does not run")
        self.passes(2)

    def migrated(self):
        """Waits for the end of a migration, in either role; it must be a success."""
        _, data = self.qmp.event(lambda _, data: data.get("status") in _FINAL)
        self._demand_completed(data["status"])

    def _demand_completed(self, status):
        check(status == "completed",
              f"{self.name}: migration {status}: {self.qmp('query_migrate').get('error-desc')}")

    def loses(self, pages):
        """Its guest may have lost just the page in which it was paused: guest.S says why."""
        try:
            if self.qmp("query_status")["running"]:
                return False
            registers = self.qmp("human_monitor_command", command_line="info registers")
        except (OSError, QmpError):
            return False
        return pages == [guest.page_in_hand(registers)]

    def listen(self):
        """For a destination started with incoming="defer": listens on a free port;
        returns the address."""
        self.qmp("migrate_incoming", uri="tcp:127.0.0.1:0")
        address = self.qmp("query_migrate")["socket-address"][0]
        return f"tcp:{address['host']}:{address['port']}"

    def end(self):
        """Ends it and its memory: another one by the same name starts without any."""
        self.qmp.close()
        super().end()
        for file in (self.memory, self.plugged):
            file.unlink(missing_ok=True)


def _backend(name, path):
    size = guest.MEMORY >> 20
    return f"memory-backend-file,id={name},size={size}M,mem-path={path},share=on"
