"""The machines of a job: a process tree each, with an ``/opt/ml`` and a clean environment of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_workbench.sandbox.errors import JobFailed, JobStopped
from mlops_workbench.sandbox.images import Image
from mlops_workbench.sandbox.jobs.context import JobContext, Work
from mlops_workbench.sandbox.jobs.namespace import Host, Paths
from mlops_workbench.sandbox.jobs.process import Process, wait_all

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


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
