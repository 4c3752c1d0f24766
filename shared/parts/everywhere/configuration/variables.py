"""Environment variables of a model's container: names that do no harm, values that are no secrets."""

import re

MOST_VARIABLES, LONGEST_VARIABLE = 100, 1024  # botocore: EnvironmentMap, EnvironmentValue
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"(^|_)(SECRET|PASSWORD|PASSWD|TOKEN|KEY|CREDENTIALS?)$", re.IGNORECASE)
#: What the container, the model package or the service sets: another value breaks serving, or the choice
#: of the model.
_RESERVED = re.compile(
    r"SAGEMAKER_(PROGRAM|SUBMIT_DIRECTORY|REGION|BASE_DIR|HANDLER|BIND_TO_PORT|SAFE_PORT_RANGE|MULTI_MODEL)"
    r"|HF_MODEL_ID|AWS_.*|PATH|PYTHONPATH|PYTHONHOME|LD_PRELOAD|LD_LIBRARY_PATH"
)


def harmless(variables: dict[str, str]) -> dict[str, str]:
    """The variables; for a field validator of pydantic.

    Raises:
        ValueError: there are too many, or one of them breaks the container or shows a secret.
    """
    if len(variables) > MOST_VARIABLES:
        raise ValueError(f"at most {MOST_VARIABLES} variables")
    for name, value in variables.items():
        problem = _problem(name, value)
        if problem:
            raise ValueError(f"{name}: {problem}")
    return variables


def _problem(name: str, value: str) -> str | None:
    if not _VARIABLE.fullmatch(name) or len(name) > LONGEST_VARIABLE:
        return "expected a name of letters, digits and underscores that does not begin with a digit"
    if _RESERVED.fullmatch(name):
        return "expected another variable: this one is the container's own, and changing it breaks serving"
    if _SECRET.search(name):
        return (
            "expected no secret, as whoever may describe the model can read it; keep it in AWS Secrets "
            "Manager, let inference.py read it there, and give only its ARN here, in a variable such as "
            f"{_SECRET.sub('', name) or 'SERVICE'}_SECRET_ARN"
        )
    if len(value) > LONGEST_VARIABLE:
        return f"expected at most {LONGEST_VARIABLE} characters, got {len(value)}"
    return None
