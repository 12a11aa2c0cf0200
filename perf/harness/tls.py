"""Credentials for both ends, made as docs/qemu.md describes: an authority, a server, a client."""

import subprocess

from .errors import PerfError

NEW = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
       "-noenc", "-days", "2"]


def _run(argv, folder):
    try:
        subprocess.run(argv, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise PerfError("TLS needs the program openssl") from None
    except subprocess.CalledProcessError as e:
        raise PerfError(f"openssl: {e.stderr.strip()}") from None


def make_credentials(folder, address):
    """QEMU's file names, in a new folder; valid for a destination at that IP address."""
    folder.mkdir(parents=True)
    _run([*NEW, "-subj", "/CN=authority", "-keyout", "ca-key.pem", "-out", "ca-cert.pem",
          "-addext", "keyUsage=critical,keyCertSign,cRLSign"], folder)
    for name, more in (("server", ["-addext", f"subjectAltName=IP:{address}"]), ("client", [])):
        _run([*NEW, "-CA", "ca-cert.pem", "-CAkey", "ca-key.pem", "-subj", f"/CN={name}",
              "-keyout", f"{name}-key.pem", "-out", f"{name}-cert.pem",
              "-addext", "basicConstraints=critical,CA:FALSE",
              "-addext", "keyUsage=critical,digitalSignature,keyEncipherment", *more], folder)
    return folder
