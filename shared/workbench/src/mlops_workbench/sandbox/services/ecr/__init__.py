"""Amazon ECR: images that can be pulled again.

moto 5.2.5 keeps of a layer its size alone, has no GetDownloadUrlForLayer, and makes up the digest of an
image. Here the bytes of layers are files in the sandbox's folder, named by their content, and a download's
URL is that of a file: whoever pulls is on this machine.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from moto.core.responses import ActionResult
from moto.ecr.exceptions import InvalidParameterException, RepositoryNotFoundException
from moto.ecr.models import ECRBackend, Image
from moto.ecr.responses import ECRResponse

from mlops_workbench.sandbox.service import Service
from mlops_workbench.sandbox.session import current

FOLDER = "registry"


def install() -> None:
    """Patch moto."""
    complete, put = ECRBackend.complete_layer_upload, ECRBackend.put_image

    def complete_layer_upload(
        self: ECRBackend,
        repository_name: str,
        upload_id: str,
        layer_digests: list[str],
        registry_id: str | None = None,
    ) -> dict[str, Any]:
        upload = self._get_repository(repository_name, registry_id).uploads.get(upload_id)
        if upload is not None:
            digest = f"sha256:{hashlib.sha256(upload.layer_parts).hexdigest()}"
            if digest not in layer_digests:
                raise InvalidParameterException(
                    f"Layer digest: expected {', '.join(layer_digests)}, the uploaded bytes have {digest}"
                )
            _keep(digest, bytes(upload.layer_parts))
        return complete(self, repository_name, upload_id, layer_digests, registry_id)

    def put_image(
        self: ECRBackend,
        repository_name: str,
        image_manifest: str,
        image_tag: str,
        image_manifest_mediatype: str | None = None,
        digest: str | None = None,
    ) -> Image:
        if repository_name not in self.repositories:
            raise RepositoryNotFoundException(repository_name, self.account_id)
        digest = digest or f"sha256:{hashlib.sha256(image_manifest.encode()).hexdigest()}"
        return put(self, repository_name, image_manifest, image_tag, image_manifest_mediatype, digest)

    ECRBackend.complete_layer_upload = complete_layer_upload  # type: ignore[method-assign]
    ECRBackend.put_image = put_image  # type: ignore[method-assign]
    ECRResponse.get_download_url_for_layer = get_download_url_for_layer  # type: ignore[assignment,method-assign]


def get_download_url_for_layer(self: ECRResponse) -> ActionResult:
    """Return where a layer's bytes are."""
    name, digest = self._get_param("repositoryName"), self._get_param("layerDigest")
    repository = self.ecr_backend._get_repository(name, self._get_param("registryId"))
    if digest not in repository.layers or not _file(digest).is_file():
        raise InvalidParameterException(f"Layer {digest} is not in the repository {name}")
    return ActionResult({"downloadUrl": _file(digest).as_uri(), "layerDigest": digest})


def _keep(digest: str, content: bytes) -> None:
    path = _file(digest)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    os.replace(fresh, path)


def _file(digest: str) -> Path:
    return current().folder / FOLDER / digest.removeprefix("sha256:")


class Ecr(Service):
    """Repositories."""

    def install(self) -> None:
        """Patch moto."""
        install()


SERVICE = Ecr()
