"""Prometheus's text format 0.0.4, read strictly: whatever a scrape would refuse, or a linter blame,
is an error here. And the little of HTTP that gets it."""

import re
import socket
from collections import namedtuple

from .table import check

_HELP = re.compile(r"# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (\S.*)")
_TYPE = re.compile(r"# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge)")
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\d+(?:\.\d+)?)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')

Answer = namedtuple("Answer", "status headers body")


class Page:
    """types: {name: type}; [name, labels…]: a sample's value."""

    def __init__(self, text):
        check(text.endswith("\n"), "the text must end in a line feed")
        self.types, self._samples = {}, {}
        helped = None
        for line in text.split("\n")[:-1]:
            if line.startswith("# HELP"):
                found = _HELP.fullmatch(line)
                check(found and found[1] not in self.types, f"bad or second HELP: {line!r}")
                helped = found[1]
            elif line.startswith("#"):
                found = _TYPE.fullmatch(line)
                check(found and found[1] == helped, f"TYPE without its HELP: {line!r}")
                name, kind = found[1], found[2]
                check(name.endswith("_total") == (kind == "counter"), f"{name} is a {kind}")
                self.types[name] = kind
            else:
                self._sample(line, helped)

    def _sample(self, line, name):
        found = _SAMPLE.fullmatch(line)
        check(found and found[1] == name, f"not a sample of {name}: {line!r}")
        labels = _LABEL.findall(found[2] or "")
        written = ",".join(f'{key}="{value}"' for key, value in labels)
        check(written == (found[2] or ""), f"labels: {line!r}")
        key = (name, frozenset(labels))
        check(key not in self._samples, f"twice: {line!r}")
        self._samples[key] = float(found[3])

    def value(self, name, **labels):
        """None: there is no such sample."""
        return self._samples.get((name, frozenset(labels.items())))

    def status(self):
        """The one status that is 1."""
        found = [dict(labels)["status"] for (name, labels), value in self._samples.items()
                 if name == "ramjet_migration_status" and value]
        check(len(found) == 1, f"one status, found {found}")
        return found[0]

    def ended(self):
        """How many migrations were completed, have failed, were cancelled."""
        return tuple(int(self.value("ramjet_migrations_total", result=result))
                     for result in ("completed", "failed", "cancelled"))

    def labels(self, name, label):
        return sorted(dict(labels)[label] for other, labels in self._samples if other == name)


def connect(address):
    scheme, rest = address.split(":", 1)
    if scheme == "unix":
        s = socket.socket(socket.AF_UNIX)
        s.connect(rest)
        return s
    host, port = rest.rsplit(":", 1)
    return socket.create_connection((host.strip("[]"), int(port)))


def ask(address, request=b"GET /metrics HTTP/1.1\r\nHost: ramjet\r\n\r\n"):
    """Sends the bytes, and reads to the end of the connection."""
    with connect(address) as s:
        s.sendall(request)
        data = b""
        while more := s.recv(1 << 16):
            data += more
    head, _, body = data.decode().partition("\r\n\r\n")
    status, *headers = head.split("\r\n")
    return Answer(status, dict(line.split(": ", 1) for line in headers), body)


def scrape(address):
    answer = ask(address)
    check(answer.status == "HTTP/1.0 200 OK", answer.status)
    check(answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"), answer.headers)
    check(int(answer.headers["Content-Length"]) == len(answer.body), "Content-Length")
    return Page(answer.body)
