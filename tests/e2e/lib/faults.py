"""Orders for fail_calls.c: which call of a program fails, and how; and the
counts that it reports."""

import errno
import mmap
import os
import struct

_NAME = 16
_HEAD = struct.Struct(f"<{_NAME}sQQqQ64sQ")  # kind, first, times, result, failed, caller, kinds
_KIND = struct.Struct(f"<{_NAME}sQ")
_ROOM = 64  # kinds

ZERO, SHORT = 0, -1
ALWAYS = (1 << 64) - 1

# The results of a kind of call on a system that lacks something, or is disturbed.
RESULTS = {
    "memory": ["ENOMEM"],
    "open": ["EMFILE", "ENOSPC", "EINTR"],
    "read": ["EIO", "EINTR", "short", "zero"],
    "pread": ["EIO", "EINTR", "short", "zero"],
    "write": ["ENOSPC", "EIO", "EINTR", "short", "zero"],
    "pwrite": ["ENOSPC", "EIO", "EINTR", "short", "zero"],
    "ftruncate": ["ENOSPC", "EINTR"],
    "fallocate": ["ENOSPC", "EOPNOTSUPP", "EINTR"],
    "rename": ["ENOSPC", "EIO"],
    "fsync": ["EIO", "ENOSPC", "EINTR"],
    "unlink": ["EIO"],
    "stat": ["EIO", "ENOMEM"],
    "lseek": ["EINVAL", "EIO"],
    "fcntl": ["ENOLCK", "EINVAL"],
    "flock": ["EWOULDBLOCK", "ENOLCK", "EINTR"],
    "mmap": ["ENOMEM"],
    "madvise": ["EINVAL", "ENOMEM"],
    "mincore": ["EAGAIN"],
    "ioctl": ["EINTR", "ENOMEM", "ENOTTY"],
    "socket": ["EMFILE", "ENOBUFS"],
    "setsockopt": ["ENOPROTOOPT", "ENOMEM"],
    "getsockopt": ["ENOBUFS"],
    "bind": ["EADDRINUSE"],
    "listen": ["EADDRINUSE"],
    "accept": ["EMFILE", "ECONNABORTED", "EINTR", "ENOMEM"],
    "connect": ["ECONNREFUSED", "ETIMEDOUT", "EINTR"],
    "getaddrinfo": ["ENOMEM"],
    "send": ["ECONNRESET", "EPIPE", "EINTR", "ENOMEM", "short"],
    "recv": ["ECONNRESET", "EINTR", "ENOMEM", "short", "zero"],
    "sendfile": ["EINVAL", "EIO", "EINTR", "short", "zero"],
    "poll": ["EINTR", "ENOMEM"],
    "thread": ["EAGAIN"],
    "event": ["EMFILE"],
    "pipe": ["EMFILE"],
    "sigwait": ["EINTR"],
    "syscall": ["ENOSYS", "ENOMEM"],
}


def number(result):
    return {"zero": ZERO, "short": SHORT}.get(result) if result in ("zero", "short") \
        else getattr(errno, result)


class Orders:
    """The orders for one program. `environment` makes the program obey them."""

    def __init__(self, path):
        size = _HEAD.size + _ROOM * _KIND.size
        with open(path, "w+b") as file:
            file.truncate(size)
            self._map = mmap.mmap(file.fileno(), size)
        self.environment = {**os.environ, "LD_PRELOAD": os.environ["FAIL_CALLS_LIBRARY"],
                            "FAIL_CALLS": str(path)}

    def fail(self, kind, first, result, times=1):
        """From the program's call `first` on, counted from 1, `times` calls fail."""
        struct.pack_into("<QQq", self._map, _NAME, first, times, number(result))
        self._map[:_NAME] = kind.encode().ljust(_NAME, b"\0")

    def heal(self):
        """No call fails any more."""
        self._map[:_NAME] = bytes(_NAME)

    def _head(self):
        return _HEAD.unpack_from(self._map)

    @property
    def kind(self):
        """Whose calls fail, or ""."""
        return self._map[:_NAME].split(b"\0")[0].decode()

    @property
    def failed(self):
        """How many calls have failed."""
        return self._head()[4]

    @property
    def caller(self):
        """The caller of the first one: an object and an offset in it, for addr2line."""
        return self._head()[5].split(b"\0")[0].decode()

    def succeeded(self, kind):
        """How many calls of a kind the orders did not make fail."""
        return self.calls().get(kind, 0) - (self.failed if self.kind == kind else 0)

    def calls(self):
        """How many calls there were of each kind."""
        found = {}
        for i in range(self._head()[6]):
            name, calls = _KIND.unpack_from(self._map, _HEAD.size + i * _KIND.size)
            found[name.split(b"\0")[0].decode()] = calls
        return found
