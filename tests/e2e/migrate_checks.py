#!/usr/bin/env python3
"""`ramjet migrate` refuses what cannot go well before the destination listens, which a QEMU can do
only once: what was refused is mended, and the same destination takes the guest."""

import sys

from lib import certs, table
from lib.driven import MACHINE, Vm
from lib.scripted import Scripted
from lib.table import check
from migrate import Case, arrived, migrate, result

PAIRS = [("7.2", "7.2"), ("10.0", "10.0"), ("7.2", "10.0"), ("10.0", "11.1")]


def untouched(source, target):
    """No migration has begun, and the destination still waits for its first order."""
    check(source.status() is None, f"a migration has begun: {source.status()}")
    check("socket-address" not in target.qmp("query_migrate"), "the destination listens")
    source.runs_on()


def moves(scene, source, target, *words):
    """The destination that was refused before takes the guest."""
    result(migrate(scene, source, target, "--json", *words))
    arrived(source, target)


def unlike(*text, words=(), here="10.0", there="10.0", machine=MACHINE, target_machine=None,
           at_source=(), at_target=()):
    """Two QEMUs that are not made alike."""
    def run(scene):
        source = Vm(scene, "source", here, machine=machine, options=at_source)
        target = Vm(scene, "target", there, machine=target_machine or machine, incoming="defer",
                    paused=True, options=at_target)
        source.passes(2)
        migrate(scene, source, target, *words).failed(*text, seconds=20, code=2)
        untouched(source, target)
    return run


# --- credentials ---------------------------------------------------------------------------------

def objects(scene, kind="X.509"):
    """QEMU's options for a source and for a destination whose credentials are called tls0."""
    there, here = certs.pair(scene.folder, kind)
    return here.qemu("client"), there.qemu("server")


def credentials(here, there):
    """Names that no object has, at either end; then the right ones."""
    def run(scene):
        at_source, at_target = objects(scene)
        source = Vm(scene, "source", here, options=at_source)
        target = Vm(scene, "target", there, incoming="defer", paused=True, options=at_target)
        source.passes(1)
        for words, text in (
                (("--tls-creds-from", "tls0", "--tls-creds-to", "tls1"),
                 ("to has no tls credentials 'tls1'; it has tls0; ", "endpoint=server")),
                (("--tls-creds-from", "tls1", "--tls-creds-to", "tls0"),
                 ("from has no tls credentials 'tls1'; it has tls0; ", "endpoint=client")),
                (("--tls-creds-from", "m", "--tls-creds-to", "tls0"),
                 ("from: 'm' is no tls credentials, but a ", "; it has tls0")),
                (("--tls-creds-from", "tls0"), ("one of from and to only",)),
                (("--tls-creds", "tls0", "--tls-authz", "only-them"),
                 ("to has no object 'only-them' for tls-authz",))):
            migrate(scene, source, target, *words).failed(*text, code=2)
            untouched(source, target)
        moves(scene, source, target, "--tls-creds", "tls0", "--tls-hostname", certs.HOST)
    return run


def wrong_end(endpoint, *text):
    """The object is there, but for the other role."""
    def run(scene):
        there, here = certs.pair(scene.folder, "X.509")
        options = (here if endpoint == "client" else there).qemu(endpoint)
        unlike(*text, words=["--tls-creds", "tls0"], at_source=options, at_target=options)(scene)
    return run


def other_kind(scene):
    at_source, _ = objects(scene, "PSK")
    keys = scene.folder / "more"
    keys.mkdir()
    there, _ = certs.pair(keys, "X.509")
    unlike("of from are of kind psk, those of to of kind x509", words=["--tls-creds", "tls0"],
           at_source=at_source, at_target=there.qemu("server"))(scene)


def no_client_certificate(scene):
    authority = certs.Authority(scene.folder)
    unlike("to demands a certificate", "from's tls credentials have none: ", "client-cert.pem",
           words=["--tls-creds", "tls0"], at_source=authority.trust("client").qemu("client"),
           at_target=authority.server("server").qemu("server"))(scene)


# --- machines ------------------------------------------------------------------------------------

UUID = "00000000-0000-0000-0000-000000000007"
SHARED = ("-object", "memory-backend-ram,id=shared,size=1M,share=on")
BRIDGE = ("-device", "pcie-root-port,id=bridge,chassis=1,addr=6")


def disks(scene):
    """A disk does not move: a note says so, and the migration goes on."""
    disk = scene.folder / "disk"
    disk.write_bytes(bytes(1 << 20))
    options = ["-drive", f"if=none,id=disk0,format=raw,file={disk}",
               "-device", "virtio-blk-pci,drive=disk0"]
    source = Vm(scene, "source", "10.0", options=options)
    target = Vm(scene, "target", "10.0", incoming="defer", paused=True, options=options)
    source.passes(1)
    run = migrate(scene, source, target, "--json")
    result(run)
    check("ramjet migrate: note: the guest has 1 disk (disk0), which is not moved" in run.errors,
          run.errors)
    arrived(source, target)


def mended(scene):
    """What was missing is plugged in, and the same destination takes the guest."""
    rng = ["-device", "virtio-rng-pci,id=rng0,addr=5"]
    source = Vm(scene, "source", "10.0", options=rng)
    target = Vm(scene, "target", "10.0", incoming="defer", paused=True)
    source.passes(2)
    migrate(scene, source, target).failed(
        "from has the pci virtio-rng-pci 'rng0' in slot 5, function 0, and to has none there",
        code=2)
    untouched(source, target)
    target.end()
    target = Vm(scene, "mended", "10.0", incoming="defer", paused=True, options=rng)
    moves(scene, source, target)


# --- what a destination says ---------------------------------------------------------------------

def failed_there(here, there, *text):
    """A device without an address that could be compared: only the stream tells. The destination's
    reason comes first, or where to look for it."""
    def run(scene):
        source = Vm(scene, "source", here, options=["-device", "isa-serial"])
        target = Vm(scene, "target", there, incoming="defer", paused=True)
        source.passes(2)
        migrate(scene, source, target).failed("the guest is running at from", *text, seconds=20)
        source.runs_on()
    return run


STAYS = ("ramjet migrate: to: migration failed: load of migration failed: invalid argument "
         "(what it could not load is in its log)", "; to is inmigrate")
TELLS = ("ramjet migrate: to: migration failed: ", "'serial'", "; from: ", "; to is inmigrate")
GOES = ("ramjet migrate: from: migration failed: ", "; to has gone: this qemu (qemu 7.2.",
        "says why in its log")

# --- monitors that say anything ------------------------------------------------------------------

# What the checks ask; each may be answered with anything.
ASKED = ("query-status", "query-migrate", "query-yank", "query-machines", "qom-get", "qom-list",
         "query-memory-size-summary", "query-memdev", "query-cpus-fast", "query-kvm", "query-pci",
         "query-uuid", "query-block", "query-version")
NONSENSE = (None, [], {}, 7, -1, True, "\x1b[31m", [None], [[]], [{}], [{"id": 1, "name": []}],
            {"status": {}}, {"enabled": "yes"}, {"qemu": []}, {"blocked-reasons": [7]},
            [{"devices": 7}], [{"devices": [{"pci_bridge": [], "id": 7}]}],
            [{"inserted": {"ro": "no"}, "device": 7}])
DEEP = {}
for _ in range(40):
    DEEP = {"slot": 1, "pci_bridge": {"devices": [DEEP]}}


def said(value):
    """A function, so that a text is an answer and not a refusal."""
    return lambda _arguments: value


def scripted(scene, name, state, **more):
    answers = {"query_status": [{"status": state}], "query_migrate": [{}],
               "migrate_set_capabilities": [{}], "migrate_set_parameters": [{}]}
    return Scripted(scene, name, **answers | more)


def nonsense(scene):
    """Each question is answered with each kind of nonsense, the ends taking turns: the program ends
    with a line, and does not wait."""
    for i, question in enumerate(ASKED):
        for k, value in enumerate((*NONSENSE, [{"devices": [DEEP]}])):
            strange = {question.replace("-", "_"): [said(value)]}
            ends = [scripted(scene, f"{name}-{i}-{k}", state, **(strange if turn else {}))
                    for name, state, turn in (("from", "running", (i + k) % 2),
                                              ("to", "inmigrate", (i + k + 1) % 2))]
            run = migrate(scene, *ends, "--connect-timeout", "5s", "--stall-timeout", "5s")
            code = run.wait(20)
            check(code in (1, 2), f"{question} is {value!r}: exit code {code}: {run.errors}")
            check("ramjet migrate: " in run.errors and "\x1b" not in run.errors,
                  f"{question} is {value!r}: {run.errors!r}")


def asked(text, *, code=2, **answers):
    """Two monitors that tell what no QEMU here can; `answers`: (FROM's, TO's)."""
    def run(scene):
        ends = [scripted(scene, name, state, **{k: [v[i]] for k, v in answers.items()})
                for i, (name, state) in enumerate((("from", "running"), ("to", "inmigrate")))]
        migrate(scene, *ends, "--channels", 0).failed(text, code=code)
        check(ends[1].heard.count("migrate-incoming") == (code == 1), f"{ends[1].heard}")
    return run


def at_place(slot, **more):
    return {"slot": slot, "function": 0, "id": {"vendor": 6900, "device": 4161}, **more}


def failover(arguments):
    return {"failover_pair_id": "net0"}.get(arguments["property"], "vfio-pci")


def bus(*devices):
    return [{"bus": 0, "devices": list(devices)}]


def property_of(**values):
    return lambda arguments: values.get(arguments["property"].replace("-", "_"), {})


CHECKS = {
    **{f"credentials, {here} to {there}": credentials(here, there) for here, there in PAIRS},
    "a client's credentials at the destination": wrong_end(
        "client", "to: the tls credentials 'tls0' have endpoint=client; to listens and needs "
        "credentials with endpoint=server"),
    "a server's credentials at the source": wrong_end(
        "server", "from: the tls credentials 'tls0' have endpoint=server; from connects and needs"),
    "credentials of another kind": other_kind,
    "no certificate at the source": no_client_certificate,
    "a newer machine into an older QEMU": unlike(
        "from is a pc-q35-10.0, to a pc-q35-7.2, and to (qemu 7.2.", "knows no pc-q35-10.0",
        there="7.2", machine="pc-q35-10.0", target_machine=MACHINE),
    "fewer vCPUs": unlike("from has 2 vcpus, to 1", at_source=["-smp", "2"]),
    "more vCPUs, 7.2": unlike("from has 1 vcpu, to 2", at_target=["-smp", "2"], here="7.2",
                              there="7.2"),
    "memory by another name": unlike(
        "the main memory is 'm' at from and 'other' at to", "memory-backend=m",
        at_target=["-object", "memory-backend-ram,id=other,size=128M",
                   "-machine", "memory-backend=other"]),
    "another UUID": unlike(f"from's uuid is {UUID}, to's is 0", "with multifd", f"-uuid {UUID}",
                           at_source=["-uuid", UUID]),
    "a backend of another size": unlike(
        "the memory backend 'shared' has 1 mib at from and 2 mib at to", at_source=SHARED,
        at_target=["-object", "memory-backend-ram,id=shared,size=2M,share=on"]),
    "a device behind a bridge": unlike(
        "from has the pci virtio-rng-pci 'rng0' in slot 0, function 0",
        at_source=[*BRIDGE, "-device", "virtio-rng-pci,id=rng0,bus=bridge"],
        at_target=BRIDGE),
    **{f"a device that cannot move, {version}": unlike(
        "from cannot be migrated at present: migration is disabled when using feature 'peer mode'",
        at_source=[*SHARED, "-device", "ivshmem-plain,memdev=shared,master=off"], here=version)
       for version in ("7.2", "10.0")},
    "a device is missing, and then it is there": mended,
    "a disk": disks,
    **{f"{here} to {there} fails at the destination": failed_there(
        here, there, *{"7.2": GOES, "10.0": STAYS, "11.1": TELLS}[there]) for here, there in PAIRS},
}

TOLD = {
    "KVM at one end": asked("from runs under kvm, and to does not",
                            query_kvm=({"enabled": True}, {"enabled": False})),
    # Passes the checks, and fails at migrate-incoming, which this monitor does not have.
    "KVM at the destination only": asked("migrate-incoming", code=1,
                                         query_kvm=({"enabled": False}, {"enabled": True})),
    "half of a failover pair": asked(
        "migrate-incoming", code=1, qom_get=(failover, failover),
        query_pci=(bus(at_place(3, qdev_id="vfio0")), bus())),
    "more devices at the destination": asked(
        "migrate-incoming", code=1, query_pci=(bus(at_place(3)), bus(at_place(3), at_place(4)))),
    "a device elsewhere": asked("from has the pci device 1af4:1041 in slot 3",
                                query_pci=(bus(at_place(3)), bus(at_place(4)))),
    "savevm": asked("from is being saved", query_status=({"status": "save-vm"},
                                                         {"status": "inmigrate"})),
    "two blockers": asked("from cannot be migrated at present: one; and 1 more",
                          query_migrate=({"blocked-reasons": ["one", "two"]}, {})),
    "an object that does not tell its endpoint": asked(
        "migrate-incoming", code=1,
        query_migrate_parameters=({"tls-creds": "t"}, {"tls-creds": "t"}),
        qom_list=([{"name": "t", "type": "child<tls-creds-x509>"}],) * 2, qom_get=("no", "no")),
    "a server's credentials at the source": asked(
        "from: the tls credentials 't' have endpoint=server",
        query_migrate_parameters=({"tls-creds": "t"}, {"tls-creds": "t"}),
        qom_list=([{"name": "t", "type": "child<tls-creds-psk>"}],) * 2,
        qom_get=(property_of(endpoint="server"), property_of(endpoint="server"))),
    "nonsense": nonsense,
}

CASES = [
    *(Case(f"checked: {label}", run) for label, run in CHECKS.items()),
    *(Case(f"told: {label}", run) for label, run in TOLD.items()),
]

if __name__ == "__main__":
    sys.exit(table.main(CASES, lambda scene, case: case.run(scene)))
