"""QMP, QEMU's monitor protocol, over a socket that QEMU inherits: no path and no port."""

import json
import socket

from .errors import PerfError


class Qmp:
    """Answers and events have a deadline in seconds: a silent QEMU must not block us."""

    def __init__(self, seconds):
        self._ours, self.theirs = socket.socketpair()
        self._ours.settimeout(seconds)
        self._lines = self._ours.makefile("rb")
        self._events = []

    def start(self):
        """Call it when QEMU has been started."""
        self.theirs.close()
        self._receive()  # the greeting
        self("qmp_capabilities")

    def __call__(self, command, **arguments):
        """Executes a command; an underscore stands for QMP's dash."""
        name = command if command == "qmp_capabilities" else command.replace("_", "-")
        message = {"execute": name}
        if arguments:
            message["arguments"] = {key.replace("_", "-"): v for key, v in arguments.items()}
        self._ours.sendall(json.dumps(message).encode())
        while True:
            answer = self._receive()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise PerfError(f"QEMU refused {name}: {answer['error']['desc']}")
            self._events.append(answer)

    def event(self, name, wanted):
        """Waits for the next event of that name for whose data wanted(data) is true."""
        while True:
            event = self._events.pop(0) if self._events else self._receive()
            if event.get("event") == name and wanted(event.get("data", {})):
                return event.get("data", {})

    def _receive(self):
        try:
            line = self._lines.readline()
        except TimeoutError:
            raise PerfError("QEMU's monitor said nothing in time") from None
        if not line:
            raise PerfError("QEMU closed its monitor")
        return json.loads(line)

    def close(self):
        self._lines.close()
        self._ours.close()
        self.theirs.close()
