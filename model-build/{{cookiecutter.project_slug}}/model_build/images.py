"""The containers that jobs run in, looked up in the SageMaker SDK's own table (no network).

One place to change when AWS publishes newer images: https://aws.github.io/deep-learning-containers/
"""

from dataclasses import dataclass

# AWS offers this training image for GPU only; it runs on CPU instances as well, where it processes data.
_TRAINING = {"version": "5.3.0", "base_framework_version": "pytorch2.9.0", "py_version": "py312"}
_INFERENCE = {"version": "5.5.3", "base_framework_version": "pytorch2.6.0", "py_version": "py312"}


@dataclass(frozen=True)
class Images:
    """Image URIs: for the steps, and for the model that they register."""

    steps: str
    inference: str


def lookup(region: str) -> Images:
    """The images of a region."""
    from sagemaker.core import image_uris  # 3 s to import: only when a definition is built

    def uri(scope: str, instance_type: str, versions: dict[str, str]) -> str:
        found: str = image_uris.retrieve(
            framework="huggingface", region=region, image_scope=scope, instance_type=instance_type, **versions
        )
        return found

    return Images(
        steps=uri("training", "ml.g5.xlarge", _TRAINING),
        inference=uri("inference", "ml.m5.xlarge", _INFERENCE),
    )
