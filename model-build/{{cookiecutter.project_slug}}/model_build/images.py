"""The containers that jobs run in, looked up in the SageMaker SDK's own table (no network).

One place to change when AWS publishes newer images: https://aws.github.io/deep-learning-containers/
"""

import os
import re
from dataclasses import dataclass, replace

from configuration.errors import UserError

from . import serving_image
from .config import Settings

# AWS offers this training image for GPU only; it runs on CPU instances as well, where it processes data.
_TRAINING = {"version": "5.3.0", "base_framework_version": "pytorch2.9.0", "py_version": "py312"}
_INFERENCE = {"version": "5.5.3", "base_framework_version": "pytorch2.6.0", "py_version": "py312"}


@dataclass(frozen=True)
class Images:
    """Image URIs: for the steps, and AWS's for the model that they register."""

    steps: str
    inference: str


def lookup(region: str) -> Images:
    """The images of a region."""
    # The SDK (3.27) creates a client while it is imported, and that wants a region.
    os.environ.setdefault("AWS_DEFAULT_REGION", region)
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


def of(settings: Settings) -> Images:
    """The images of a repository: AWS's, or its own to serve with.

    Raises:
        UserError: serving_image/ cannot be made an image of.
    """
    found = lookup(settings.project.region)
    if settings.model.serving.image == "lean":
        return replace(found, inference=serving_image.uri(settings.project, settings.root))
    return found


def python_of(uri: str) -> str:
    """The Python inside an image, by its tag: `…-py312-…` is 3.12.

    Raises:
        UserError: the tag does not say.
    """
    found = re.search(r":.*-py(\d)(\d+)(-|$)", uri)
    if found is None:
        raise UserError(f"model_build/images.py: {uri}: expected a tag with its Python, such as -py312-")
    return f"{found[1]}.{found[2]}"
