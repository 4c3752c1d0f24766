"""What the commands that people run with credentials of their own have in common."""

from configuration.errors import UserError
from release.aws import Session, caller

from .config import Settings


def stop_on_other_account(settings: Settings, own: Session, environment: str) -> None:
    """Looks whose credentials these are before anything is read or written.

    Raises:
        UserError: another account's, or none.
    """
    found, wanted = caller(own), settings.account(environment)
    if found.account != wanted:
        raise UserError(
            f"AWS credentials: expected account {wanted} (that of {environment}), got account "
            f"{found.account} ({found.arn}); choose other credentials, for example with AWS_PROFILE"
        )
