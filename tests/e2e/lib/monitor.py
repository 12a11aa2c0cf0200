"""A generic QMP client: lines over a unix or tcp socket, as QEMU documents them. It knows
nothing of ramjet, and shares nothing with the client in qmp.py, so that one server is
checked by two clients."""

import json
import socket

_CLASSES = {"GenericError", "CommandNotFound", "DeviceNotActive", "DeviceNotFound",
            "KVMMissingCap"}


class Refused(Exception):
    """The answer was an error."""

    def __init__(self, command, error):
        super().__init__(f"{command}: {error['class']}: {error['desc']}")
        self.kind, self.desc = error["class"], error["desc"]


class Closed(Exception):
    """The peer has closed the connection."""


def connect(address):
    """A connection to unix:PATH or tcp:HOST:PORT."""
    scheme, _, rest = address.partition(":")
    if scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(rest)
        return connection
    host, _, port = rest.rpartition(":")
    return socket.create_connection((host, int(port)))


class Monitor:
    """One connection. `events` are all (name, data) received so far, in order. With `seconds`, an
    answer that takes longer is an error."""

    def __init__(self, address, negotiate=True, seconds=None):
        self._socket = connect(address)
        self._socket.settimeout(seconds)
        self._lines = self._socket.makefile("rb")
        self._id = 0
        self._seen = 0  # so many events are done: awaited, or dropped
        self.events = []
        self.greeting = self.receive()
        if negotiate:
            self("qmp_capabilities")

    def send(self, data):
        self._socket.sendall(data)

    def receive(self):
        """The next line."""
        try:
            line = self._lines.readline()
        except ConnectionResetError as reset:
            raise Closed("reset") from reset
        if not line.endswith(b"\r\n"):
            raise Closed(f"closed after {line!r}")
        return json.loads(line)

    def __call__(self, command, **arguments):
        """Executes a command: underscores in an argument's name stand for QMP's dashes."""
        self._id += 1
        message = {"execute": command, "id": self._id}
        if arguments:
            message["arguments"] = {k.replace("_", "-"): v for k, v in arguments.items()}
        self.send(json.dumps(message).encode())
        while True:
            answer = self.receive()
            if "event" in answer:
                self._keep(answer)
                continue
            if answer.get("id") != self._id or {"return", "error"} <= answer.keys():
                raise AssertionError(f"{message} is answered by {answer}")
            if "error" in answer:
                if answer["error"]["class"] not in _CLASSES:
                    raise AssertionError(f"no such class of errors: {answer}")
                raise Refused(command, answer["error"])
            return answer["return"]

    def _keep(self, message):
        stamp = message["timestamp"]
        if not (isinstance(stamp["seconds"], int) and 0 <= stamp["microseconds"] < 1000000):
            raise AssertionError(f"bad timestamp in {message}")
        self.events.append((message["event"], message.get("data", {})))

    def event(self, name, **data):
        """Waits for the next event with that name and data; drops those before it."""
        while True:
            while self._seen < len(self.events):
                found = self.events[self._seen]
                self._seen += 1
                if found[0] == name and data.items() <= found[1].items():
                    return found[1]
            message = self.receive()
            if "event" not in message:
                raise AssertionError(f"waited for {name}, got {message}")
            self._keep(message)

    def status(self, *wanted):
        """Waits for a MIGRATION event with one of these statuses; returns it. Others may come
        first, but not the end."""
        while True:
            found = self.event("MIGRATION")["status"]
            if found in wanted:
                return found
            if found in ("completed", "failed", "cancelled"):
                why = self("query-migrate").get("error-desc")
                raise AssertionError(f"waited for {wanted}, the end is {found}: {why}")

    def forget(self):
        """Drops all events so far."""
        self("query-name")  # events that are on their way come before its answer
        self._seen = len(self.events)
        self.events = []
        self._seen = 0

    def close(self):
        self._lines.close()
        self._socket.close()
