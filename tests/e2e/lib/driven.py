"""A QEMU that another program drives: with a second monitor, at an address."""

from .qemu import Qemu
from .table import check

MACHINE = "pc-q35-7.2"  # every version here has it


class Vm(Qemu):
    """A QEMU with a second monitor for ramjet, `address`; the first stays the test's."""

    def __init__(self, scene, name, version, port=False, machine=MACHINE, options=(), **shape):
        path = scene.folder / f"{name}.monitor"
        where = "host=127.0.0.1,port=0" if port else f"path={path}"
        super().__init__(scene, name, version, machine=machine, **shape, options=[
            "-chardev", f"socket,id=second,server=on,wait=off,{where}",
            "-mon", "chardev=second,mode=control", *options])
        self.address = self._port() if port else f"unix:{path}"

    def _port(self):
        report = {c["label"]: c["filename"] for c in self.qmp("query_chardev")}["second"]
        return report.removeprefix("disconnected:").partition(",")[0]

    def has(self, **wanted):
        found = self.qmp("query_migrate_parameters")
        for name, value in wanted.items():
            name = name.replace("_", "-")
            check(found[name] == value, f"{self.name}: {name} is {found[name]}, want {value}")

    def on(self):
        return {c["capability"] for c in self.qmp("query_migrate_capabilities") if c["state"]}

    def settings(self):
        """All of them, to be compared."""
        return self.on(), self.qmp("query_migrate_parameters")

    def status(self):
        return self.qmp("query_migrate").get("status")

    def runs_on(self):
        """The guest runs as if no migration had been tried."""
        check(self.qmp("query_status")["running"], f"{self.name}: the guest does not run")
        self.passes(2)
