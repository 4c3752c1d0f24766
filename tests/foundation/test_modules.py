"""The foundation's buckets and keys protect as the templates' do.

Why there are two of each: docs/decisions/terraform-modules.md.
"""

from __future__ import annotations

from pathlib import Path

import docs_hcl
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
MODULES = {
    "foundation": SHARED / "foundation/modules",
    "templates": SHARED / "parts/everywhere/terraform/modules",
}


def settings(block: docs_hcl.Block) -> object:
    """What a block sets, without the comments beside it."""
    return block.type, block.labels, block.attributes, [settings(one) for one in block.blocks]


def resource(folder: str, module: str, type: str) -> docs_hcl.Block:
    """The one resource of a type in a module."""
    found = docs_hcl.read(MODULES[folder] / module)
    (only,) = (block for block in found if block.type == "resource" and block.labels[0] == type)
    return only


@pytest.mark.parametrize(
    "type",
    [
        "aws_s3_bucket_notification",
        "aws_s3_bucket_ownership_controls",
        "aws_s3_bucket_public_access_block",
        "aws_s3_bucket_server_side_encryption_configuration",
        "aws_s3_bucket_versioning",
    ],
)
def test_both_buckets_are_private_versioned_and_encrypted_in_the_same_way(type: str) -> None:
    ours, theirs = (settings(resource(folder, "bucket", type)) for folder in MODULES)
    assert ours == theirs


def test_both_keys_are_rotated_and_can_be_had_back_for_as_long() -> None:
    ours, theirs = (resource(folder, "key", "aws_kms_key").attributes for folder in MODULES)
    assert ours == theirs and ours["enable_key_rotation"] == "true"


@pytest.mark.parametrize(("module", "type"), [("bucket", "aws_s3_bucket"), ("key", "aws_kms_key")])
def test_only_the_foundation_s_are_never_destroyed_by_terraform(module: str, type: str) -> None:
    (lifecycle,) = resource("foundation", module, type).all("lifecycle")
    assert lifecycle.attributes == {"prevent_destroy": "true"}
    assert not resource("templates", module, type).all("lifecycle")
