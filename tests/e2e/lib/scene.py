"""The environment of one case: a folder and the processes started in it. Both end with the case."""

import contextlib
import ctypes
import os
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_ENDS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}

SLOWNESS = int(os.environ.get("TEST_SLOWNESS", 1))  # under a sanitizer
BUSY = 6 * max(5, SLOWNESS)  # how many times slower than an idle machine a working one may be


def patience(seconds):
    """How long a test waits at most for something that takes `seconds` on an idle machine. Waits
    end by their event; this limit only ends waits whose event never comes."""
    return seconds * BUSY


def _die_with_parent():
    # ctest kills a test that takes too long; no process that it started may live on.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _preparation(closed, ignored, file_limit):
    """What a child does before it executes its program."""
    def prepare():
        _die_with_parent()
        for number in _ENDS:  # the test itself may run under nohup, or in the background of a shell
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
        for fd in closed:
            os.close(fd)
    return prepare


def memory_folder():
    """The folder for guest memory and snapshots: in memory where there is room, else TMPDIR."""
    shm = "/dev/shm"
    roomy = os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > 4 << 30
    return shm if roomy else None


def until(holds, what, seconds=20):
    """Polls for something that has no event, with patience(seconds)."""
    end = time.monotonic() + patience(seconds)
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {patience(seconds)} s for {what}")
        time.sleep(0.01)


class Process:
    """A child process. Its output is kept as it is read, its errors are in a file.

    Input is empty. With `netns` it runs in that network namespace; with `terminal`, output and
    errors both go to a terminal and are read as output; with `shown`, errors go where the test's
    own go; with `output`, output goes into that file. It starts with the standard descriptors
    `closed` closed and the signals `ignored` ignored, and may write no file longer than
    `file_limit`.
    """

    def __init__(self, scene, name, argv, netns=None, terminal=False, shown=False, output=None,
                 closed=(), ignored=(), file_limit=None, **popen):
        self.name = name
        self.argv = [str(a) for a in argv]
        if netns:
            self.argv = ["ip", "netns", "exec", netns, *self.argv]
        self.output = b""  # all output so far
        self._errors = scene.folder / f"{len(scene.processes)}-{name}.stderr"
        self._out, theirs = os.openpty() if terminal else os.pipe()
        if output:
            os.close(theirs)
            theirs = os.open(output, os.O_WRONLY | os.O_CREAT)
        with self._errors.open("wb") as errors:
            self._child = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=theirs,
                stderr=theirs if terminal else None if shown else errors,
                preexec_fn=_preparation(closed, ignored, file_limit), **popen)
        os.close(theirs)
        self.pid = self._child.pid
        scene.processes.append(self)

    def loses(self, pages):
        """Whether a known fault of this program explains that just these pages of
        its guest are lost."""
        del pages
        return False

    def _read_some(self, seconds=None):
        """Waits for output and reads it; False at its end."""
        if not select.select([self._out], [], [], seconds)[0]:
            raise TimeoutError(f"{self.name} still runs after {seconds:.0f} s more")
        try:
            more = os.read(self._out, 1 << 16)
        except OSError:  # EIO: a terminal's way to say that the program has closed its end
            more = b""
        self.output += more
        return bool(more)

    def read(self, enough):
        """Reads output until enough(output); False if it ended first."""
        while not enough(self.output):
            if not self._read_some():
                return False
        return True

    def leave(self):
        """Stops reading its output."""
        os.close(self._out)
        self._out = os.open(os.devnull, os.O_RDONLY)

    def wait(self, seconds=None):
        """Reads the rest of the output and waits for the end, with patience(seconds);
        returns the exit code."""
        if seconds is None:
            while self._read_some():
                pass
            return self._child.wait()
        end = time.monotonic() + patience(seconds)
        while self._read_some(max(0, end - time.monotonic())):
            pass
        return self._child.wait(max(1, end - time.monotonic()))

    @property
    def errors(self):
        return self._errors.read_text(errors="replace")

    def send_signal(self, number):
        self._child.send_signal(number)

    def end(self):
        """Ends it, whatever it is doing; may be called again."""
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        if self._out is not None:
            os.close(self._out)
        self._out = None

    def story(self):
        """What a person needs to understand a failure."""
        code = self._child.poll()
        state = "still running" if code is None else f"exit code {code}"
        text = self.output[-2000:].decode(errors="replace")
        return f"--- {self.name}: {' '.join(self.argv)}\n{state}\n{text}\n{self.errors[-2000:]}\n"


class Timeout(Exception):
    """The scene's time is over; the traceback shows the wait."""


def _expire(_signal, _frame):
    raise Timeout("out of time")


def _terminate(_signal, _frame):
    raise SystemExit("terminated")  # so that the folder is removed, too


class Scene:
    """A folder, the processes started in it, and patience(seconds) for all of it.

    One alarm limits every wait: for a line, a socket or a process.
    """

    def __init__(self, seconds):
        self._seconds = patience(seconds)
        self.folder = Path(tempfile.mkdtemp(prefix="ramjet-e2e.", dir=memory_folder()))
        self.folder.chmod(0o755)  # one case starts ramjet as another user, who must reach it
        self.processes = []
        self.at_end = contextlib.ExitStack()  # for everything else that must be undone

    def __enter__(self):
        signal.signal(signal.SIGALRM, _expire)
        signal.signal(signal.SIGTERM, _terminate)
        signal.signal(signal.SIGHUP, _terminate)
        signal.alarm(int(self._seconds))
        return self

    def __exit__(self, *_):
        signal.alarm(0)
        # A second signal must not interrupt the clean-up either.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
        try:
            self.end_processes()
            self.at_end.close()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)

    def end_processes(self):
        while self.processes:
            self.processes.pop().end()

    def story(self):
        return "\n".join(process.story() for process in self.processes)
