"""What can be made to go wrong with the REST API, a switch each."""

from dataclasses import dataclass
from typing import Literal

Place = Literal["api", "archive"]


@dataclass
class Faults:
    """Faults that are on; all are off at first. `where` is the requests that the first five hit.

    Attributes:
        where: every REST request, or only archives.
        status: answer this status (401, 403, 404, 429, 503, …) with an error.
        slow_seconds: wait so long before the answer begins.
        sign_in_page: answer 200 with a web page.
        sign_in_redirect: answer 302 to this URL.
        times: after so many requests the five are off again; None: they stay.
        drip: an archive comes a few bytes at a time, so many seconds apart.
        archive_bytes: an archive is a valid zip of about this size, sent without its length.
        archive_body: an archive is these bytes, whatever they are.
        archive_of: an archive is of this commit, and not of the one that was asked for.
        break_off: the connection ends after half of the archive: with its length announced, or in chunks.
    """

    where: Place = "api"
    status: int | None = None
    slow_seconds: float = 0.0
    sign_in_page: bool = False
    sign_in_redirect: str | None = None
    times: int | None = None
    drip: float = 0.0
    archive_bytes: int | None = None
    archive_body: bytes | None = None
    archive_of: str | None = None
    break_off: Literal["length", "chunks"] | None = None

    def clear(self) -> None:
        """Switch everything off."""
        self.__init__()  # type: ignore[misc]

    def strike(self, place: Place) -> bool:
        """Tell whether a request of this kind is hit, and count it."""
        on = self.status or self.slow_seconds or self.sign_in_page or self.sign_in_redirect
        if not on or (self.where == "archive" and place != "archive"):
            return False
        if self.times is not None:
            if self.times <= 0:
                return False
            self.times -= 1
        return True
