"""A package named `grafana` that is none, and an apt repository with it, inside a host.

Grafana's own repository cannot be reached from where these tests run. The stub has the
vendor's names of package, unit, account and folders, and shows the settings that it was
started with. It says nothing about Grafana itself.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from stack import Stack

from host.processes import wait_until

PORT = 9910
MIRROR = f"http://127.0.0.1:{PORT}"
# Its index can be had and names a package that cannot.
BROKEN_MIRROR = f"{MIRROR}/broken"
PACKAGE = "/srv/mirror/pool/grafana.deb"

_ROOT = "/srv/mirror"
_READY_SECONDS = 15.0

_CONTROL = """\
Package: grafana
Version: 0.0.1
Architecture: all
Maintainer: tests <tests@example.org>
Depends: python3
Description: a stub for tests of a role, not Grafana
"""

# Preset, started and enabled as the vendor's is: by the administrator.
_UNIT = """\
[Unit]
Description=Stub in place of Grafana
[Service]
Type=exec
User=grafana
Group=grafana
ExecStart=/usr/bin/python3 /usr/share/grafana/stub.py
[Install]
WantedBy=multi-user.target
"""

# Answers with the settings that it has, and compares a password without telling it.
_PROGRAM = """\
import base64, http.server, json, os, pathlib

def password():
    file = os.environ.get("GF_SECURITY_ADMIN_PASSWORD__FILE")
    return pathlib.Path(file).read_text() if file else "admin"

class Stub(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        right = base64.b64decode(given) == f"admin:{password()}".encode()
        settings = {name: value for name, value in os.environ.items() if name.startswith("GF_")}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"settings": settings, "password_is_right": right}).encode())
    def log_message(self, *_):
        pass

address = (os.environ["GF_SERVER_HTTP_ADDR"], int(os.environ["GF_SERVER_HTTP_PORT"]))
http.server.ThreadingHTTPServer(address, Stub).serve_forever()
"""

_FILES = {
    "DEBIAN/control": _CONTROL,
    "DEBIAN/postinst": "#!/bin/sh\nset -e\nsystemd-sysusers grafana.conf\n"
    "chown grafana:grafana /var/lib/grafana\nsystemctl daemon-reload\n",
    "DEBIAN/prerm": "#!/bin/sh\nset -e\nsystemctl stop grafana-server.service\n",
    "usr/lib/sysusers.d/grafana.conf": "u grafana -\n",
    "usr/lib/systemd/system/grafana-server.service": _UNIT,
    "usr/share/grafana/stub.py": _PROGRAM,
    "etc/grafana/provisioning/.keep": "",
    "var/lib/grafana/.keep": "",
}


def serve(stack: Stack) -> None:
    """Builds the package and a signed repository in the host, and serves it there."""
    for name, text in _FILES.items():
        stack.run(f"mkdir -p $(dirname /root/stub/{name}); cat > /root/stub/{name}", stdin=text)
    stack.run("chmod 755 /root/stub/DEBIAN/postinst /root/stub/DEBIAN/prerm")
    stack.run(f"mkdir -p {_ROOT}/pool; dpkg-deb --root-owner-group --build /root/stub {PACKAGE}")
    with tempfile.TemporaryDirectory() as home:
        key = _Key(Path(home))
        _index(stack, _ROOT, key)
        stack.run(f"mkdir {_ROOT}/broken; cp -r {_ROOT}/dists {_ROOT}/broken")
        _index(stack, f"{_ROOT}/broken", key)
    stack.run(
        "systemd-run --quiet --collect --unit=mirror.service"
        f" python3 -m http.server --bind 127.0.0.1 --directory {_ROOT} {PORT}"
    )
    assert wait_until(
        lambda: stack.run(f"curl --silent --fail {MIRROR}/gpg.key", check=False) != "", _READY_SECONDS
    )


def _index(stack: Stack, root: str, key: _Key) -> None:
    binaries = "dists/stable/main/binary-$(dpkg --print-architecture)"
    stack.run(
        f"cd {root} && mkdir -p {binaries}"
        f" && if test -d pool; then apt-ftparchive packages pool > {binaries}/Packages; fi"
        " && apt-ftparchive -o APT::FTPArchive::Release::Suite=stable release dists/stable > /run/Release"
        " && mv /run/Release dists/stable/Release"
    )
    release = stack.run(f"cat {root}/dists/stable/Release")
    stack.run(f"cat > {root}/dists/stable/InRelease", stdin=key.sign(release))
    stack.run(f"cat > {root}/gpg.key", stdin=key.public())


class _Key:
    """A signing key that is gone with its folder."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._gpg("--quick-generate-key", "--passphrase", "", "stub@example.org", "rsa3072", "sign")

    def sign(self, text: str) -> str:
        return self._gpg("--clearsign", stdin=text)

    def public(self) -> str:
        return self._gpg("--armor", "--export")

    def _gpg(self, *arguments: str, stdin: str = "") -> str:
        command = ["gpg", "--homedir", str(self._home), "--batch", "--quiet", *arguments]
        return subprocess.run(
            command, input=stdin, stdout=subprocess.PIPE, text=True, check=True, timeout=60
        ).stdout
