"""What the builds tell Terraform, and what they read from it."""

import json

from release import locks, terraform

STATE = terraform.State(
    "mlops-terraform-state-1-ca",
    "deployment/x/staging.tfstate",
    "ca-central-1",
    "arn:aws:iam::111111111111:role/r",
)


def test_the_backend_assumes_the_deployment_role_and_locks() -> None:
    lines = terraform.backend(STATE).splitlines()
    assert 'key = "deployment/x/staging.tfstate"' in lines
    assert "use_lockfile = true" in lines and not [line for line in lines if line.startswith("encrypt")]
    (role,) = [line for line in lines if line.startswith("assume_role")]
    assert json.loads(role.partition(" = ")[2])["role_arn"] == STATE.role_arn


def test_a_lock_s_id_is_read_and_nothing_else_is_taken_for_one() -> None:
    lock = "0f6f4d47-6a5b-8c1e-3f7f-0a0a0a0a0a0a"
    assert locks.lock_id(json.dumps({"ID": lock, "Who": "root@build"})) == lock
    for text in ("", "{}", "[]", '{"ID": "-force"}', '{"ID": 3}'):
        assert locks.lock_id(text) is None


def test_what_a_plan_makes_for_the_first_time_is_told_from_what_it_replaces() -> None:
    def change(address: str, kind: str, actions: list[str], after: object, mode: str = "managed") -> object:
        return {
            "address": address,
            "type": kind,
            "mode": mode,
            "change": {"actions": actions, "after": after},
        }

    plan = {
        "resource_changes": [
            change("aws_sagemaker_endpoint.this[0]", "aws_sagemaker_endpoint", ["create"], {"name": "e"}),
            change("aws_sagemaker_model.this[0]", "aws_sagemaker_model", ["create", "delete"], {"name": "m"}),
            change("aws_iam_role.this", "aws_iam_role", ["create"], {}),
            change("aws_x.gone", "aws_x", ["delete"], None),
            change("data.aws_y.z", "aws_y", ["create"], {"name": "z"}, mode="data"),
        ]
    }
    assert terraform.new_in(plan) == [
        ("aws_sagemaker_endpoint.this[0]", "aws_sagemaker_endpoint", "e"),
        ("aws_iam_role.this", "aws_iam_role", None),
    ]
