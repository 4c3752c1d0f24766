"""The machines of a job: a process tree each, with an ``/opt/ml`` and a clean environment of its own.

Linux lets an ordinary user make a mount namespace within a user namespace. In it, a tmpfs covers ``/opt``,
what was in ``/opt`` is bound again, and the job's folder is bound to ``/opt/ml``, ``/etc/hosts`` likewise:
unmodified scripts use the fixed paths, side by side, and nothing is left on the host. Where the kernel, an
administrator or an outer container refuses this (or there is no ``/opt`` to cover), ``Paths`` rewrites
``/opt/ml`` in the command and the environment instead. ``MLOPS_SANDBOX_NAMESPACE=off`` asks for the
latter.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_workbench.sandbox.containers.context import JobContext, Work
from mlops_workbench.sandbox.containers.process import Process, wait_all
from mlops_workbench.sandbox.errors import JobFailed, JobStopped
from mlops_workbench.sandbox.images import Image

SWITCH = "MLOPS_SANDBOX_NAMESPACE"
OPT_ML = "/opt/ml"
#: ``/opt/ml`` as a whole path or the beginning of one, not of ``/opt/mlflow``.
_OPT_ML = re.compile(r"(?<![\w./-])/opt/ml(?![\w.-])")

# $1 job's /opt/ml, $2 an empty folder, $3 hosts file, $4 host name; then the command.
_SCRIPT = r"""
set -eu
ml=$1 keep=$2 hosts=$3 name=$4
shift 4
mount --rbind /opt "$keep"
mount -t tmpfs -o mode=755 tmpfs /opt
for entry in "$keep"/* "$keep"/.[!.]*; do
  target=/opt/${entry##*/}
  if [ "$target" = /opt/ml ]; then continue
  elif [ -L "$entry" ]; then cp -P "$entry" "$target"
  elif [ -d "$entry" ]; then mkdir "$target"; mount --rbind "$entry" "$target"
  elif [ -e "$entry" ]; then : > "$target"; mount --bind "$entry" "$target"
  fi
done
mkdir /opt/ml
mount --rbind "$ml" /opt/ml
mount --bind "$hosts" /etc/hosts
hostname "$name" 2>/dev/null || :
cd /
exec "$@"
"""
#: Ways to ask for the namespaces: as anybody, and as root where user namespaces are switched off.
_UNSHARE = (("unshare", "-Urmu"), ("unshare", "-mu"))
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Host:
    """One machine of a job.

    Attributes:
        name: ``algo-1``, ``algo-2``, …; or its address where /etc/hosts cannot be replaced.
        address: on loopback, so that the hosts of one job find each other.
    """

    name: str
    address: str


@dataclass(frozen=True)
class Paths:
    """How a job on this machine finds its ``/opt/ml``.

    Attributes:
        unshare: the command that makes the namespaces; None: paths are rewritten.
    """

    unshare: tuple[str, ...] | None

    @classmethod
    def available(cls) -> Paths:
        """Return the best way that this machine offers."""
        if os.environ.get(SWITCH, "").lower() == "off":
            return cls(None)
        return cls(_working_unshare())

    def hosts(self, count: int) -> list[Host]:
        """Return the hosts of a job with ``count`` instances."""
        addresses = [f"127.0.0.{number}" for number in range(1, count + 1)]
        if self.unshare is None:
            return [Host(address, address) for address in addresses]
        return [Host(f"algo-{number}", address) for number, address in enumerate(addresses, 1)]

    def ml(self, folder: Path) -> str:
        """Return the path under which the job sees its ``/opt/ml``, which is ``folder`` on this machine."""
        return str(folder) if self.unshare is None else OPT_ML

    def rewrite(self, text: str, folder: Path) -> str:
        """Replace ``/opt/ml`` in a text by the path under which the job sees it."""
        return text if self.unshare else _OPT_ML.sub(lambda _: str(folder), text)

    def command(
        self, command: Sequence[str], folder: Path, work: Path, hosts: Sequence[Host], current: Host
    ) -> list[str]:
        """Return what to run so that ``command`` finds its ``/opt/ml`` in ``folder``.

        Args:
            command: as in the request.
            folder: the job's ``/opt/ml`` on this machine.
            work: a folder of the job where helper files go.
            hosts: all of the job.
            current: the one that this command is for.
        """
        if self.unshare is None:
            return [self.rewrite(part, folder) for part in command]
        keep = work / "host-opt"
        keep.mkdir(parents=True, exist_ok=True)
        table = work / "hosts"
        lines = ["127.0.0.1 localhost", "::1 localhost", *(f"{host.address} {host.name}" for host in hosts)]
        table.write_text("\n".join(lines) + "\n", "utf-8")
        shell = ["sh", "-c", _SCRIPT, "sh", str(folder), str(keep), str(table), current.name]
        return [*self.unshare, *shell, *command]

    def environment(self, environment: Mapping[str, str], folder: Path) -> dict[str, str]:
        """Return the variables as the job must see them."""
        return {key: self.rewrite(value, folder) for key, value in environment.items()}


@functools.cache
def _working_unshare() -> tuple[str, ...] | None:
    """Try each way once, with all the mounts, on an empty job."""
    if not shutil.which("unshare"):
        return None
    with tempfile.TemporaryDirectory(prefix="probe-") as name:
        work = Path(name)
        (work / "ml").mkdir()
        for unshare in _UNSHARE:
            host = Host("algo-1", "127.0.0.1")
            command = Paths(unshare).command(["test", "-d", OPT_ML], work / "ml", work, [host], host)
            result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            if result.returncode == 0:
                return unshare
    return None


@dataclass(frozen=True)
class Machine:
    """One host of a job and its folders on this machine.

    Attributes:
        host: name and address.
        folder: of this host, below the job's.
    """

    host: Host
    folder: Path

    @property
    def ml(self) -> Path:
        """Return what the job sees as ``/opt/ml``."""
        return self.folder / "ml"

    def path(self, container_path: str) -> Path:
        """Return the place on this machine of a path below ``/opt/ml``.

        Raises:
            JobFailed: the path is elsewhere; the sandbox gives a job nothing but its ``/opt/ml``.
        """
        path = os.path.normpath(container_path)
        if path != "/opt/ml" and not path.startswith("/opt/ml/"):
            raise JobFailed(f"ClientError: LocalPath: expected a path below /opt/ml, got {container_path}")
        return self.folder / "ml" / path.removeprefix("/opt/ml").lstrip("/")


@dataclass(frozen=True)
class Cluster:
    """All hosts of a job."""

    machines: tuple[Machine, ...]
    paths: Paths

    @classmethod
    def of(cls, job: Work, count: int) -> Cluster:
        """Lay out the folders of a job with ``count`` instances."""
        paths = Paths.available()
        machines = []
        for number, host in enumerate(paths.hosts(count), 1):
            machine = Machine(host, job.folder / f"algo-{number}")
            machine.ml.mkdir(parents=True, exist_ok=True)
            machines.append(machine)
        return cls(tuple(machines), paths)

    @property
    def hosts(self) -> list[Host]:
        """Return the hosts, in order."""
        return [machine.host for machine in self.machines]

    def resource_config(self, machine: Machine, instance_type: str) -> dict[str, Any]:
        """Return resourceconfig.json of a host ([read] AWS, "Distributed Training Configuration")."""
        names = [host.name for host in self.hosts]
        return {
            "current_host": machine.host.name,
            "hosts": names,
            "current_group_name": "homogeneousCluster",
            "current_instance_type": instance_type,
            "instance_groups": [
                {"instance_group_name": "homogeneousCluster", "instance_type": instance_type, "hosts": names}
            ],
            "network_interface_name": "lo",
        }

    def start(
        self, job: Work, command: Sequence[str], image: Image, environment: Mapping[str, str]
    ) -> list[Process]:
        """Start the same command on every host."""
        processes: list[Process] = []
        for machine in self.machines:
            try:
                processes.append(self.start_on(machine, job, command, image, environment))
            except BaseException:
                for process in processes:
                    process.kill()
                raise
        return processes

    def start_on(
        self,
        machine: Machine,
        job: Work,
        command: Sequence[str],
        image: Image,
        environment: Mapping[str, str],
    ) -> Process:
        """Start a command on one of the hosts."""
        name = machine.folder.name if len(self.machines) > 1 else None
        variables = container_environment(job.context, image, environment, machine, len(self.machines))
        return Process(
            self.paths.command(command, machine.ml, machine.folder / "namespace", self.hosts, machine.host),
            self.paths.environment(variables, machine.ml),
            machine.folder,
            lambda line: job.log.line(line, name),
        )

    def run(
        self,
        job: Work,
        command: Sequence[str],
        image: Image,
        environment: Mapping[str, str],
        deadline: float | None,
    ) -> tuple[int, str]:
        """Run the same command on every host to its end, or until ``deadline`` on the monotonic clock.

        Returns:
            The exit status of the first host that failed, or 0; and "ended" or "timed out".

        Raises:
            JobStopped: the job was asked to end, and its processes have ended.
        """
        processes = self.start(job, command, image, environment)
        statuses, why = wait_all(
            processes, stop=job.context.stop, grace=job.context.grace_seconds, deadline=deadline
        )
        if why == "stopped":
            raise JobStopped(f"{job.context.name} was stopped")
        # When one host fails the others are ended: their 143 or 137 is not the reason.
        failed = [status for status in statuses if status]
        own = [status for status in failed if status not in (137, 143)]
        return (own or failed or [0])[0], why


def container_environment(
    context: JobContext, image: Image, environment: Mapping[str, str], machine: Machine, hosts: int
) -> dict[str, str]:
    """Return the variables that the container would have, and nothing of this process's own.

    Later ones win: the sandbox's, those of sandbox.toml, those of the request.
    """
    home = machine.folder / "home"
    home.mkdir(exist_ok=True)
    variables = {
        "PATH": f"{image.python.parent}:{_SYSTEM_PATH}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        # A job finds its models in its inputs; a download would be a surprise. sandbox.toml may allow it.
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "MKL_THREADING_LAYER": "GNU",
    }
    if hosts > 1:
        # The hosts share this machine's cores; each taking all of them is many times slower.
        variables["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // hosts))
    return {
        **variables,
        **context.aws_environment,
        **image.environment,
        **{key: str(value) for key, value in environment.items()},
    }
