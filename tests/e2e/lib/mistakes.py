"""Credentials of which one side's are wrong, each in one way, and what is to be read of it."""

from dataclasses import dataclass

from . import certs


@dataclass
class Mistake:
    """`server` is the destination's, `client` the source's; None: plain TCP. The words are those
    that must be in the line of error of each program, beside the peer's address."""
    server: object = None
    client: object = None
    recv: tuple = ()
    send: tuple = ()
    qemu: tuple = ()  # a QEMU's as the source


def wrong_host(folder):
    authority = certs.Authority(folder)
    return Mistake(authority.server("server", hosts=["DNS:another.example", "IP:127.0.0.2"]),
                   authority.client("client"), qemu=("hostname",))


def server_of_another_authority(folder):
    authority, other = certs.Authority(folder), certs.Authority(folder, "other")
    return Mistake(other.server("server", trusting=authority), authority.client("client"))


def client_of_another_authority(folder):
    authority, other = certs.Authority(folder), certs.Authority(folder, "other")
    return Mistake(authority.server("server"), other.client("client", trusting=authority))


def no_certificate(folder):
    authority = certs.Authority(folder)
    return Mistake(authority.server("server"), authority.trust("client"))


def revoked(folder):
    authority = certs.Authority(folder)
    server, client = authority.server("server"), authority.client("client")
    authority.revoke(client, server)
    return Mistake(server, client, recv=("revoked",))


def another_key(folder):
    return Mistake(certs.keys(folder, "server"), certs.keys(folder, "client"))


def unknown_user(folder):
    client = certs.keys(folder, "client", users=("stranger",))
    client.user = "stranger"
    return Mistake(certs.keys(folder, "server"), client)


def key_for_certificate(folder):
    return Mistake(certs.pair(folder, "X.509")[0], certs.pair(folder, "PSK")[1])


def source_without_tls(folder):
    return Mistake(server=certs.pair(folder, "X.509")[0])


def destination_without_tls(folder):
    return Mistake(client=certs.pair(folder, "X.509")[1])


ALL = [
    ("wrong host", wrong_host),
    ("server of another authority", server_of_another_authority),
    ("client of another authority", client_of_another_authority),
    ("client without a certificate", no_certificate),
    ("client revoked", revoked),
    ("another key", another_key),
    ("unknown user", unknown_user),
    ("key for certificate", key_for_certificate),
    ("source without TLS", source_without_tls),
    ("destination without TLS", destination_without_tls),
]
