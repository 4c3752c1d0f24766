import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox

GROUP = "Email-Router"
SPECIFICATION = {
    "Containers": [{"Image": "image", "ModelDataUrl": "s3://b/model.tar.gz", "Environment": {"A": "1"}}],
    "SupportedContentTypes": ["application/json"],
    "SupportedResponseMIMETypes": ["application/json"],
}
GIVEN = {
    "ModelPackageDescription": "a description",
    "InferenceSpecification": SPECIFICATION,
    "MetadataProperties": {"CommitId": "abc", "Repository": "r", "GeneratedBy": "g", "ProjectId": "p"},
    "CustomerMetadataProperties": {"data-hash": "123", "config": "x"},
    "ModelMetrics": {
        "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/e.json"}}
    },
    "ModelApprovalStatus": "PendingManualApproval",
    "Domain": "NATURAL_LANGUAGE_PROCESSING",
    "Task": "CLASSIFICATION",
    "SkipModelValidation": "All",
}


@pytest.fixture
def sagemaker(sandbox):
    client = sandbox.client("sagemaker")
    client.create_model_package_group(ModelPackageGroupName=GROUP, Tags=[{"Key": "team", "Value": "a"}])
    return client


def register(sagemaker, **changes):
    answer = sagemaker.create_model_package(**{"ModelPackageGroupName": GROUP, **GIVEN, **changes})
    return answer["ModelPackageArn"]


def versions(sagemaker, **request):
    pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=GROUP, **request)
    return [entry["ModelPackageVersion"] for page in pages for entry in page["ModelPackageSummaryList"]]


def test_a_package_is_described_as_it_was_given(sagemaker):
    arn = register(sagemaker)
    described = sagemaker.describe_model_package(ModelPackageName=arn)
    assert arn == f"arn:aws:sagemaker:ca-central-1:111111111111:model-package/{GROUP}/1"
    assert {key: described[key] for key in GIVEN} == GIVEN
    assert described["ModelPackageVersion"] == 1
    assert described["ModelPackageGroupName"] == GROUP
    assert described["ModelPackageStatus"] == "Completed"


def test_approval_is_pending_unless_given(sagemaker):
    arn = sagemaker.create_model_package(
        ModelPackageGroupName=GROUP, InferenceSpecification=SPECIFICATION
    )["ModelPackageArn"]  # fmt: skip
    described = sagemaker.describe_model_package(ModelPackageName=arn)
    assert described["ModelApprovalStatus"] == "PendingManualApproval"


def test_a_deleted_version_is_not_given_out_again(sagemaker):
    register(sagemaker)
    second = register(sagemaker)
    sagemaker.delete_model_package(ModelPackageName=second)
    assert register(sagemaker).endswith("/3")
    assert versions(sagemaker) == [1, 3]
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.describe_model_package(ModelPackageName=second)


def test_versions_are_listed_oldest_first_in_pages_unless_asked_otherwise(sagemaker):
    for _ in range(12):
        register(sagemaker)
    first_page = sagemaker.list_model_packages(ModelPackageGroupName=GROUP)
    assert len(first_page["ModelPackageSummaryList"]) == 10
    assert "NextToken" in first_page
    assert versions(sagemaker) == list(range(1, 13))
    assert versions(sagemaker, SortOrder="Descending") == list(range(12, 0, -1))
    page = sagemaker.list_model_packages(ModelPackageGroupName=GROUP, SortOrder="Descending", MaxResults=1)
    assert page["ModelPackageSummaryList"][0]["ModelPackageVersion"] == 12


def test_an_unknown_page_is_refused(sagemaker):
    with pytest.raises(ClientError, match="NextToken"):
        sagemaker.list_model_packages(ModelPackageGroupName=GROUP, NextToken="bm90aGluZw==")


def test_packages_are_filtered_by_approval(sagemaker):
    arns = [register(sagemaker) for _ in range(3)]
    sagemaker.update_model_package(ModelPackageArn=arns[1], ModelApprovalStatus="Approved")
    assert versions(sagemaker, ModelApprovalStatus="Approved") == [2]
    assert versions(sagemaker, ModelApprovalStatus="PendingManualApproval") == [1, 3]
    assert versions(sagemaker, ModelApprovalStatus="Rejected") == []


def test_an_update_changes_what_is_given_and_nothing_else(sagemaker):
    arn = register(sagemaker)
    sagemaker.update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription="good",
        CustomerMetadataProperties={"more": "1"},
        CustomerMetadataPropertiesToRemove=["config"],
    )
    sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"again": "2"})
    described = sagemaker.describe_model_package(ModelPackageName=arn)
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["ApprovalDescription"] == "good"
    assert described["CustomerMetadataProperties"] == {"data-hash": "123", "more": "1", "again": "2"}
    assert described["ModelMetrics"] == GIVEN["ModelMetrics"]
    assert described["LastModifiedTime"] > described["CreationTime"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"ModelPackageGroupName": "none"}, "Model Package Group none does not exist"),
        ({"ModelPackageGroupName": GROUP, "ModelPackageName": "x"}, "Exactly one of"),
        ({}, "Exactly one of"),
    ],
)
def test_a_package_without_one_place_is_refused(sagemaker, request_, message):
    with pytest.raises(ClientError, match=message):
        sagemaker.create_model_package(InferenceSpecification=SPECIFICATION, **request_)


def test_a_status_that_does_not_exist_is_refused(sagemaker):
    arn = register(sagemaker)
    with pytest.raises(ClientError, match="got 'approved'"):
        sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="approved")
    assert versions(sagemaker, ModelApprovalStatus="PendingManualApproval") == [1]


def test_unversioned_packages_are_listed_apart(sagemaker):
    register(sagemaker)
    sagemaker.create_model_package(ModelPackageName="Alone", InferenceSpecification=SPECIFICATION)
    names = [
        entry.get("ModelPackageName")
        for entry in sagemaker.list_model_packages()["ModelPackageSummaryList"]
    ]  # fmt: skip
    assert names == ["Alone"]
    assert sagemaker.describe_model_package(ModelPackageName="Alone")["ModelPackageName"] == "Alone"
    both = sagemaker.list_model_packages(ModelPackageType="Both")["ModelPackageSummaryList"]
    assert len(both) == 2


def test_a_packages_tags_can_be_listed_and_changed(sagemaker):
    arn = register(sagemaker, Tags=[{"Key": "a", "Value": "1"}])
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]


def test_another_account_does_not_see_the_package(sandbox, sagemaker):
    arn = register(sagemaker)
    other = sandbox.client("sagemaker", account="222222222222")
    with pytest.raises(ClientError, match="is not authorized to perform: sagemaker:DescribeModelPackage"):
        other.describe_model_package(ModelPackageName=arn)


def test_a_group_can_be_made_once_and_deleted_when_it_is_empty(sagemaker):
    with pytest.raises(ClientError, match="already exists"):
        sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
    arn = register(sagemaker)
    with pytest.raises(ClientError, match="cannot be deleted"):
        sagemaker.delete_model_package_group(ModelPackageGroupName=GROUP)
    sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=GROUP)
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.describe_model_package_group(ModelPackageGroupName=GROUP)


def test_a_group_is_described_by_name_and_arn(sagemaker):
    by_name = sagemaker.describe_model_package_group(ModelPackageGroupName=GROUP)
    by_arn = sagemaker.describe_model_package_group(ModelPackageGroupName=by_name["ModelPackageGroupArn"])
    assert by_arn["ModelPackageGroupName"] == by_name["ModelPackageGroupName"] == GROUP


def test_a_groups_policy_is_kept_as_it_was_given(sagemaker):
    policy = '{"Version": "2012-10-17",  "Statement": []}'
    with pytest.raises(ClientError, match="Cannot find resource policy"):
        sagemaker.get_model_package_group_policy(ModelPackageGroupName=GROUP)
    sagemaker.put_model_package_group_policy(ModelPackageGroupName=GROUP, ResourcePolicy=policy)
    kept = sagemaker.get_model_package_group_policy(ModelPackageGroupName=GROUP)
    assert kept["ResourcePolicy"] == policy
    sagemaker.delete_model_package_group_policy(ModelPackageGroupName=GROUP)
    with pytest.raises(ClientError, match="Cannot find resource policy"):
        sagemaker.get_model_package_group_policy(ModelPackageGroupName=GROUP)
    with pytest.raises(ClientError, match="expected JSON"):
        sagemaker.put_model_package_group_policy(ModelPackageGroupName=GROUP, ResourcePolicy="{")


def test_the_registry_is_there_again_after_a_restart(tmp_path):
    with Sandbox(tmp_path) as sandbox:
        client = sandbox.client("sagemaker")
        client.create_model_package_group(ModelPackageGroupName=GROUP)
        arn = register(client)
        client.delete_model_package(ModelPackageName=register(client))
        before = client.describe_model_package(ModelPackageName=arn)
    with Sandbox(tmp_path) as sandbox:
        client = sandbox.client("sagemaker")
        after = client.describe_model_package(ModelPackageName=arn)
        assert register(client).endswith("/3")
    assert {**after, "ResponseMetadata": 0} == {**before, "ResponseMetadata": 0}


def test_a_card_comes_back_as_it_was_given(sagemaker):
    content = '{"model_overview":{"model_creator":"a"},"evaluation_details":[{"name":"Test set"}]}'
    card = {"ModelCardContent": content, "ModelCardStatus": "PendingReview"}
    arn = register(sagemaker, ModelCard=card)
    assert sagemaker.describe_model_package(ModelPackageName=arn)["ModelCard"] == card


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ("[]", "expected an object, got list"),
        ('{"model_package_details": {}}', "has no model_package_details"),
        ('{"model_overview": {"model_name": "a"}}', "has no model_overview.model_name"),
        ('{"a":\n1}', "expected one line"),
        (f'"{"x" * 100_000}"', "at most 100000 characters"),
    ],
)
def test_a_card_of_another_layout_is_refused(sagemaker, content, message):
    with pytest.raises(ClientError, match=message):
        register(sagemaker, ModelCard={"ModelCardContent": content, "ModelCardStatus": "Draft"})
