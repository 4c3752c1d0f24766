"""What commands tell people: whose credentials are wanted, and where to look."""

from configuration.errors import UserError
from release.aws import Session, caller

from .config import Settings
from .follow import PATIENCE


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


def where_to_look(settings: Settings, environment: str) -> str:
    """What to do when an upload has started nothing."""
    slug = settings.project.slug
    return (
        f"nothing has started for {PATIENCE / 60:.0f} minutes. Look at the EventBridge rule "
        f"{slug}-input-{environment} (is it enabled, does it see the file?), and at the queue "
        f"{slug}-undelivered-{environment}, which holds what the rule could not deliver"
    )
