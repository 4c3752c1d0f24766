"""SageMaker pipelines: a definition as JSON is checked, then run step by step, as the service would.

``definition.parse`` checks a definition, ``service.Executions`` runs it. See each module for one idea.
"""

from mlops_sandbox.pipelines.definition import parse
from mlops_sandbox.pipelines.errors import DefinitionError, Problem
from mlops_sandbox.pipelines.service import Executions

__all__ = ["DefinitionError", "Executions", "Problem", "parse"]
