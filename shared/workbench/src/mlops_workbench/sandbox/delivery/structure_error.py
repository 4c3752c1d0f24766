"""The error that a pipeline's structure gives."""

#: The code for what CodePipeline has and the sandbox has not.
UNUSED = "ValidationException"


class StructureError(ValueError):
    """A pipeline that the service would not accept; ``code`` is the service's exception."""

    def __init__(self, message: str, code: str = "InvalidStructureException") -> None:
        super().__init__(message)
        self.code = code
