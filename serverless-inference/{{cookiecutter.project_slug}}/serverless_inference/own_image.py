"""A model's own serving image, copied to the account of the endpoint.

SageMaker takes an image that is not AWS's for a serverless endpoint only from the registry of the endpoint's
own account ("… does not reside in an Amazon ECR repository within the same AWS account creating the
endpoint", CreateEndpointConfig). model-build pushes its image to shared services, which is staging's
account; production has a copy, made here by the registry's own calls: the same bytes, hence the same digest,
and no docker.
"""

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

from botocore.exceptions import ClientError

from configuration import UserError
from release.aws import code, plain_errors

_URI = re.compile(r"(\d{12})\.(dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?)/([^:@]+):([\w.-]+)")
_TYPES = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
]
_PART = 10 * 1024 * 1024  # bytes: what a request of UploadLayerPart takes, all parts but the last one alike

Say = Callable[[str], None]


class Image(NamedTuple):
    """An image in Amazon ECR."""

    account: str
    host: str  # without the account
    repository: str
    tag: str

    @property
    def uri(self) -> str:
        """The image as SageMaker is told."""
        return f"{self.account}.{self.host}/{self.repository}:{self.tag}"


def in_account(uri: str, registry: str, account: str) -> str:
    """The image that an endpoint of an account is made of: a copy of one that model-build has pushed.

    Args:
        uri: of the model package.
        registry: the shared services account; an image of another one is AWS's, and anybody's to use.
        account: of the endpoint.
    """
    found = _URI.fullmatch(uri)
    if found is None or found[1] != registry:
        return uri
    return Image(account, *found.groups()[1:]).uri


def copy(source: str, target: str, ecr: Any, say: Say) -> None:
    """Bring an image into a registry, unless it is there.

    Args:
        source: its URI, in another account of this region, which lets the caller pull.
        target: the copy's.
        ecr: a client in the copy's account.
        say: is told.

    Raises:
        UserError: it may not be pulled or pushed, or is not there.
    """
    have, wanted = _parsed(source), _parsed(target)
    with plain_errors(f"ECR repository {wanted.repository}"):
        if not _repository_made(wanted, ecr) and _is_there(wanted, ecr):
            return
        manifest, kind = _manifest(have, source, ecr)
        document = json.loads(manifest)
        size = 0
        for part in (*document["layers"], document["config"]):
            size += _blob(have, wanted, part["digest"], ecr)
        try:
            ecr.put_image(
                repositoryName=wanted.repository,
                imageManifest=manifest,
                imageManifestMediaType=kind,
                imageTag=wanted.tag,
            )
        except ClientError as error:
            if code(error) != "ImageAlreadyExistsException":  # another build was faster
                raise
    say(f"{target}: copied from account {have.account}, {size / 1e6:.1f} MB")


def _parsed(uri: str) -> Image:
    found = _URI.fullmatch(uri)
    if found is None:
        raise UserError(f"expected an image of Amazon ECR with a tag, got {uri}")
    return Image(*found.groups())


def _repository_made(image: Image, ecr: Any) -> bool:
    """Make the repository; False if there is one. A tag is never moved, as in the registry it comes from."""
    try:
        ecr.create_repository(
            repositoryName=image.repository,
            imageTagMutability="IMMUTABLE",
            imageScanningConfiguration={"scanOnPush": True},
        )
    except ClientError as error:
        if code(error) != "RepositoryAlreadyExistsException":
            raise
        return False
    return True


def _is_there(image: Image, ecr: Any) -> bool:
    try:
        ecr.describe_images(repositoryName=image.repository, imageIds=[{"imageTag": image.tag}])
    except ClientError as error:
        if code(error) != "ImageNotFoundException":
            raise
        return False
    return True


def _manifest(image: Image, uri: str, ecr: Any) -> tuple[str, str]:
    answer = ecr.batch_get_image(
        registryId=image.account,
        repositoryName=image.repository,
        imageIds=[{"imageTag": image.tag}],
        acceptedMediaTypes=_TYPES,
    )
    if not answer["images"]:
        raise UserError(
            f"{uri}: expected the image that the version was registered with, found none. The model-build "
            "repository pushes it before training; approve another version, or push that commit again"
        )
    found = answer["images"][0]
    manifest = str(found["imageManifest"])
    return manifest, str(found.get("imageManifestMediaType") or json.loads(manifest)["mediaType"])


def _blob(source: Image, target: Image, digest: str, ecr: Any) -> int:
    """Copy a layer, or the configuration; returns the bytes that were sent. ECR checks the digest."""
    there = ecr.batch_check_layer_availability(repositoryName=target.repository, layerDigests=[digest])
    if any(each.get("layerAvailability") == "AVAILABLE" for each in there["layers"]):
        return 0
    url = ecr.get_download_url_for_layer(
        registryId=source.account, repositoryName=source.repository, layerDigest=digest
    )["downloadUrl"]
    upload, sent = ecr.initiate_layer_upload(repositoryName=target.repository)["uploadId"], 0
    with urllib.request.urlopen(url) as stream:
        for part in _parts(stream):
            ecr.upload_layer_part(
                repositoryName=target.repository,
                uploadId=upload,
                partFirstByte=sent,
                partLastByte=sent + len(part) - 1,
                layerPartBlob=part,
            )
            sent += len(part)
    ecr.complete_layer_upload(repositoryName=target.repository, uploadId=upload, layerDigests=[digest])
    return sent


def _parts(stream: IO[bytes]) -> Iterator[bytes]:
    while part := stream.read(_PART):
        yield part
