"""QMP, QEMU's monitor protocol: commands and events over a socket that QEMU inherits."""

import json
import socket

_UNDERSCORED = ("qmp_capabilities", "migrate_cancel")  # QMP's oldest names


class QmpError(Exception):
    """QEMU refused a command, or closed its monitor."""


class Qmp:
    """One end of a socket pair; QEMU has `theirs`. There is no path and no port, and
    nothing to wait for."""

    def __init__(self):
        ours, self.theirs = socket.socketpair()
        self._socket = ours
        self._lines = ours.makefile("rb")
        self._events = []

    def start(self):
        """Call it when QEMU has been started."""
        self.theirs.close()
        self._receive()  # the greeting
        self("qmp_capabilities")

    def __call__(self, command, **arguments):
        """Executes a command; an underscore stands for QMP's dash."""
        arguments = {key.replace("_", "-"): value for key, value in arguments.items()}
        name = command if command in _UNDERSCORED else command.replace("_", "-")
        message = {"execute": name, **({"arguments": arguments} if arguments else {})}
        self._socket.sendall(json.dumps(message).encode())
        while True:
            answer = self._receive()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise QmpError(f"{command} {arguments}: {answer['error']['desc']}")
            self._events.append(answer)

    def event(self, wanted):
        """Waits for the next event for which wanted(name, data) holds; drops those before it."""
        while True:
            event = self._events.pop(0) if self._events else self._receive()
            if wanted(event["event"], event.get("data", {})):
                return event["event"], event.get("data", {})

    def events_until(self, wanted):
        """Waits for the next event for which wanted(event) holds; returns it and all before it."""
        events = []
        while not events or not wanted(events[-1]):
            events.append(self._events.pop(0) if self._events else self._receive())
        return events

    def events_so_far(self):
        """All events that have come with the answers so far."""
        events, self._events = self._events, []
        return events

    def _receive(self):
        line = self._lines.readline()
        if not line:
            raise QmpError("QEMU closed its monitor")
        return json.loads(line)

    def close(self):
        self._lines.close()
        self._socket.close()
