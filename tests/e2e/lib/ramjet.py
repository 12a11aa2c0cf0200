"""The program under test."""

import json
import os
import signal
from pathlib import Path

from .scene import Process, until
from .table import Skip, check

NOT_LET_IN = ": not let in: "  # in a line about a connection that is not the source's
STILL = ": still "  # in a line about what takes longer than two seconds
NOT_SHRINKING = "the rounds do not shrink"
HARMLESS = (NOT_LET_IN, STILL, NOT_SHRINKING)  # lines that may stand beside an error
UNUSED = ("; certificates that it has signed are refused", "; it revokes nothing")  # ends of lines


def binary():
    """$RAMJET, or the release build."""
    built = Path(__file__).parents[3] / "build" / "release" / "tools" / "ramjet"
    return os.environ.get("RAMJET") or built


def address_in(line, event="listening"):
    """The address in an early line of recv or vm, a text or an event; None: it is another line."""
    if line.startswith("{"):
        members = json.loads(line)
        return members["address"] if members.get("event") == event else None
    word, _, address = line.partition(" ")
    return address if word == event else None


class Ramjet(Process):
    """One run of ramjet: Ramjet(scene, "send", "--json", …)."""

    def __init__(self, scene, *arguments, prefix=(), program=None, **process):
        name = f"ramjet-{arguments[0]}" if arguments else "ramjet"
        super().__init__(scene, name, [*prefix, program or binary(), *arguments], **process)

    def listening(self):
        """Waits for recv's first line; returns the address in it."""
        check(self.read(lambda out: b"\n" in out), f"{self.name} ended before it listened")
        line = self.output.split(b"\n", 1)[0].decode()
        address = address_in(line)
        check(address is not None, f"{self.name}: first line is {line!r}")
        return address

    def done(self, seconds=None):
        """Waits for a success; returns the JSON object, if there is one."""
        code = self.wait(seconds)
        check(code == 0, f"{self.name}: exit code {code}: {self.errors.strip()}")
        return self.result()

    def result(self):
        """The JSON object at the end of its output, if there is one."""
        lines = self.output.decode().strip().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        results = [members for members in found if "event" not in members]
        return results[-1] if results else None

    def failed(self, *words, seconds=5, code=1):
        """Waits for a failure, with patience(seconds): the code, and one line that
        contains all `words`."""
        found = self.wait(seconds)
        heard = "\n".join(line for line in self.errors.strip().splitlines()
                          if not any(words in line for words in HARMLESS)
                          and not line.endswith(UNUSED))
        check(found == code, f"{self.name}: exit code {found}, want {code}: {heard}")
        check(len(heard.splitlines()) == 1, f"{self.name}: want one line of error: {heard!r}")
        for word in words:
            check(word in heard.lower(), f"{self.name}: want {word!r} in: {heard}")

    def turns_away(self, *words):
        """Waits until it has refused a connection, for a reason that contains all `words`. It still
        waits for its source after that, and is then ended."""
        until(lambda: any(NOT_LET_IN in line and all(word in line.lower() for word in words)
                          for line in self.errors.splitlines()),
              f"{self.name} to turn somebody away with {words}", seconds=40)
        self.send_signal(signal.SIGTERM)
        self.failed("cancelled", code=3)


def recv(scene, target, *options, listen="tcp:127.0.0.1:0", **process):
    """A receiver that listens already; returns it and its address."""
    receiver = Ramjet(scene, "recv", *options, listen, target, **process)
    return receiver, receiver.listening()


def demand_engine(scene, engine):
    """Skips where the kernel, or a policy, does not allow what an engine needs."""
    if engine == "uring":
        answers = Ramjet(scene, "probe", "--json").done()
        if not answers["io-uring"]:
            raise Skip(f"no io_uring here: {answers['reasons']['io-uring']}")
