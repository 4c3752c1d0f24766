"""A job's surroundings: its log stream."""

import threading
from typing import Any

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.containers.context import open_log_stream


def test_two_that_log_into_a_new_group_at_the_same_moment_both_get_their_stream(tmp_path: Any) -> None:
    with Sandbox(tmp_path) as sandbox:
        client = sandbox.client("logs")
        create, both = client.create_log_stream, threading.Barrier(2)
        threads_first = threading.local()

        def create_once_both_are_here(**names: str) -> Any:
            if not getattr(threads_first, "seen", False):
                threads_first.seen = True
                try:
                    return create(**names)
                finally:
                    both.wait(30)  # neither goes on to make the group before both have missed it
            return create(**names)

        client.create_log_stream = create_once_both_are_here
        threads = [
            threading.Thread(target=open_log_stream, args=(client, "/aws/codebuild/new", name))
            for name in ("first", "second")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        made = client.describe_log_streams(logGroupName="/aws/codebuild/new")["logStreams"]
        assert sorted(one["logStreamName"] for one in made) == ["first", "second"]
