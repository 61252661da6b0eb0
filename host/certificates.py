"""An authority of a fleet's own, and a certificate from it for each member."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from host.errors import StepError

VALID_DAYS = 3650
# Nothing of /etc/ssl/openssl.cnf, whose extensions would be added to those asked for.
CONFIGURATION = "[req]\ndistinguished_name = subject\n[subject]\n"
LEAF = "basicConstraints=critical,CA:FALSE"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, in PEM."""

    certificate: str
    key: str


def make_authority(name: str) -> Identity:
    """Returns an authority that vouches for itself."""
    extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"]
    return _request(name, extensions)


def certify_host(authority: Identity, name: str, address: str) -> Identity:
    """Returns a certificate for a host, which serves and asks; it reaches itself by loopback, too."""
    names = f"DNS:{name},IP:{address},DNS:localhost,IP:127.0.0.1"
    usage = "extendedKeyUsage=serverAuth,clientAuth"
    return _request(name, [LEAF, usage, f"subjectAltName={names}"], authority)


def certify_person(authority: Identity, name: str) -> Identity:
    """Returns a certificate for somebody who only asks."""
    return _request(name, [LEAF, "extendedKeyUsage=clientAuth"], authority)


def _request(name: str, extensions: list[str], authority: Identity | None = None) -> Identity:
    with tempfile.TemporaryDirectory() as folder:
        made = _in(folder, "made")
        (configuration := Path(folder, "openssl.cnf")).write_text(CONFIGURATION, encoding="utf-8")
        command = ["openssl", "req", "-x509", *NEW_KEY, "-config", str(configuration)]
        command += ["-days", str(VALID_DAYS), "-subj", f"/CN={name}"]
        command += [option for it in extensions for option in ("-addext", it)]
        command += ["-out", str(made.certificate), "-keyout", str(made.key)]
        if authority is not None:
            issuer = _in(folder, "issuer")
            issuer.certificate.write_text(authority.certificate, encoding="ascii")
            issuer.key.write_text(authority.key, encoding="ascii")
            command += ["-CA", str(issuer.certificate), "-CAkey", str(issuer.key)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise StepError(f"`{' '.join(command)}` failed: {result.stderr.strip()}")
        return Identity(*(file.read_text(encoding="ascii") for file in (made.certificate, made.key)))


@dataclass(frozen=True)
class _Files:
    certificate: Path
    key: Path


def _in(folder: str, name: str) -> _Files:
    return _Files(Path(folder, f"{name}.pem"), Path(folder, f"{name}.key"))
