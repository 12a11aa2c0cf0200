"""Two network namespaces joined by a path with a rate, packet loss, or a cut: scripts/netns."""

import shutil
import subprocess
from pathlib import Path

from .scene import patience
from .table import Skip, check

_SCRIPT = Path(__file__).parents[3] / "scripts" / "netns"
INTERFACE = "veth0"


class Netns:
    """`a` and `b` are names for a Process, `ip_a` and `ip_b` their addresses. They are removed with
    the scene, after the last process in them has ended; also if the test is killed."""

    def __init__(self, scene, *options):
        # The script ends at the end of its input, which this program holds open, and not by Ctrl-C:
        # the processes in the namespaces must end first.
        self._script = subprocess.Popen([_SCRIPT, *map(str, options)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, start_new_session=True)
        self._guards = {}  # an nft in a namespace that waits for commands
        scene.at_end.callback(self._end)
        lines = [self._script.stdout.readline().strip() for _ in range(4)]
        if lines[0].startswith("skipped: "):
            raise Skip(lines[0].removeprefix("skipped: "))
        output = dict(line.split("=") for line in lines)
        self.a, self.b = output["NETNS_A"], output["NETNS_B"]
        self.ip_a, self.ip_b = output["NETNS_IP_A"], output["NETNS_IP_B"]

    def _end(self):
        for nft in self._guards.values():
            nft.communicate(timeout=patience(10))
        self._script.stdin.close()
        check(self._script.wait(patience(10)) in (0, 77), "scripts/netns failed")
        self._script.stdout.close()

    def ready_to_cut(self):
        """After this a cut is quick, even where starting a program is slow."""
        if not shutil.which("nft"):
            raise Skip("there is no nft (package nftables)")
        for name in (self.a, self.b):
            if name not in self._guards:
                self._guards[name] = subprocess.Popen(
                    ["ip", "netns", "exec", name, "nft", "-i"], stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, text=True, start_new_session=True)
                self._guard(name, "add table inet cut; add chain inet cut arriving "
                                  "{ type filter hook input priority 0; }", "accept")

    def cut(self, *ends):
        """From here on nothing arrives, at one end or both, and no error is reported."""
        self.ready_to_cut()
        self._cut = ends or (self.a, self.b)
        for name in self._cut:
            self._guard(name, "add chain inet cut arriving { policy drop; }", "drop")

    def mend(self):
        for name in self._cut:
            self._guard(name, "add chain inet cut arriving { policy accept; }", "accept")

    def _guard(self, name, command, policy):
        """Returns when the rule is active."""
        nft = self._guards[name]
        nft.stdin.write(f"{command}\nlist chain inet cut arriving\n")
        nft.stdin.flush()
        for line in nft.stdout:
            if f"policy {policy};" in line:
                return
        check(False, f"nft has ended: {command}")

    def unplug(self):
        """Takes the interface down: a sender gets an error."""
        self._ip("-n", self.a, "link", "set", INTERFACE, "down")

    def sent(self):
        """Bytes sent by a, and how many TCP segments were sent again."""
        stats = f"/sys/class/net/{INTERFACE}/statistics/tx_bytes"
        output = self._ip("netns", "exec", self.a, "cat", stats, "/proc/net/snmp").splitlines()
        names, values = [line.split() for line in output if line.startswith("Tcp:")]
        return int(output[0]), int(values[names.index("RetransSegs")])

    @staticmethod
    def _ip(*words):
        return subprocess.run(["ip", *words], check=True, capture_output=True, text=True,
                              timeout=patience(20)).stdout
