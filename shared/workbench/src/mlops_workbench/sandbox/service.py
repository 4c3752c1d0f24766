"""What a service is: the protocol behind which each of them stands; ``server`` goes through their list."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from mlops_workbench.sandbox.session import Event, Session

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]
#: The host of an HTTP API, whose first part is its id: requests to it are not calls of AWS.
EXECUTE_API = re.compile(r"([a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?")


class Service:
    """An AWS service of the sandbox: moto's, with what moto lacks. Every method may be left out."""

    def install(self) -> None:
        """Patch moto, once for the process: what it has not, or answers wrongly for the templates' use."""

    def start(self, session: Session) -> None:
        """Begin with an open sandbox, whose server answers: settle what an earlier process left behind.

        Raises:
            SandboxError: a setting cannot be read.
        """

    def stop(self, session: Session) -> None:
        """End what runs and wait for its end; the server still answers, and nothing else starts."""

    def deliver(self, event: Event) -> None:
        """Take an event that another service, or this one, has emitted."""

    def addresses(self, application: Application) -> Application:
        """Put what answers at addresses of its own (an HTTP API's) before moto; within the gate."""
        return application

    def runtime(self, application: Application) -> Application:
        """Put what serves for a long time (a model) before everything, outside the gate."""
        return application
