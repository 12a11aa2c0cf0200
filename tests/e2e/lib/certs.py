"""Certificates and keys for TLS, made by `openssl` when a case runs: none is ever kept.

An Authority signs. Each folder that it makes has QEMU's file names, which are ramjet's too, and is
returned as an object that knows the options of both programs for it.
"""

import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .table import Skip

HOST = "vm.example"  # what a server's certificate is for, besides 127.0.0.1

_CONFIG = """
[ca]
default_ca = it
[it]
dir = {folder}
database = $dir/index
serial = $dir/serial
crlnumber = $dir/crlnumber
new_certs_dir = $dir
certificate = $dir/ca-cert.pem
private_key = $dir/ca-key.pem
default_md = sha256
default_days = 2
default_crl_days = 2
copy_extensions = copy
unique_subject = no
policy = any
[any]
countryName = optional
organizationName = optional
commonName = supplied
[req]
distinguished_name = name
[name]
"""

_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]

PAST = ("20200101000000Z", "20200102000000Z")  # from, to
FUTURE = ("20480101000000Z", "20480102000000Z")


def _dates(dates):
    return ["-startdate", dates[0], "-enddate", dates[1]] if dates else []


@dataclass
class X509:
    """A folder of certificates."""
    folder: Path

    def qemu(self, endpoint):
        """For QEMU's command line; endpoint: "server" for a destination, "client" for a source."""
        return ["-object", f"tls-creds-x509,id=tls0,dir={self.folder},endpoint={endpoint},"
                           "verify-peer=on"]

    def ramjet(self):
        """The same for ramjet's command line, in either role."""
        return ["--tls-creds", self.folder]

    @property
    def distinguished_name(self):
        """Its certificate's name, in the form of QEMU's authorization objects."""
        return f"C=GB,O=ramjet tests,CN={self.folder.name}"


@dataclass
class Psk:
    """A file of pre-shared keys in a folder, and the user that a source names."""
    folder: Path
    user: str = None  # None: the default of both programs

    def qemu(self, endpoint):
        user = f",username={self.user}" if self.user and endpoint == "client" else ""
        return ["-object", f"tls-creds-psk,id=tls0,dir={self.folder},endpoint={endpoint}{user}"]

    def ramjet(self):
        user = ["--tls-username", self.user] if self.user else []
        return ["--tls-psk", self.folder / "keys.psk", *user]


def _openssl(*words):
    if not shutil.which("openssl"):
        raise Skip("openssl is not installed")
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, timeout=20,
                          stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {words}: {done.stderr}")


def _extensions(**extensions):
    return [word for name, value in extensions.items() for word in ("-addext", f"{name}={value}")]


class Authority:
    """A certificate authority in a folder of its own; `again`: it has that one's name and key."""

    def __init__(self, folder, name="authority", dates=None, again=None, basic="critical,CA:TRUE",
                 usage="critical,keyCertSign,cRLSign"):
        self._folder = folder / name
        self._folder.mkdir()
        self._config = self._folder / "openssl.cnf"
        self._config.write_text(_CONFIG.format(folder=self._folder))
        (self._folder / "index").touch()
        (self._folder / "serial").write_text("01\n")
        (self._folder / "crlnumber").write_text("01\n")
        self._cert = self._folder / "ca-cert.pem"
        key, request = self._folder / "ca-key.pem", self._folder / "ca.csr"
        if again:
            shutil.copy(again._folder / "ca-key.pem", key)
        # GnuTLS requires both extensions of an authority.
        _openssl("req", "-new", *(["-key", key] if again else [*_KEY, "-keyout", key]),
                 "-config", self._config, "-subj", f"/CN={again.name if again else name}",
                 "-out", request, *_extensions(basicConstraints=basic, keyUsage=usage))
        _openssl("ca", "-batch", "-notext", "-selfsign", "-config", self._config, "-keyfile", key,
                 "-in", request, "-out", self._cert, *_dates(dates))

    @property
    def name(self):
        return self._folder.name

    def server(self, name, **how):
        """Credentials for a destination."""
        return self._issue(name, "server", **how)

    def client(self, name, **how):
        """Credentials for a source."""
        return self._issue(name, "client", **how)

    def trust(self, name):
        """The same for a source without a certificate of its own."""
        folder = self._folder.parent / name
        folder.mkdir()
        shutil.copy(self._cert, folder)
        return X509(folder)

    def trusted_by(self, *folders):
        """These folders trust this authority from now on, besides those that they trust already."""
        for made in folders:
            with (made.folder / "ca-cert.pem").open("ab") as file:
                file.write(self._cert.read_bytes())

    def _issue(self, name, role, hosts=(f"DNS:{HOST}", "IP:127.0.0.1"), dates=None, trusting=None):
        """`trusting`: another authority that it trusts as well."""
        made = self.trust(name)
        if trusting:  # both: QEMU and ramjet must trust the certificate that they show
            trusting.trusted_by(made)
        request, cert = self._folder / f"{name}.csr", made.folder / f"{role}-cert.pem"
        names = {"subjectAltName": ",".join(hosts)} if role == "server" else {}
        # QEMU 10.0 requires "key encipherment" even of keys that cannot do it.
        _openssl("req", "-new", *_KEY, "-config", self._config,
                 "-subj", f"/C=GB/O=ramjet tests/CN={name}",
                 "-keyout", made.folder / f"{role}-key.pem", "-out", request,
                 *_extensions(basicConstraints="critical,CA:FALSE",
                              keyUsage="critical,digitalSignature,keyEncipherment",
                              extendedKeyUsage=f"{role}Auth", **names))
        _openssl("ca", "-batch", "-notext", "-config", self._config, "-in", request, "-out", cert,
                 *_dates(dates))
        return made

    def revoke(self, revoked, folder):
        """Revokes the certificate in a folder, and gives the list to another folder."""
        cert, = set(revoked.folder.glob("*-cert.pem")) - {revoked.folder / "ca-cert.pem"}
        _openssl("ca", "-config", self._config, "-revoke", cert)
        self.list_revoked(folder)

    def list_revoked(self, *folders):
        """Adds the revocation list to those that they have already."""
        made = self._folder / "crl.pem"
        _openssl("ca", "-config", self._config, "-gencrl", "-out", made)
        for folder in folders:
            with (folder.folder / "ca-crl.pem").open("ab") as file:
                file.write(made.read_bytes())


def keys(folder, name, users=("qemu",)):
    """New pre-shared keys."""
    made = folder / name
    made.mkdir()
    (made / "keys.psk").write_text("".join(f"{u}:{secrets.token_hex(32)}\n" for u in users))
    return Psk(made)


def pair(folder, kind):
    """Valid credentials, "X.509" or "PSK": the destination's and the source's."""
    if kind == "PSK":
        both = keys(folder, "keys")
        return both, both
    authority = Authority(folder)
    return authority.server("server"), authority.client("client")
