import json

import pytest

from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.services.sagemaker import s3
from mlops_workbench.sandbox.services.sagemaker.jobs import channels


def fetched(bucket, source, tmp_path, **host):
    folder = tmp_path / f"fetched-{len(list(tmp_path.iterdir()))}"
    channels.fetch(bucket.client, channels.find(bucket.client, source, **host), folder)
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }  # fmt: skip


@pytest.fixture
def data(bucket):
    for key in ("data/train/a.csv", "data/train/sub/b.csv", "data/train.csv", "data/trainer/c.csv"):
        bucket.put(key, key)
    bucket.put("data/train/")  # the console's marker of a folder
    return bucket


def test_a_prefix_with_a_slash_is_a_folder(data, tmp_path):
    found = fetched(data, channels.Source(data.uri("data/train/")), tmp_path)
    assert found == {"a.csv": "data/train/a.csv", "sub/b.csv": "data/train/sub/b.csv"}


def test_a_prefix_without_a_slash_takes_what_starts_with_it(data, tmp_path):
    found = fetched(data, channels.Source(data.uri("data/train")), tmp_path)
    assert set(found) == {"a.csv", "sub/b.csv", "train.csv", "trainer/c.csv"}


def test_the_key_of_an_object_is_that_object(data, tmp_path):
    assert fetched(data, channels.Source(data.uri("data/train.csv")), tmp_path) == {
        "train.csv": "data/train.csv"
    }


def test_a_whole_bucket_can_be_a_source(data, tmp_path):
    assert len(fetched(data, channels.Source(f"s3://{data.name}"), tmp_path)) == 4


def test_more_objects_than_a_page_of_the_listing_holds(bucket, monkeypatch):
    for number in range(5):
        bucket.put(f"many/{number}")
    paginate = bucket.client.get_paginator
    monkeypatch.setattr(bucket.client, "get_paginator", lambda name: Small(paginate(name)))
    assert len(list(s3.keys(bucket.client, bucket.uri("many/")))) == 5


class Small:
    """A paginator with pages of two."""

    def __init__(self, paginator):
        self.paginator = paginator

    def paginate(self, **request):
        return self.paginator.paginate(**request, PaginationConfig={"PageSize": 2})


def test_shards_are_disjoint_and_whole(data, tmp_path):
    source = channels.Source(data.uri("data/"), sharded=True)
    parts = [fetched(data, source, tmp_path, host=host, hosts=3) for host in range(3)]
    names = [name for part in parts for name in part]
    assert len(names) == len(set(names)) == 4


def test_a_replicated_source_goes_to_every_host(data, tmp_path):
    source = channels.Source(data.uri("data/"))
    assert len(fetched(data, source, tmp_path, host=1, hosts=2)) == 4


def test_a_manifest_names_the_objects(data, tmp_path):
    manifest = [{"prefix": data.uri("data/")}, "train/a.csv", "train.csv"]
    data.put("manifest", json.dumps(manifest))
    found = fetched(data, channels.Source(data.uri("manifest"), manifest=True), tmp_path)
    assert set(found) == {"train/a.csv", "train.csv"}


@pytest.mark.parametrize("content", ["{", "{}", "[]", '["x"]', '[{"prefx": "s3://b/"}]'])
def test_a_manifest_that_is_none_is_explained(bucket, content):
    bucket.put("manifest", content)
    with pytest.raises(JobFailed, match="expected a manifest"):
        channels.find(bucket.client, channels.Source(bucket.uri("manifest"), manifest=True))


def test_a_key_that_leads_out_of_the_folder_is_refused(bucket, tmp_path):
    items = [channels.Item(bucket.name, "k", "../outside")]
    with pytest.raises(JobFailed, match="outside its folder"):
        channels.fetch(bucket.client, items, tmp_path / "folder")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://test-bucket/none/", "no objects under s3://test-bucket/none/"),
        ("s3://no-such-bucket/x", "cannot list s3://no-such-bucket/x: .*NoSuchBucket"),
        ("https://example.org/x", "expected an S3 URI, s3://bucket/prefix, got 'https://example.org/x'"),
    ],
)
def test_a_source_that_is_not_there_is_named(bucket, uri, message):
    with pytest.raises(JobFailed, match=message):
        channels.find(bucket.client, channels.Source(uri))


@pytest.mark.parametrize("kind", ["AugmentedManifestFile", "Converse"])
def test_a_data_type_that_is_not_offered_is_refused(kind):
    with pytest.raises(JobFailed, match=f"expected S3Prefix or ManifestFile, got {kind}"):
        channels.Source.of({"S3Uri": "s3://b/k", "S3DataType": kind})


def test_a_folder_is_sent_with_its_paths(bucket, tmp_path):
    (tmp_path / "out" / "sub").mkdir(parents=True)
    (tmp_path / "out" / "a").write_text("1")
    (tmp_path / "out" / "sub" / ".hidden").write_text("2")
    assert channels.send(bucket.client, tmp_path / "out", bucket.uri("result/")) == 2
    assert bucket.keys() == ["result/a", "result/sub/.hidden"]


def test_sending_into_a_bucket_that_does_not_exist_is_explained(bucket, tmp_path):
    (tmp_path / "a").write_text("1")
    with pytest.raises(JobFailed, match="cannot write s3://no-such-bucket/x/a"):
        channels.send(bucket.client, tmp_path, "s3://no-such-bucket/x")
