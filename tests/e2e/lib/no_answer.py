#!/usr/bin/env python3
"""no_answer.py FOLDER COMMAND…: runs a command where no name server answers, so that looking a name
up takes minutes. The command has namespaces of its own, which end with it: a network in which a
socket receives every query and never answers, and mounts that put FOLDER's files over the files in
/etc that configure name look-ups. FOLDER/hosts covers /etc/hosts if it exists.

Exits 77 with a reason where this machine has no such namespaces."""

import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_SIOCSIFFLAGS, _IFF_UP, _IFF_LOOPBACK = 0x8914, 0x1, 0x8
_SERVER = "127.0.0.53"


def _demand(rc, what):
    if rc != 0:
        print(f"skipped: {what}: {os.strerror(ctypes.get_errno())}", flush=True)
        sys.exit(77)


def _enter():
    user = 0 if os.geteuid() == 0 else _CLONE_NEWUSER
    ids = os.getuid(), os.getgid()
    _demand(_libc.unshare(user | _CLONE_NEWNS | _CLONE_NEWNET), "namespaces of one's own")
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {ids[0]} 1")
        Path("/proc/self/gid_map").write_text(f"0 {ids[1]} 1")
    _demand(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None), "mounts of one's own")


def _up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        flags = struct.pack("16sh14x", b"lo", _IFF_UP | _IFF_LOOPBACK)
        fcntl.ioctl(s, _SIOCSIFFLAGS, flags)


def _cover(folder):
    (folder / "resolv.conf").write_text(f"nameserver {_SERVER}\noptions timeout:30 attempts:5\n")
    (folder / "nsswitch.conf").write_text("hosts: files dns\nservices: files\n")
    for file in folder.iterdir():
        over = Path("/etc") / file.name
        if over.exists():  # without it the library's default is about what we want
            _demand(_libc.mount(str(file).encode(), str(over.resolve()).encode(), None, _MS_BIND,
                                None), f"a mount over {over}")


def main():
    _enter()
    _up()
    _cover(Path(sys.argv[1]))
    # The command inherits the socket: it takes queries while the command runs, unread.
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((_SERVER, 53))
    server.set_inheritable(True)
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
