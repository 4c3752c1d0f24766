"""IAM: who may do what.

``acting.role_environment`` gives a service the keys of a role. With ``Sandbox(enforce_iam=True)`` a request
signed with a role's keys may do only what the role's policies allow; without it, every principal counts as an
administrator of its own account, and only policies of resources (buckets, keys, roles' trust) are looked at.
"""
