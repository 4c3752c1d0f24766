"""What AWS refuses, as a person's line."""

from collections.abc import Iterator
from contextlib import contextmanager

import botocore.exceptions

from configuration.errors import UserError


@contextmanager
def explained(subject: str) -> Iterator[None]:
    """Turn errors of the service into a UserError that names what was being done."""
    try:
        yield
    except botocore.exceptions.NoCredentialsError as error:
        raise UserError(
            "no AWS credentials: sign in (for example `aws sso login`) and set AWS_PROFILE, then try again; "
            "`make local` needs none"
        ) from error
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        raise UserError(f"{subject}: {error}") from error
