"""Where secrets stand that must stand nowhere but in their own files: one search of a whole host.

Their texts reach the host by a program's standard input, so that the search itself puts them into
no command line. What it finds it names; it never prints a secret.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from stack import Stack

from host import guest, inventory
from host.settings import Host

# Some hundred megabytes are read, beside whatever else the machine does.
SECONDS = 300.0

# What each service tells whoever asks, by its port.
PAGES: Mapping[str, tuple[str, ...]] = {
    "transactions-api": ("8000/metrics", "8000/health"),
    "transactions-worker@1": ("8101/metrics",),
    "alert-bot": ("5001/metrics", "5001/health", "5001/"),
    "unit-exporter": ("9558/metrics",),
    "node-exporter": ("9100/metrics",),
    "blackbox-exporter": ("9115/metrics", "9115/config"),
    "prometheus": ("9090/metrics", "9090/api/v1/status/config", "9090/api/v1/status/flags"),
    "alertmanager": ("9093/metrics", "9093/api/v2/status"),
}

# Root looks where no secret has its file; nobody, where secrets do have files.
SEARCHED = {"by root": ("/root", "/tmp", "/var"), "by nobody": ("/etc", "/run")}

_SEARCH = """
import glob, json, os, ssl, stat, subprocess, sys, urllib.request

asked = json.load(sys.stdin)
texts = [(text.encode(), name) for name, texts in asked["secrets"].items() for text in texts]
longest = max(len(text) for text, _ in texts)
found = set()

def search(place, stream):
    rest = b""
    while piece := stream.read(1 << 20):
        piece = rest + piece
        found.update((name, place) for text, name in texts if text in piece)
        rest = piece[-longest:]

def search_file(path):
    try:
        if stat.S_ISREG(os.lstat(path).st_mode):
            with open(path, "rb") as file:
                search(path, file)
    except OSError:
        pass  # It is gone, or not for this user.

def search_folders(folders):
    for folder in folders:
        for inner, _, names in os.walk(folder):
            for name in names:
                search_file(os.path.join(inner, name))

def search_output(*command):
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        search(" ".join(command), process.stdout)
    if process.returncode != 0:
        sys.exit(f"{command} ended with {process.returncode}")

for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ"):
    search_file(path)
search_output("systemctl", "show", "*")
search_output("journalctl", "--all", "--output=export")
authority = "/etc/observability-stack/authority.pem"
trust = ssl.create_default_context(cafile=authority if os.path.exists(authority) else None)
certificate, key = (f"/etc/prometheus/credentials/node-exporter-{it}" for it in ("certificate", "key"))
if os.path.exists(key):
    trust.load_cert_chain(certificate, key)
for page in asked["pages"]:
    search(page, urllib.request.urlopen(page, timeout=10, context=trust))
search_folders(asked["by root"])
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
search_folders(asked["by nobody"])
print(json.dumps(sorted(found)))
"""


def found(stack: Stack, secrets: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Returns the name of each secret that was found, and where.

    Searched are all processes' command lines and environments, every unit's properties, the whole
    journal, the services' pages, whatever lies below `/var` and the temporary folders, and what
    everybody may read of the configuration and of what runs. `secrets` has for each name the
    texts that give the secret away (`telling`).
    """
    asked = {"secrets": secrets, "pages": list(_pages(stack.host)), **SEARCHED}
    command = ["python3", "-c", _SEARCH]
    result = guest.run(stack.host, command, stdin=json.dumps(asked), timeout=SECONDS)
    assert result.returncode == 0, f"the search on {stack.host.name} failed:\n{result.stderr}"
    return [(name, place) for name, place in json.loads(result.stdout)]


def telling(secret: str) -> list[str]:
    """Returns what gives a secret away: itself, or of a key in PEM each whole line of its body."""
    lines = secret.splitlines()
    if len(lines) == 1:
        return [secret]
    whole = len(lines[1])
    return [line for line in lines[1:-1] if len(line) == whole]


def _pages(host: Host) -> Iterator[str]:
    services = inventory.services_of(host)
    # Alone a host listens everywhere; in a fleet on loopback nothing of it does.
    in_fleet = any(service.authority for service in services)
    address = host.seat.address if in_fleet and host.seat else "127.0.0.1"
    for service in services:
        for page in PAGES.get(service.name, ()):
            yield f"{service.scheme}://{address}:{page}"
