"""Stages: UpdateStage, and their tags.

moto 5.2.5 has no UpdateStage, knows no address for the tags of a stage, and keeps them in the stage alone.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from urllib.parse import unquote

from moto.apigatewayv2 import urls
from moto.apigatewayv2.models import ApiGatewayV2Backend, Stage
from moto.apigatewayv2.responses import ApiGatewayV2Response
from moto.core.common_types import TYPE_RESPONSE

_TAGS = "{0}/v2/tags/(?P<arn>[^/]+)/apis/(?P<api_id>[^/]+)/stages/(?P<stage>[^/]+)$"
_STAGE = re.compile(r"arn:.*::/apis/([^/]+)/stages/([^/]+)")
_CHANGEABLE = {
    "accessLogSettings": "access_log_settings",
    "autoDeploy": "auto_deploy",
    "clientCertificateId": "client_certificate_id",
    "defaultRouteSettings": "default_route_settings",
    "description": "description",
    "routeSettings": "route_settings",
    "stageVariables": "stage_variables",
}


def install() -> None:
    """Add UpdateStage, and let TagResource and UntagResource reach stages."""
    urls.url_paths[_TAGS] = ApiGatewayV2Response.dispatch
    tag, untag = ApiGatewayV2Backend.tag_resource, ApiGatewayV2Backend.untag_resource

    def update_stage(self: ApiGatewayV2Response) -> TYPE_RESPONSE:
        *_, api_id, _, name = self.path.split("/")
        stage = self.apigatewayv2_backend.get_api(api_id).get_stage(unquote(name))
        for key, value in json.loads(self.body).items():
            if key in _CHANGEABLE:
                setattr(stage, _CHANGEABLE[key], value)
        stage.updated = datetime.now()
        return 200, {}, json.dumps(stage.to_json())

    def tag_resource(self: ApiGatewayV2Backend, resource_arn: str, tags: dict[str, str]) -> None:
        if stage := _stage(self, resource_arn):
            stage.tags = {**stage.tags, **tags}
        else:
            tag(self, resource_arn, tags)

    def untag_resource(self: ApiGatewayV2Backend, resource_arn: str, tag_keys: list[str]) -> None:
        if stage := _stage(self, resource_arn):
            stage.tags = {key: value for key, value in stage.tags.items() if key not in tag_keys}
        else:
            untag(self, resource_arn, tag_keys)

    ApiGatewayV2Response.update_stage = update_stage  # type: ignore[attr-defined]
    ApiGatewayV2Backend.tag_resource = tag_resource  # type: ignore[method-assign]
    ApiGatewayV2Backend.untag_resource = untag_resource  # type: ignore[method-assign]


def _stage(backend: ApiGatewayV2Backend, arn: str) -> Stage | None:
    found = _STAGE.fullmatch(arn)
    return backend.get_api(found[1]).get_stage(found[2]) if found else None
