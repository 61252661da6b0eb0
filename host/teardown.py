"""`down`: ends everything that was started for a host, whoever started it."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from host import launch
from host.errors import StepError
from host.processes import command_line, is_alive, machine_pid, of_host, send_signal, wait_until
from host.settings import Host

# Services inside may take their stop timeout; after this they are killed.
SHUTDOWN_SECONDS = 20.0
KILL_SECONDS = 10.0

NSPAWN_RUNTIME = Path("/run/systemd/nspawn/propagate")


def stop(host: Host, *, gracefully: bool) -> None:
    """Ends the host's processes; `gracefully` lets its systemd shut down first.

    Finds them by their mark, so it needs no memory of how they were started
    and works after a killed `up` as well.

    # Errors
    `StepError` naming what is still there.
    """
    machine = machine_pid(host)
    if machine is not None and gracefully:
        # nspawn passes SIGTERM on as a request to power off.
        send_signal(machine, signal.SIGTERM)
        wait_until(lambda: not is_alive(machine), SHUTDOWN_SECONDS)
    _kill_marked(host)
    launch.stop(host.network_unit)
    launch.stop(host.machine_unit)
    if not wait_until(lambda: _cgroups_are_gone(host), KILL_SECONDS):
        raise StepError(f"host {host.name}: its cgroup still has processes in it")
    host.network_socket.unlink(missing_ok=True)
    shutil.rmtree(NSPAWN_RUNTIME / host.name, ignore_errors=True)
    _check_mounts(host)


def destroy(host: Host) -> None:
    """Stops the host at once and removes its tree and logs."""
    stop(host, gracefully=False)
    if host.directory.is_dir():
        shutil.rmtree(host.directory)


def _kill_marked(host: Host) -> None:
    def all_ended() -> bool:
        remaining = of_host(host)
        for pid in remaining:
            send_signal(pid, signal.SIGKILL)
        return not remaining

    if not wait_until(all_ended, KILL_SECONDS):
        left = ", ".join(f"{pid} ({command_line(pid)})" for pid in of_host(host))
        raise StepError(f"host {host.name}: these processes do not end: {left}")


def _cgroups_are_gone(host: Host) -> bool:
    launch.kill_cgroups(host)
    try:
        launch.remove_cgroups(host)
    except OSError:
        return False
    return True


def _check_mounts(host: Host) -> None:
    mounted = [
        line.split()[4]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if line.split()[4].startswith(f"{host.directory}/")
    ]
    if mounted:
        raise StepError(f"host {host.name}: still mounted: {', '.join(mounted)}; unmount them")
