"""What a step of each type does, given its resolved arguments and the sandbox around it.

Processing, Training and Transform steps are jobs, run to their end; a Lambda step invokes a function;
Model and RegisterModel steps are plain calls to SageMaker; Condition and Fail steps ask nobody.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.containers.context import JobContext
from mlops_workbench.sandbox.containers.functions import run_lambda
from mlops_workbench.sandbox.errors import JobFailed, JobStopped
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.services.sagemaker.jobs.processing import run_processing
from mlops_workbench.sandbox.services.sagemaker.jobs.training import run_training
from mlops_workbench.sandbox.services.sagemaker.jobs.transform import run_transform
from mlops_workbench.sandbox.services.sagemaker.pipelines.conditions import evaluate
from mlops_workbench.sandbox.services.sagemaker.pipelines.expressions import as_text
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import Step, StepFailed, StepStopped
from mlops_workbench.sandbox.services.sagemaker.pipelines.requests import build
from mlops_workbench.sandbox.services.sagemaker.pipelines.shapes import OPERATIONS

_KINDS = {"processing-job": "ProcessingJob", "training-job": "TrainingJob", "transform-job": "TransformJob"}
_PYTHON_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "String": str,
    "Integer": int,
    "Float": (int, float),
    "Boolean": bool,
}
#: Characters of a Fail step's message (botocore: FailStepMetadata).
MAX_MESSAGE = 3072


@dataclass(frozen=True)
class World:
    """Where steps run and whom they act for.

    Attributes:
        account: 12 digits.
        region: e.g. ``ca-central-1``.
        jobs_folder: holds one folder for each job.
        images: which Python environment stands for which image.
        make_client: returns a boto3 client for a service, which acts as the pipeline's role; clients are kept
            and shared between threads.
        job_environment: (request, job's ARN) -> AWS_ENDPOINT_URL, keys and region for a job; raises JobFailed
            for a role that cannot be had.
        refusal: (call, ARN, request) -> why the pipeline's role may not make a call; "" if it may.
    """

    account: str
    region: str
    jobs_folder: Path
    images: Images
    make_client: Callable[[str], Any]
    job_environment: Callable[[Mapping[str, Any], str], Mapping[str, str]]
    refusal: Callable[[str, str, Mapping[str, Any]], str]
    _clients: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str) -> Any:
        """Return the shared boto3 client for a service; boto3's clients may be used by several threads."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self.make_client(service)
            return self._clients[service]

    def job_context(
        self, name: str, stop: threading.Event, arn: str, request: Mapping[str, Any]
    ) -> JobContext:
        """Return the context of a new job, which acts as its role.

        Raises:
            JobFailed: the pipeline may not start it, or its role cannot be had.
        """
        call = "Invoke" if ":function:" in arn else f"Create{_KINDS[arn.split(':')[5].split('/')[0]]}"
        if refused := self.refusal(call, arn, request):
            service = "lambda" if call == "Invoke" else "sagemaker"
            raise JobFailed(f"ClientError: Failed to invoke {service}:{call}. Error Details: {refused}")
        return JobContext(
            name=name,
            account=self.account,
            region=self.region,
            folder=self.jobs_folder / name,
            images=self.images,
            aws_environment=dict(self.job_environment(request, arn)),
            stop=stop,
        )


@dataclass(frozen=True)
class Call:
    """One attempt at a step.

    Attributes:
        step: as defined.
        arguments: resolved, without the name below; a Condition's are as written.
        name: of the job or model that the step creates.
        resolve: replaces the expressions in a value; for conditions, which are resolved one by one.
        world: where the step runs.
        stop: set when the execution is stopped.
        report: publishes the step's Metadata while it runs.
    """

    step: Step
    arguments: Mapping[str, Any]
    name: str
    resolve: Callable[[Any], Any]
    world: World
    stop: threading.Event
    report: Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Outcome:
    """A step that succeeded: its properties, and which branch a condition takes (None for other steps)."""

    properties: dict[str, Any] = field(default_factory=dict)
    branch: bool | None = None


def processing(call: Call) -> Outcome:
    """Run a processing job; its properties are DescribeProcessingJob's answer."""
    return _run(call, run_processing)


def training(call: Call) -> Outcome:
    """Run a training job; its properties are DescribeTrainingJob's answer."""
    return _run(call, run_training)


def transform(call: Call) -> Outcome:
    """Run a transform job; its properties are DescribeTransformJob's answer."""
    return _run(call, run_transform)


def _run(call: Call, job: Callable[[dict[str, Any], JobContext], dict[str, Any]]) -> Outcome:
    operation = OPERATIONS[call.step.type]
    world = call.world
    arn = f"arn:aws:sagemaker:{world.region}:{world.account}:{operation.resource}/{call.name}"
    # Known before the job begins, so that whoever follows the execution can find its log.
    call.report({operation.metadata: {"Arn": arn}})
    request = build(operation, call.arguments, call.name)
    try:
        answer = job(request, world.job_context(call.name, call.stop, arn, request))
    except JobStopped:
        raise StepStopped from None
    except JobFailed as failure:
        raise StepFailed(failure.reason, kind=failure.kind, last_lines=failure.last_lines) from None
    return Outcome(answer)


def lambda_function(call: Call) -> Outcome:
    """Invoke the function; properties are ``OutputParameters``, by name."""
    arn = str(call.resolve(call.step.function_arn))
    call.report({"Lambda": {"Arn": arn}})
    try:
        context = call.world.job_context(call.name, call.stop, arn, {})
        answer = run_lambda(arn, dict(call.arguments), context)
    except JobStopped:
        raise StepStopped from None
    except JobFailed as failure:
        raise StepFailed(failure.reason, kind=failure.kind, last_lines=failure.last_lines) from None
    outputs = declared_outputs(call.step.output_parameters, answer)
    listed = [{"Name": name, "Value": as_text(value)} for name, value in outputs.items()]
    call.report({"Lambda": {"Arn": arn, "OutputParameters": listed}})
    return Outcome({"OutputParameters": outputs})


def declared_outputs(declared: Mapping[str, str], answer: Any) -> dict[str, Any]:
    """Return the declared outputs out of a function's answer.

    Raises:
        StepFailed: the answer lacks one, or one is of another type.
    """
    if declared and not isinstance(answer, Mapping):
        raise StepFailed(
            f"the function's answer: expected an object with {', '.join(declared)}, got {answer!r}"
        )
    outputs = {}
    for name, type_ in declared.items():
        if name not in answer:
            raise StepFailed(
                f"the function's answer has no {name!r}; it has {', '.join(map(str, answer)) or 'none'}"
            )
        value = answer[name]
        # A boolean is an int to Python, not to the service.
        if not isinstance(value, _PYTHON_TYPES[type_]) or isinstance(value, bool) != (type_ == "Boolean"):
            raise StepFailed(f"the function's answer: {name}: expected the type {type_}, got {value!r}")
        outputs[name] = value
    return outputs


def create(call: Call) -> Outcome:
    """Create a model; its properties are DescribeModel's answer."""
    client = call.world.client("sagemaker")
    try:
        client.create_model(**build(OPERATIONS["Model"], call.arguments, call.name))
        answer = _answer(client.describe_model(ModelName=call.name))
    except ClientError as error:
        raise _failed(error) from None
    call.report({"Model": {"Arn": answer["ModelArn"]}})
    return Outcome(answer)


def register(call: Call) -> Outcome:
    """Create a model package; its properties are DescribeModelPackage's answer.

    A model package group that does not exist is created first: the service's RegisterModel step does so too.
    """
    client = call.world.client("sagemaker")
    group = call.arguments.get("ModelPackageGroupName")
    try:
        if group:
            _ensure_group(client, group)
        arn = client.create_model_package(**call.arguments)["ModelPackageArn"]
        answer = _answer(client.describe_model_package(ModelPackageName=arn))
    except ClientError as error:
        raise _failed(error) from None
    call.report({"RegisterModel": {"Arn": arn}})
    return Outcome(answer)


def _ensure_group(client: Any, name: str) -> None:
    try:
        client.describe_model_package_group(ModelPackageGroupName=name)
    except ClientError:
        # Two steps may register into a new group at the same time; the one that comes second finds it there.
        with contextlib.suppress(ClientError):
            client.create_model_package_group(ModelPackageGroupName=name.rsplit("/", 1)[-1])


def _answer(response: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in response.items() if key != "ResponseMetadata"}


def _failed(error: ClientError) -> StepFailed:
    details = error.response.get("Error", {})
    return StepFailed(f"ClientError: {error.operation_name}: {details.get('Code')}: {details.get('Message')}")


def condition(call: Call) -> Outcome:
    """Decide between the branches: IfSteps when every condition holds."""
    holds = all(evaluate(item, call.resolve) for item in call.arguments["Conditions"])
    call.report({"Condition": {"Outcome": str(holds)}})
    return Outcome({"Outcome": holds}, branch=holds)


def fail(call: Call) -> Outcome:
    """End the execution with the step's message."""
    message = as_text(call.arguments.get("ErrorMessage", ""))[:MAX_MESSAGE]
    call.report({"Fail": {"ErrorMessage": message}})
    raise StepFailed(message)


#: Runs a step to its end; raises StepFailed or StepStopped.
Runner = Callable[[Call], Outcome]

RUNNERS: Mapping[str, Runner] = {
    "Processing": processing,
    "Training": training,
    "Transform": transform,
    "Lambda": lambda_function,
    "Model": create,
    "RegisterModel": register,
    "Condition": condition,
    "Fail": fail,
}
