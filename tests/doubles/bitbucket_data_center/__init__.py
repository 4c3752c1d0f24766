"""A test double of Bitbucket Data Center: REST API, git over HTTPS and webhooks, on real git repositories.

    with BitbucketDataCenter(folder) as bitbucket:
        bitbucket.create_project("ML")
        repository = bitbucket.create_repository("ML", "email-router")
        subprocess.run(["git", "push", repository.clone_url, "main"], env=bitbucket.git_environment())

Built from the published API (https://developer.atlassian.com/server/bitbucket/rest/) and the published
payloads (https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html). What it does not do:
users and groups (a token has one permission for everything), pull requests, and the effect of branch
permissions, which are only kept.
"""

from bitbucket_data_center.faults import Faults
from bitbucket_data_center.server import BitbucketDataCenter
from bitbucket_data_center.store import Repository
from bitbucket_data_center.webhooks import Delivery, sign

__all__ = ["BitbucketDataCenter", "Delivery", "Faults", "Repository", "sign"]
