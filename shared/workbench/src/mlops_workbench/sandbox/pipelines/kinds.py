"""The step types of SageMaker Pipelines: which are executed here, and which keys each may carry."""

from __future__ import annotations

#: Executed by the sandbox.
EXECUTED = ("Processing", "Training", "Transform", "Condition", "Fail", "Lambda", "Model", "RegisterModel")

#: Known to the service (sagemaker 3.27.0 ``StepTypeEnum``, botocore's ``PipelineExecutionStepMetadata``), not
#: executed here: each needs a service that no local process stands for.
REFUSED = (
    "AutoML",
    "Athena",
    "BedrockCustomModel",
    "BedrockCustomModelDeployment",
    "BedrockModelImport",
    "BedrockProvisionedModelThroughput",
    "Callback",
    "ClarifyCheck",
    "Cleanup",
    "EMR",
    "EMRServerless",
    "Endpoint",
    "EndpointConfig",
    "ForEach",
    "HubContent",
    "InferenceComponent",
    "Job",
    "Lineage",
    "QualityCheck",
    "Tuning",
)

_EVERY = frozenset({"Name", "Type", "Arguments", "DependsOn", "DisplayName", "Description"})

#: The keys that a step of each type may carry; the service refuses any other ("unknown property").
KEYS: dict[str, frozenset[str]] = {
    "Processing": _EVERY | {"CacheConfig", "RetryPolicies", "PropertyFiles"},
    "Training": _EVERY | {"CacheConfig", "RetryPolicies"},
    "Transform": _EVERY | {"CacheConfig", "RetryPolicies"},
    "Model": _EVERY | {"RetryPolicies"},
    "RegisterModel": _EVERY | {"RetryPolicies"},
    "Lambda": _EVERY | {"CacheConfig", "FunctionArn", "OutputParameters"},
    "Condition": _EVERY,
    "Fail": _EVERY,
}

BRANCHES = ("IfSteps", "ElseSteps")
