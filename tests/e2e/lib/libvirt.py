"""A real libvirt, without systemd and without root's rights: libvirtd as a session of its own, in a
folder of the case. As root it runs as nobody, so that it is not the system's."""

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

from .scene import Process, until
from .table import Skip, check

EMULATOR = "/usr/bin/qemu-system-x86_64"
DAEMON = "/usr/sbin/libvirtd"
XML = """<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>16</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <cpu mode='custom' match='exact'><model>qemu64</model></cpu>
  <devices>
    <emulator>{emulator}</emulator>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <audio id='1' type='none'/>
  </devices>
</domain>
"""


class Libvirt:
    """`folder` is where files lie that libvirt reads or writes. A program that shall reach it has
    the words `user` in front and this `environment`."""

    def __init__(self, scene):
        for program in DAEMON, EMULATOR, "/usr/bin/virsh":
            if not os.access(program, os.X_OK):
                raise Skip(f"no {program}")
        self._scene = scene
        # A socket's path is short, and every user may reach the folder.
        self.folder = Path(tempfile.mkdtemp(prefix="rj-libvirt-", dir="/tmp"))
        scene.at_end.callback(shutil.rmtree, self.folder, ignore_errors=True)
        # A guest's output goes to a file: otherwise a virtlogd is started, and stays.
        conf = self.folder / ".config" / "libvirt"
        conf.mkdir(parents=True)
        (conf / "qemu.conf").write_text('stdio_handler = "file"\n')
        scene.at_end.callback(self._end_guests)
        self.user = []
        if os.geteuid() == 0:
            if not shutil.which("setpriv"):
                raise Skip("no setpriv, which ends root's rights")
            for folder in self.folder, conf.parent, conf:
                shutil.chown(folder, "nobody", "nogroup")
            self.user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        self.environment = dict(os.environ, HOME=str(self.folder),
                                 XDG_RUNTIME_DIR=str(self.folder))
        for name in "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME":
            self.environment.pop(name, None)
        self.daemon = self._process("libvirtd", DAEMON)
        socket = self.folder / "libvirt" / "libvirt-sock"
        until(socket.exists, "libvirtd's socket")

    def _process(self, name, *words):
        return Process(self._scene, name, [*self.user, *words], env=self.environment,
                       cwd=self.folder)

    def virsh(self, *words, code=0):
        """Runs a command to its end; its output."""
        run = self._process("virsh", "virsh", "-q", "-c", "qemu:///session", *words)
        found = run.wait(60)
        check(found == code, f"virsh {words}: exit code {found}: {run.errors.strip()}")
        return run.output.decode()

    def start(self, name):
        """Defines and starts a domain of 16 MiB, by TCG, with no disk; it ends with the case."""
        path = self.folder / f"{name}.xml"
        path.write_text(XML.format(name=name, emulator=EMULATOR))
        path.chmod(0o644)
        self.virsh("define", path)
        self.virsh("start", name)

    def _end_guests(self):
        """libvirtd's guests outlive it, and libvirtd has ended by now."""
        for path in (self.folder / "libvirt" / "qemu" / "run").glob("*.pid"):
            number = int(path.read_text())
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if str(self.folder).encode() in Path(f"/proc/{number}/cmdline").read_bytes():
                    os.kill(number, signal.SIGKILL)

    def state(self, name):
        return self.virsh("domstate", name).strip()

    def give(self, path):
        """Lets libvirt read a file that the test has made."""
        if self.user:
            shutil.chown(path, "nobody", "nogroup")
