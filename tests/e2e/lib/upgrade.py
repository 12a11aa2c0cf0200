"""A `ramjet vm` that is replaced while its guest stays: by another program in the same process, or
by another process that takes its memory over."""

import os
from pathlib import Path

from .monitor import Monitor
from .scene import until
from .table import check

_OF_A_GUEST = ("--guest", "--incoming", "--cpr")


def command(vm, state, program=None):
    """The command line of the same VM, whose guest is loaded from the state."""
    words = list(vm.argv)
    for option in _OF_A_GUEST:
        while option in words:
            at = words.index(option)
            del words[at:at + 2]
    return [str(program or words[0]), *words[1:], "--incoming", f"file:{state}"]


def descriptors(vm):
    """The open descriptors by number: what each is, and whether the next program
    would inherit it."""
    found = {}
    for number in os.listdir(f"/proc/{vm.pid}/fd"):
        flags = Path(f"/proc/{vm.pid}/fdinfo/{number}").read_text().split("flags:")[1].split()[0]
        found[int(number)] = (os.readlink(f"/proc/{vm.pid}/fd/{number}"),
                              not int(flags, 8) & os.O_CLOEXEC)
    return found


def kinds(found):
    """The kinds of descriptors: sockets have another number each time."""
    return sorted((what.split(":[")[0], kept) for what, kept in found.values())


def reconnect(vm):
    """Connects to its monitor, which is a new one now."""
    vm.qmp.close()
    vm.qmp = Monitor(vm.address)
    vm.set(events=True)


def replaced(vm, state, program=None):
    """Replaces the program in the process while the guest stays; returns the guest's
    figures after it."""
    moves, monitors = vm.guest()["moves"], vm.monitors()
    vm.parameters(mode="cpr-exec", cpr_exec_command=command(vm, state, program))
    vm.qmp("migrate", uri=f"file:{state}")
    check(vm.read(lambda _: vm.monitors() > monitors),
          f"the next program ended before it listened: {vm.errors}")
    reconnect(vm)
    until(lambda: vm.guest()["moves"] > moves and vm.guest()["last-move-gap-us"] > 0,
          "the guest's going on, on every vCPU", 30)
    guest = vm.guest()
    check(guest["errors"] == 0 and guest["moves"] == moves + 1, f"{guest}")
    return guest
