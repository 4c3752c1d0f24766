"""Large objects: S3 reads the part that is asked for, so that a job can fetch a file in little memory."""

import tracemalloc

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox

MEBIBYTE = 1024 * 1024


def part(bucket, range_):
    answer = bucket.client.get_object(Bucket=bucket.name, Key="a", Range=range_)
    return answer["Body"].read(), answer.get("ContentRange"), answer["ContentLength"]


@pytest.mark.parametrize(
    ("range_", "content", "said"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=7-99", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=0-1,4-5", b"0123456789", None),
    ],
)
def test_a_range_is_that_part(bucket, range_, content, said):
    bucket.put("a", b"0123456789")
    assert part(bucket, range_) == (content, said, len(content))


def test_a_range_beyond_the_end_is_refused(bucket):
    bucket.put("a", b"0123")
    with pytest.raises(ClientError, match="InvalidRange"):
        part(bucket, "bytes=4-")


def test_ranges_of_a_large_object_are_all_that_is_read(bucket):
    bucket.put("a", b"x" * (64 * MEBIBYTE))
    tracemalloc.start()
    try:
        for number in range(8):
            assert (
                len(part(bucket, f"bytes={number * MEBIBYTE}-{(number + 1) * MEBIBYTE - 1}")[0]) == MEBIBYTE
            )
        assert tracemalloc.get_traced_memory()[1] < 16 * MEBIBYTE
    finally:
        tracemalloc.stop()


def test_a_restored_object_is_read_in_parts(tmp_path, images):
    with Sandbox(tmp_path / "s", images) as first:
        client = first.client("s3")
        place = {"LocationConstraint": "ca-central-1"}
        client.create_bucket(Bucket="kept", CreateBucketConfiguration=place)
        client.put_object(Bucket="kept", Key="a", Body=b"0123456789")
    with Sandbox(tmp_path / "s", images) as second:
        answer = second.client("s3").get_object(Bucket="kept", Key="a", Range="bytes=3-5")
        assert answer["Body"].read() == b"345"
        assert second.client("s3").get_object(Bucket="kept", Key="a")["Body"].read() == b"0123456789"
