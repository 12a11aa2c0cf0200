"""Credentials of which one side's are wrong, each in one way, and the error for it."""

from dataclasses import dataclass

from . import certs


@dataclass
class Mistake:
    """`server` is the destination's, `client` the source's; None: plain TCP. `seen_by` says which
    of the two notices. An error line of each program must contain its words."""
    seen_by: str
    server: object = None
    client: object = None
    recv: tuple = ()
    send: tuple = ()
    qemu: tuple = ()  # of a QEMU as the source


def wrong_host(folder):
    authority = certs.Authority(folder)
    server = authority.server("server", hosts=["DNS:another.example", "IP:127.0.0.2"])
    return Mistake("client", server, authority.client("client"),
                   recv=("the peer refused", "server-cert.pem"),
                   send=("another.example", "127.0.0.1"), qemu=("hostname",))


def server_of_another_authority(folder):
    authority, other = certs.Authority(folder), certs.Authority(folder, "other")
    return Mistake("client", other.server("server", trusting=authority),
                   authority.client("client"),
                   recv=("the peer refused", "server-cert.pem"), send=("cn=server", "ca-cert.pem"))


def client_of_another_authority(folder):
    authority, other = certs.Authority(folder), certs.Authority(folder, "other")
    return Mistake("server", authority.server("server"),
                   other.client("client", trusting=authority),
                   # GnuTLS does not send a certificate of an authority that the peer
                   # did not ask for.
                   recv=("the peer", "certificate"), send=("the peer refused", "client-cert.pem"))


def no_certificate(folder):
    authority = certs.Authority(folder)
    return Mistake("server", authority.server("server"), authority.trust("client"),
                   recv=("no certificate",), send=("the peer refused", "demands a certificate"))


def revoked(folder):
    authority = certs.Authority(folder)
    server, client = authority.server("server"), authority.client("client")
    authority.revoke(client, server)
    return Mistake("server", server, client, recv=("cn=client", "revoked"),
                   send=("the peer refused", "client-cert.pem"))


def revoked_server(folder):
    authority = certs.Authority(folder)
    server, client = authority.server("server"), authority.client("client")
    authority.revoke(server, client)
    return Mistake("client", server, client, recv=("the peer refused", "server-cert.pem"),
                   send=("cn=server", "revoked"))


def _authority_of_peer(folder, judge, why, **flawed):
    """The judge knows the authority of the peer's certificate by another certificate,
    which has a flaw."""
    ours, theirs = certs.Authority(folder), certs.Authority(folder, "other")
    again = certs.Authority(folder, "again", again=theirs, **flawed)
    if judge == "server":
        server, client = ours.server("server"), theirs.client("client", trusting=ours)
        again.trusted_by(server)
        return Mistake(judge, server, client, recv=(why,),
                       send=("the peer refused", "client-cert.pem"))
    server, client = theirs.server("server", trusting=ours), ours.client("client")
    again.trusted_by(client)
    return Mistake(judge, server, client, recv=("the peer refused", "server-cert.pem"), send=(why,))


def expired_authority(folder, judge):
    return _authority_of_peer(folder, judge, "cn=other) expired on", dates=certs.PAST)


def early_authority(folder, judge):
    return _authority_of_peer(folder, judge, "cn=other) is not valid before", dates=certs.FUTURE)


def another_key(folder):
    return Mistake("server", certs.keys(folder, "server"), certs.keys(folder, "client"),
                   recv=("the peer's key", "keys.psk"), send=("the peer refused", "keys.psk"))


def unknown_user(folder):
    client = certs.keys(folder, "client", users=("stranger",))
    client.user = "stranger"
    return Mistake("server", certs.keys(folder, "server"), client, recv=("'stranger'", "keys.psk"),
                   send=("the peer refused", "user"))


def key_for_certificate(folder):
    return Mistake("client", certs.pair(folder, "X.509")[0], certs.pair(folder, "PSK")[1],
                   recv=("the peer",), send=("the peer uses certificates",))


def source_without_tls(folder):
    return Mistake("server", server=certs.pair(folder, "X.509")[0],
                   recv=("does not speak tls", "plain qemu migration stream"))


def destination_without_tls(folder):
    return Mistake("server", client=certs.pair(folder, "X.509")[1],
                   recv=("speaks tls", "--tls-creds"), send=("tls handshake",))


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

# The certificate is right, but its authority's is expired or not valid yet.
CHAINS = [
    *((f"{label}, seen by the {judge}", lambda folder, make=make, judge=judge: make(folder, judge))
      for label, make in (("expired authority", expired_authority),
                          ("early authority", early_authority))
      for judge in ("server", "client")),
    ("client revoked", revoked),
    ("server revoked", revoked_server),
]
