"""A path between two ends that disturbs their bytes as bad paths do: at an exact byte, on each
connection, in each direction. It shares no code with ramjet.

    def plan(connection):
        if connection.number == 0:  # in the order of arrival
            connection.up.at(4096, connection.cut)
    relay = Relay(scene, receiver_address, plan)
    Ramjet(scene, "send", …, relay.address)

`up` goes from the end that connects to the end that listens, `down` comes back. A position counts
the bytes that were forwarded: `at(4096, action)` acts when the peer has been given exactly 4096
bytes. The relay has an `up` and a `down` of its own, which count all connections together.
Actions run on the relay's thread and must not wait.
"""

import fcntl
import heapq
import itertools
import math
import selectors
import socket
import struct
import termios
import threading
import time
import traceback
from collections import deque

_PIECE = 256 << 10  # bytes read at once
_AHEAD = 16 << 20   # bytes read from one end that the peer has not been given yet
_TICK = 0.002       # seconds between two checks that no event triggers
_TCP_CLOSE = 7      # a state in struct tcp_info: the peer is gone


def _parse(address):
    scheme, _, rest = address.partition(":")
    if scheme == "unix":
        return socket.AF_UNIX, rest
    host, _, port = rest.rpartition(":")
    host = host.strip("[]")
    return (socket.AF_INET6 if ":" in host else socket.AF_INET), (host, int(port))


class Mark:
    """The moment when a position was passed: `time` by the monotonic clock, None before that."""

    def __init__(self, relay):
        self._relay = relay
        self.time = None

    def wait(self):
        """The scene's time limit ends the wait."""
        self._relay.wait(lambda: self.time is not None)
        return self.time


class Flow:
    """Bytes in one direction: how many were forwarded, and actions at positions."""

    def __init__(self, relay):
        self._relay = relay
        self._stops = []  # a heap of (position, order, action)
        self._order = itertools.count()
        self.count = 0

    def at(self, position, action):
        """Calls `action()` once `position` bytes were forwarded; at once if they already were."""
        with self._relay.lock:
            heapq.heappush(self._stops, (position, next(self._order), action))
            self._act()
            self._relay.wake()

    def mark(self, position):
        """A Mark with the time at which so many bytes had been forwarded."""
        mark = Mark(self._relay)

        def passed():
            mark.time = time.monotonic()
        self.at(position, passed)
        return mark

    def _room(self):
        return self._stops[0][0] - self.count if self._stops else math.inf

    def _act(self):
        while self._stops and self._stops[0][0] <= self.count:
            heapq.heappop(self._stops)[2]()

    def _advance(self, n):
        self.count += n
        self._act()


class Direction(Flow):
    """One direction of one connection. `delay` (seconds) and `rate` (bytes per second) may change
    at any time; `eof`: the sending end has closed."""

    def __init__(self, relay, connection, name, total, take, give):
        super().__init__(relay)
        self.connection, self.name = connection, name
        self.delay, self.rate = 0, math.inf
        self._total = total
        self._take, self._give = take, give
        self._queue, self._queued = deque(), 0  # (time when it may be sent, bytes)
        self._taken = 0
        self._flips = {}  # position: bits
        self._patterns, self._tail = [], b""  # patterns to find; the end of what was read
        self._next = 0  # the time at which the rate allows the next byte
        self.eof = False
        self._broken = self._ended = self._full = False
        self._mode = "forwards"

    # --- for tests --------------------------------------------------------------------------------

    def flip(self, position, bit=0):
        """Changes a bit of the byte at `position`, which must not have been read yet."""
        with self._relay.lock:
            if position < self._taken:
                raise ValueError(f"byte {position} of {self.name} has been taken already")
            self._flips[position] = self._flips.get(position, 0) ^ 1 << bit

    def on(self, words, action):
        """Calls `action()` each time the last byte of `words` was forwarded. The pattern is matched
        while reading: call this before the connection begins."""
        with self._relay.lock:
            self._patterns.append((words, action))

    def swallow(self):
        """From here on bytes are dropped, and the end too; the connection stays open."""
        self._set("swallows")

    def stall(self):
        """From here on nothing is forwarded, and soon nothing is read; resume() ends this."""
        self._set("stalls")

    def resume(self):
        self._set("forwards")

    def half_close(self):
        """Closes this direction towards the peer; later bytes are dropped."""
        with self._relay.lock:
            if not self._ended:
                self._end()
            self._set("swallows")

    # --- the relay's own work ---------------------------------------------------------------------

    def _set(self, mode):
        with self._relay.lock:
            self._mode = mode
            if mode == "swallows":
                self._queue.clear()
                self._queued = 0
            self._relay.wake()

    def _end(self):
        self._ended = True
        try:
            self._give.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the peer is gone already

    def _wants(self):
        """Which of reading and sending is wanted, if the sockets allow it."""
        takes = not self.eof and (self._mode == "swallows" or self._queued < _AHEAD
                                   and self._mode == "forwards")
        return takes, self._full

    def _due(self):
        """The time at which there is work without an event."""
        if self._mode != "forwards" or not self._queue or self._full:
            return math.inf
        return max(self._queue[0][0], self._next)

    def _take_some(self):
        try:
            data = self._take.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            self.eof = self._broken = True
            return
        if not data:
            self.eof = True
            return
        start, self._taken = self._taken, self._taken + len(data)
        self._look_for_patterns(data, start)
        if self._mode == "swallows":
            return
        self._queue.append((time.monotonic() + self.delay, memoryview(self._flipped(data, start))))
        self._queued += len(data)

    def _flipped(self, data, start):
        for position in [p for p in self._flips if p < start + len(data)]:
            data = bytearray(data)
            data[position - start] ^= self._flips.pop(position)
        return data

    def _look_for_patterns(self, data, start):
        if not self._patterns:
            return
        longest = max(len(words) for words, _ in self._patterns)
        seen, first = self._tail + data, start - len(self._tail)
        for words, action in self._patterns:
            # Only matches that end in the new bytes.
            found = seen.find(words, max(0, len(self._tail) - len(words) + 1))
            while found >= 0:
                self.at(first + found + len(words), action)
                found = seen.find(words, found + 1)
        self._tail = seen[len(seen) - longest + 1:] if longest > 1 else b""

    def _give_some(self):
        while self._due() <= time.monotonic() and not self.connection.closed:
            piece = self._queue[0][1]
            room = min(len(piece), self._room(), self._total._room(), max(1, self.rate / 50))
            try:
                sent = self._give.send(piece[:int(room)])
            except BlockingIOError:
                self._full = True
                return
            except OSError:
                # The peer has gone. Bytes that it sent before may still be on their way
                # to the other end.
                self._ended = True
                self._set("swallows")
                return
            self._drop(sent)
            self._next = time.monotonic() + sent / self.rate
            self._advance(sent)
            self._total._advance(sent)

    def _drop(self, sent):
        due, piece = self._queue[0]
        self._queued -= sent
        if sent == len(piece):
            self._queue.popleft()
        else:
            self._queue[0] = due, piece[sent:]

    def _run(self):
        self._give_some()
        if self.eof and not self._queue and self._mode == "forwards" and not self._ended:
            if self._broken:
                self.connection.reset()
            else:
                self._end()


class Connection:
    """One connection, number `number` from 0, with both of its directions."""

    def __init__(self, relay, number, near, far):
        self._relay, self.number = relay, number
        self._sockets = {near: 0, far: 0}  # and the events they are registered for
        self.up = Direction(relay, self, "up", relay.up, near, far)
        self.down = Direction(relay, self, "down", relay.down, far, near)
        self.closed = False  # becomes None for both ends soon, if it is not yet
        self._done = False
        self._resets = False

    def cut(self):
        """Closes both ends, like a proxy that is killed."""
        with self._relay.lock:
            self.closed = True
            self._relay.wake()

    def reset(self):
        """Resets both ends (over UNIX sockets: closes them)."""
        self._resets = True
        self.cut()

    def swallow(self):
        """From here on nothing arrives at either end, and no end gets an error."""
        self.up.swallow()
        self.down.swallow()

    def stall(self):
        self.up.stall()
        self.down.stall()

    def resume(self):
        self.up.resume()
        self.down.resume()

    def _handle(self, sock, events):
        for direction in (self.up, self.down):
            if direction._take is sock and events & selectors.EVENT_READ:
                direction._take_some()
            if direction._give is sock and events & selectors.EVENT_WRITE:
                direction._full = False

    def _run(self):
        """Does what can be done now; returns the time when there is more to do without an event."""
        for direction in (self.up, self.down):
            if not self.closed:
                direction._run()
        if self.up._ended and self.down._ended:
            self.closed = True
        if self.closed:
            return self._try_to_close()
        self._watch()
        return min(self.up._due(), self.down._due())

    def _watch(self):
        wanted = dict.fromkeys(self._sockets, 0)
        for direction in (self.up, self.down):
            takes, gives = direction._wants()
            wanted[direction._take] |= selectors.EVENT_READ if takes else 0
            wanted[direction._give] |= selectors.EVENT_WRITE if gives else 0
        for sock, events in wanted.items():
            if events != self._sockets[sock]:
                self._relay._select(sock, self._sockets[sock], events, self)
                self._sockets[sock] = events

    def _try_to_close(self):
        """Closing discards bytes that the kernel has not delivered: wait until
        they are delivered."""
        if any(_undelivered(sock) for sock in self._sockets):
            for sock in self._sockets:
                self._forget(sock)
            return time.monotonic() + _TICK
        self._close()
        return math.inf

    def _forget(self, sock):
        if self._sockets[sock]:
            self._relay._select(sock, self._sockets[sock], 0, self)
            self._sockets[sock] = 0

    def _close(self):
        self.closed = self._done = True
        for sock in self._sockets:
            self._forget(sock)
            if self._resets and sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()


def _undelivered(sock):
    """Whether the kernel has bytes that the peer, if there still is one, has not received."""
    if sock.family == socket.AF_UNIX:
        return False  # its bytes are with the peer at once
    if sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE:
        return False
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0] > 0


class Relay:
    """Listens at `address`, and connects each connection with `target`. `plan(connection)` is
    called for each before its first byte. `connections` are all so far, in order."""

    def __init__(self, scene, target, plan=None, listen="tcp:127.0.0.1:0"):
        self.target, self._plan = target, plan
        self.lock = threading.RLock()  # must be held to look at anything in here
        self._changed = threading.Condition(self.lock)
        self.up, self.down = Flow(self), Flow(self)
        self.connections = []
        self._failure = None
        self._refuses = self._stops = False
        self._selector = selectors.DefaultSelector()
        family, where = _parse(listen)
        self._listener = socket.create_server(where, family=family, backlog=512) \
            if family != socket.AF_UNIX else _listen_unix(where)
        self._listener.setblocking(False)
        self.address = listen if family == socket.AF_UNIX else \
            f"{listen.rpartition(':')[0]}:{self._listener.getsockname()[1]}"
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._ringer.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._main, name="relay", daemon=True)
        self._thread.start()
        scene.at_end.callback(self.close)

    # --- for tests --------------------------------------------------------------------------------

    def cut(self):
        """Closes all connections, and resets each later one."""
        with self.lock:
            self._refuses = True
            for connection in self.connections:
                connection.cut()

    def reset(self):
        """The same, but all by resets."""
        with self.lock:
            self._refuses = True
            for connection in self.connections:
                connection.reset()

    def wait(self, holds):
        """Waits until holds() is true; it is called with the lock held whenever
        bytes have moved."""
        with self.lock:
            self._changed.wait_for(lambda: self._failure or holds())
            if self._failure:
                raise self._failure

    def close(self):
        """Ends the relay and its connections."""
        self._stops = True
        self.wake()
        self._thread.join()

    # --- for its parts ----------------------------------------------------------------------------

    def wake(self):
        try:
            self._ringer.send(b"!")
        except BlockingIOError:
            pass  # it is full, so it will wake the thread anyway
        except OSError:
            pass  # the relay has ended

    def _select(self, sock, before, events, connection):
        if not before:
            self._selector.register(sock, events, connection)
        elif not events:
            self._selector.unregister(sock)
        else:
            self._selector.modify(sock, events, connection)

    def _main(self):
        try:
            due = math.inf
            while not self._stops:
                left = None if due == math.inf else max(0, due - time.monotonic())
                ready = self._selector.select(left)
                with self.lock:
                    for key, events in ready:
                        self._ready(key, events)
                    due = min((c._run() for c in self.connections if not c._done), default=math.inf)
                    self._changed.notify_all()
        except Exception as failure:  # for the thread that waits
            traceback.print_exc()
            self._failure = failure
        finally:
            self._end()

    def _ready(self, key, events):
        if key.fileobj is self._listener:
            self._accept()
        elif key.fileobj is self._bell:
            self._bell.recv(4096)
        elif not key.data.closed:
            key.data._handle(key.fileobj, events)

    def _accept(self):
        try:
            near, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        far = None if self._refuses else self._dial()
        if not far:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            near.close()
            return
        for sock in (near, far):
            sock.setblocking(False)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self, len(self.connections), near, far)
        self.connections.append(connection)
        if self._plan:
            self._plan(connection)

    def _dial(self):
        family, where = _parse(self.target)
        sock = socket.socket(family)
        try:
            sock.connect(where)
        except OSError:
            sock.close()
            return None
        return sock

    def _end(self):
        with self.lock:
            for connection in self.connections:
                if not connection._done:
                    connection._close()
            for sock in (self._listener, self._bell, self._ringer):
                sock.close()
            self._selector.close()
            self._changed.notify_all()


def _listen_unix(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen(512)
    return sock
