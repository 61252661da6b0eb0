"""The box: a Debian 13 disk, its kernel beside it, built from Debian's packages.

libvirt boots the kernel directly, so the image needs no boot loader and no
partition, and neither a loop device nor a mount to make. Everything that the
playbook will install is downloaded into apt's archive folder but not
installed: the guest installs it as any host does, without the waiting.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

from host import run
from host.errors import StepError
from host.settings import CACHE_DIRECTORY
from host.tree import BASE_PACKAGES, CACHED_PACKAGES

SUITE = "trixie"
DISK_SIZE = "6G"

# What a virtual machine needs beyond the container that `make up` boots.
MACHINE_PACKAGES = (
    "initramfs-tools",
    "linux-image-cloud-amd64",
    "openssh-server",
    "sudo",
    "udev",
)

# Only what mounting the disk needs: the full list costs half a minute at each boot.
INITRAMFS_MODULES = ("virtio_pci", "virtio_blk", "ext4")

# psi=1: Debian's kernel counts pressure only when it is told to. Under emulation
# a unit may take minutes to start; the long timeout is the slow machine's, not ours.
KERNEL_COMMAND_LINE = (
    "root=/dev/vda rw console=ttyS0 net.ifnames=0 psi=1 mitigations=off quiet"
    " systemd.default_timeout_start_sec=600"
)

# Nothing that wakes up on a calendar may hold apt's lock or the only core.
MASKED_UNITS = ("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer")

NETWORK = """\
[Match]
Type=ether

[Network]
DHCP=ipv4
"""

# Read by Vagrant when a machine is made from the box.
BOX_VAGRANTFILE = f"""\
Vagrant.configure("2") do |config|
  config.vm.provider :libvirt do |libvirt|
    libvirt.kernel = File.expand_path("vmlinuz", __dir__)
    libvirt.initrd = File.expand_path("initrd.img", __dir__)
    libvirt.cmd_line = {json.dumps(KERNEL_COMMAND_LINE)}
  end
end
"""

OnLine = Callable[[str], None]


def path() -> Path:
    """Returns where the box lies; its recipe is its identity, so a change makes a new one."""
    recipe = hashlib.sha256(Path(__file__).read_bytes())
    recipe.update(repr((BASE_PACKAGES, CACHED_PACKAGES)).encode())
    return CACHE_DIRECTORY / f"vagrant-{SUITE}-{recipe.hexdigest()[:12]}.box"


def ensure(log: Path, on_line: OnLine) -> Path:
    """Builds the box unless it is there already; returns its path.

    # Errors
    `StepError` with the last lines of the program that failed.
    """
    box = path()
    if box.exists():
        return box
    work = box.with_suffix(".partial")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        tree = work / "tree"
        run.logged([*run.CONTAINED, *_mmdebstrap(tree)], log, what="mmdebstrap", on_line=on_line)
        _configure(tree)
        for name in ("vmlinuz", "initrd.img"):
            shutil.copyfile((tree / name).resolve(), work / name)
        _make_disk(tree, work / "box.img")
        _pack(work, box)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return box


def _mmdebstrap(target: Path) -> list[str]:
    modules = "\\n".join(INITRAMFS_MODULES)
    fetch = "apt-get --yes --no-install-recommends --download-only install"
    return [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join((*BASE_PACKAGES, *MACHINE_PACKAGES))}",
        "--dpkgopt=force-unsafe-io",
        # Before the kernel's installation makes its initramfs.
        '--setup-hook=mkdir --parents "$1/etc/initramfs-tools/conf.d"',
        '--setup-hook=echo MODULES=list > "$1/etc/initramfs-tools/conf.d/box"',
        f'--setup-hook=printf "{modules}\\n" > "$1/etc/initramfs-tools/modules"',
        "--skip=cleanup/apt",
        f'--customize-hook=chroot "$1" {fetch} {" ".join(CACHED_PACKAGES)}',
        '--customize-hook=chroot "$1" useradd --create-home --shell /bin/bash vagrant',
        f'--customize-hook=chroot "$1" systemctl mask {" ".join(MASKED_UNITS)}',
        '--customize-hook=chroot "$1" systemctl enable systemd-networkd.service',
        SUITE,
        str(target),
    ]


def _configure(tree: Path) -> None:
    (tree / "etc/hostname").write_text("stack\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 stack\n")
    (tree / "etc/fstab").write_text("/dev/vda / ext4 noatime 0 1\n")
    (tree / "etc/systemd/network/80-any.network").write_text(NETWORK)
    # What qemu's user network answers on.
    (tree / "etc/resolv.conf").unlink(missing_ok=True)
    (tree / "etc/resolv.conf").write_text("nameserver 10.0.2.3\n")
    # Filled in by the first boot.
    (tree / "etc/machine-id").write_text("")
    # The journal outlives a reboot, as on Debian with its standard packages.
    (tree / "var/log/journal").mkdir(parents=True, exist_ok=True)
    (tree / "etc/apt/apt.conf.d/50keep-archives").write_text(
        'APT::Keep-Downloaded-Packages "true";\n'
    )
    sudoers = tree / "etc/sudoers.d/vagrant"
    sudoers.write_text("vagrant ALL=(ALL) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)
    _authorize_vagrant(tree)


def _authorize_vagrant(tree: Path) -> None:
    """Lets Vagrant's well-known key in: the machine listens on the outer loopback alone."""
    keys = sorted(
        Path("/usr/share/rubygems-integration/all/gems").glob("vagrant-*/keys/vagrant.pub")
    )
    if not keys:
        raise StepError("Vagrant's public key is missing; is Debian's package vagrant installed?")
    folder = tree / "home/vagrant/.ssh"
    folder.mkdir(mode=0o700)
    shutil.copyfile(keys[-1], folder / "authorized_keys")
    (folder / "authorized_keys").chmod(0o600)
    subprocess.run(
        ["chroot", tree, "chown", "--recursive", "vagrant:", "/home/vagrant/.ssh"], check=True
    )


def _make_disk(tree: Path, image: Path) -> None:
    """Turns the tree into a file system, and that into the format that Vagrant takes."""
    raw = image.with_suffix(".raw")
    _run(["mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", str(tree), str(raw), DISK_SIZE])
    _run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(image)])


def _pack(work: Path, box: Path) -> None:
    size = int(DISK_SIZE.removesuffix("G"))
    metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": size}
    (work / "metadata.json").write_text(json.dumps(metadata))
    (work / "Vagrantfile").write_text(BOX_VAGRANTFILE)
    with tarfile.open(work / "box", "w") as archive:
        for name in ("metadata.json", "Vagrantfile", "box.img", "vmlinuz", "initrd.img"):
            archive.add(work / name, arcname=name)
    # The cache entry appears whole or not at all.
    (work / "box").rename(box)


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise StepError(f"{command[0]} failed: {result.stderr.strip()}")
