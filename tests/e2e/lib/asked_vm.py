"""`ramjet vm`, queried with `ramjet qmp`: a guest that verifies its own memory, or a VM
that waits for one."""

import json

from .ramjet import Ramjet
from .table import check


class Runner(Ramjet):
    """`address` is its monitor. The VM runs already, or listens."""

    def __init__(self, scene, name, *options, memory="32M", **process):
        path = scene.folder / f"{name}.monitor"
        super().__init__(scene, "vm", "--json", "--qmp", f"unix:{path}", "--memory", memory,
                         *options, **process)
        self.address = f"unix:{path}"
        self._scene = scene
        lines = 1 if "--incoming" in options else 2
        check(self.read(lambda out: out.count(b"\n") >= lines),
              f"{name} ended before it was ready: {self.errors}")

    def ask(self, command, *words):
        return Ramjet(self._scene, "qmp", self.address, command, *words).done()

    def runs(self):
        """Waits until the guest has run on; it must have found nothing wrong."""
        check(self.ask("query-status")["running"], f"{self.name}: the guest does not run")
        seen = self.ask("x-query-guest")["heartbeats"]
        while True:  # the scene's time limit ends it
            guest = self.ask("x-query-guest")
            check(guest["errors"] == 0, f"{self.name}: {guest}")
            if guest["heartbeats"] > seen + 20:
                return

    def verdict(self, number):
        """Ends it; its guest must have found everything right. Returns the guest's figures."""
        self.send_signal(number)
        code = self.wait(20)
        check(code == 0, f"{self.name}: exit code {code}: {self.errors.strip()}")
        return json.loads(self.output.decode().splitlines()[-1])
