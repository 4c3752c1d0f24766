"""A call that moto does not have answers 400 in its service's own protocol, not 500.

moto raises NotImplementedError, which its server turns into a 500: clients then repeat the call, for
minutes in the case of Terraform.
"""

from __future__ import annotations

import warnings
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse


class UnknownOperation(ServiceException):
    """The answer to a call that moto does not have."""

    code = "UnknownOperationException"


def install() -> None:
    """Patch the dispatcher that nearly all services share; ``loopback.answer_faults`` sees to the others."""
    dispatch = BaseResponse.call_action

    def call_action(self: BaseResponse) -> Any:
        try:
            return dispatch(self)
        except NotImplementedError as error:
            message = f"the sandbox does not have this call: {error}"
            # moto warns of a code that the service's own model does not list.
            warnings.filterwarnings("ignore", message=r"Exception\(UnknownOperation\)")
            return self.serialized(ActionResult(UnknownOperation(message)))

    BaseResponse.call_action = call_action  # type: ignore[method-assign]
