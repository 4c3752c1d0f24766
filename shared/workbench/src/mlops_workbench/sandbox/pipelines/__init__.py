"""SageMaker pipelines: a definition as JSON is checked, then run step by step, as the service would.

``prepare`` checks a definition, its parameters and its requests; ``service.Executions`` runs it. Only the
latter needs an open sandbox, so this package can be imported without moto.
"""

from mlops_workbench.sandbox.pipelines.definition import parse
from mlops_workbench.sandbox.pipelines.errors import DefinitionError, Problem
from mlops_workbench.sandbox.pipelines.prepare import prepare

__all__ = ["DefinitionError", "Problem", "parse", "prepare"]
