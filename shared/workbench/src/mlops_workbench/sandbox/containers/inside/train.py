"""``train`` for images whose environment has no SageMaker training toolkit. Run by the image's own Python.

It keeps the contract of ``sagemaker-training`` 5.1.4 with the PyTorch framework module that a script can see:

* hyperparameters are JSON texts; ``sagemaker_*`` are for the toolkit, the others become ``--key value``,
  sorted;
* SM_MODEL_DIR, SM_CHANNEL_*, SM_HP_*, SM_HOSTS, SM_CURRENT_HOST, SM_TRAINING_ENV … in the environment;
* ``sagemaker_program`` runs in /opt/ml/code, under torchrun when ``sagemaker_torch_distributed_enabled`` is
  true;
* a failure leaves its last lines in /opt/ml/output/failure.

Not kept: MPI, SMDataParallel, XLA, and entry points that are packages. The code archive has been unpacked
before this script starts (it comes from S3, and an image here may have no boto3). ``requirements.txt`` is
installed beside the environment, not into it: the environment is someone's, the container's would be thrown
away.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
CODE = BASE / "code"
_TORCH_DISTRIBUTED = "sagemaker_torch_distributed_enabled"
_MASTER_PORT = "7777"
#: What the toolkit keeps to itself; any other sagemaker_* parameter is the framework's.
_OWN = {
    "sagemaker_program",
    "sagemaker_submit_directory",
    "sagemaker_container_log_level",
    "sagemaker_job_name",
    "sagemaker_region",
    "sagemaker_s3_output",
}
_KEPT_LINES = 30


def main() -> int:
    """Run the program to its end; return its exit status."""
    parameters = {key: decode(value) for key, value in read("hyperparameters").items()}
    program = parameters.get("sagemaker_program") or os.environ.get("SAGEMAKER_PROGRAM")
    if not program:
        return fail("ClientError: hyperparameters: expected sagemaker_program, the script to run", 1)
    script = CODE / str(program)
    if not script.is_file():
        found = ", ".join(sorted(path.name for path in CODE.glob("*"))) or "nothing"
        return fail(f"ClientError: {program}: no such file in the source archive, which holds {found}", 1)
    environment = {**os.environ, **variables(parameters, str(program)), "PYTHONPATH": str(CODE)}
    if (CODE / "requirements.txt").is_file():
        packages = BASE / "packages"
        install = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--target",
            str(packages),
            "-r",
            "requirements.txt",
        ]
        if status := subprocess.run(install, cwd=CODE, check=False).returncode:
            return fail("InstallRequirementsError: pip could not install requirements.txt", status)
        environment["PYTHONPATH"] = f"{CODE}:{packages}"
    command = [*launcher(parameters, script), *arguments(own(parameters))]
    print("Invoking script:", " ".join(command), flush=True)
    status, last = run(command, environment)
    if status:
        text = "\n".join(last)
        return fail(
            f'ExecuteUserScriptError:\nExitCode {status}\nErrorMessage "{text}"\nCommand "{command}"', status
        )
    (BASE / "output" / "success").write_text("")
    return 0


def read(name: str) -> dict[str, Any]:
    """Read one of the configuration files."""
    document: dict[str, Any] = json.loads((BASE / "input" / "config" / f"{name}.json").read_text("utf-8"))
    return document


def decode(value: str) -> Any:
    """Read a hyperparameter as JSON, or as it is."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def own(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the script's own hyperparameters."""
    return {key: value for key, value in parameters.items() if not key.startswith("sagemaker_")}


def arguments(parameters: dict[str, Any]) -> list[str]:
    """Return hyperparameters as command-line arguments, sorted by name."""
    words: list[str] = []
    for key in sorted(parameters):
        value = parameters[key]
        if isinstance(value, dict):
            text = ",".join(f"{name}={value[name]}" for name in sorted(value))
        else:
            text = "" if value is None else str(value)
        words += [f"--{key}" if len(key) > 1 else f"-{key}", text]
    return words


def variables(parameters: dict[str, Any], program: str) -> dict[str, str]:
    """Return the SM_* variables."""
    resources, channels = read("resourceconfig"), read("inputdataconfig")
    folders = {name: str(BASE / "input" / "data" / name) for name in channels}
    framework = {
        key: value for key, value in parameters.items() if key.startswith("sagemaker_") and key not in _OWN
    }
    groups = resources.get("instance_groups", [])
    here = {
        "channel_input_dirs": folders,
        "current_host": resources["current_host"],
        "current_instance_group": resources.get("current_group_name"),
        "current_instance_type": resources.get("current_instance_type"),
        "framework_module": os.environ.get("SAGEMAKER_TRAINING_MODULE"),
        "hosts": resources["hosts"],
        "hyperparameters": own(parameters),
        "additional_framework_parameters": framework,
        "input_config_dir": str(BASE / "input" / "config"),
        "input_data_config": channels,
        "input_dir": str(BASE / "input"),
        "instance_groups": [group["instance_group_name"] for group in groups],
        "instance_groups_dict": {group["instance_group_name"]: group for group in groups},
        "is_hetero": len(groups) > 1,
        "is_master": resources["current_host"] == sorted(resources["hosts"])[0],
        "job_name": os.environ.get("TRAINING_JOB_NAME"),
        "log_level": parameters.get("sagemaker_container_log_level", 20),
        "master_hostname": sorted(resources["hosts"])[0],
        "model_dir": str(BASE / "model"),
        "module_dir": parameters.get("sagemaker_submit_directory", str(CODE)),
        "module_name": program.removesuffix(".py"),
        "network_interface_name": resources.get("network_interface_name", "eth0"),
        "num_cpus": os.cpu_count(),
        "num_gpus": gpus(),
        "num_neurons": 0,
        "output_data_dir": str(BASE / "output" / "data"),
        "output_dir": str(BASE / "output"),
        "output_intermediate_dir": str(BASE / "output" / "intermediate"),
        "resource_config": resources,
        "user_entry_point": program,
    }
    named = {
        key: value for key, value in here.items() if key not in ("hyperparameters", "channel_input_dirs")
    }
    del (
        named["additional_framework_parameters"],
        named["is_master"],
        named["job_name"],
        named["master_hostname"],
    )
    named |= {
        "hps": own(parameters),
        "framework_params": framework,
        "channels": sorted(folders),
        "training_env": here,
        "user_args": arguments(own(parameters)),
        "current_instance_group_hosts": resources["hosts"],
        "distribution_instance_groups": here["instance_groups"] if len(resources["hosts"]) > 1 else [],
    }
    named |= {f"channel_{name}": folder for name, folder in folders.items()}
    named |= {f"hp_{key}": value for key, value in own(parameters).items()}
    extra = {"MASTER_ADDR": str(here["master_hostname"]), "MASTER_PORT": _MASTER_PORT}
    return {f"SM_{key.upper()}": encode(value) for key, value in named.items()} | extra


def encode(value: Any) -> str:
    """Write a variable's value: texts as they are, the rest as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))


def gpus() -> int:
    """Count the GPUs that the driver shows."""
    try:
        return len([name for name in os.listdir("/proc/driver/nvidia/gpus") if name])
    except FileNotFoundError:
        return 0


def launcher(parameters: dict[str, Any], script: Path) -> list[str]:
    """Return what starts the script."""
    if script.suffix == ".sh":
        return ["/bin/sh", str(script)]
    if not parameters.get(_TORCH_DISTRIBUTED):
        return [sys.executable, script.name]
    resources = read("resourceconfig")
    hosts = resources["hosts"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", str(len(hosts))]
    torchrun += ["--nproc_per_node", str(gpus() or 1)]
    if len(hosts) > 1:
        rank = hosts.index(resources["current_host"])
        torchrun += [
            "--master_addr",
            sorted(hosts)[0],
            "--master_port",
            _MASTER_PORT,
            "--node_rank",
            str(rank),
        ]
    return [*torchrun, script.name]


def run(command: list[str], environment: dict[str, str]) -> tuple[int, list[str]]:
    """Run a command in the code folder, passing its lines on; return its status and last errors."""
    # A stop is the script's to act on; this process waits for it, as the first one of a container would.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    last: deque[str] = deque(maxlen=_KEPT_LINES)
    with subprocess.Popen(command, cwd=CODE, env=environment, stderr=subprocess.PIPE, bufsize=0) as process:
        assert process.stderr is not None
        rest = b""
        while chunk := os.read(process.stderr.fileno(), 65536):
            os.write(sys.stderr.fileno(), chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            last.extend(line.rpartition(b"\r")[2].decode("utf-8", "replace") for line in lines)
        last.append(rest.decode("utf-8", "replace"))
    status = process.returncode
    return (128 - status if status < 0 else status), [line for line in last if line.strip()]


def fail(message: str, status: int) -> int:
    """Leave the message where the service looks for it."""
    (BASE / "output" / "failure").write_text(message, "utf-8")
    print(message, file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
