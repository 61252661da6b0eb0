"""The person who types `vagrant up`: an unprivileged account that lives as long as the test.

libvirt's per-user daemon refuses to be root's, and all that Vagrant, libvirt and
qemu leave behind lies in this account's home or runs under its id: when the
account goes, everything does.
"""

from __future__ import annotations

import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from host.processes import all_pids, is_alive, send_signal, status_field, wait_until
from host.run import User
from host.settings import REPOSITORY

NAME = "stack-vagrant-test"
# Short: libvirt's sockets below it must fit into the 107 bytes of a Unix address.
HOME = Path("/var/lib") / NAME
CHECKOUT = HOME / "stack"

END_SECONDS = 20.0

# Everything else is what a fresh clone holds.
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".vagrant", "target", "__pycache__")


def create() -> User:
    """Makes the account anew and gives it a copy of the checkout with the built packages."""
    remove()
    subprocess.run(
        ["useradd", "--system", "--create-home", f"--home-dir={HOME}", "--shell=/bin/bash", NAME],
        check=True,
    )
    shutil.copytree(REPOSITORY, CHECKOUT, ignore=NOT_COPIED, symlinks=True)
    shutil.copytree(REPOSITORY / "target/debian", CHECKOUT / "target/debian")
    _runtime_directory().mkdir(mode=0o700)
    entry = pwd.getpwnam(NAME)
    subprocess.run(["chown", "--recursive", f"{NAME}:", str(HOME)], check=True)
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


def environment(user: User) -> dict[str, str]:
    """Returns the variables of the account's own that replace root's."""
    return {
        "HOME": user.home,
        "USER": user.name,
        "LOGNAME": user.name,
        "SUDO_UID": str(user.uid),
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "XDG_RUNTIME_DIR": str(_runtime_directory()),
        "XDG_CONFIG_HOME": f"{user.home}/.config",
        "XDG_CACHE_HOME": f"{user.home}/.cache",
        "XDG_DATA_HOME": f"{user.home}/.local/share",
        "LC_ALL": "C.UTF-8",
    }


def processes() -> list[int]:
    """Returns what runs under the account."""
    try:
        uid = str(pwd.getpwnam(NAME).pw_uid)
    except KeyError:
        return []
    return [
        pid
        for pid in all_pids()
        if (status_field(pid, "Uid") or "").split()[:1] == [uid] and is_alive(pid)
    ]


def end_processes() -> None:
    """Ends what runs under the account: asked first, killed where that does not help."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in processes():
            send_signal(pid, number)
        if wait_until(lambda: not processes(), END_SECONDS):
            return


def remove() -> None:
    """Takes the account, its processes and its home away, if there are any."""
    end_processes()
    try:
        pwd.getpwnam(NAME)
    except KeyError:
        pass
    else:
        subprocess.run(["userdel", NAME], check=True, capture_output=True)
    shutil.rmtree(HOME, ignore_errors=True)


def install_settings(file: Path) -> None:
    """Puts `file` where Vagrant merges it with every Vagrantfile of the account."""
    folder = HOME / ".vagrant.d"
    folder.mkdir(exist_ok=True)
    for path in (folder, Path(shutil.copy(file, folder / "Vagrantfile"))):
        shutil.chown(path, NAME, NAME)


def _runtime_directory() -> Path:
    return HOME / "run"
