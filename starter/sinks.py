"""The place of archives and reports that a command works with, opened and closed in one place."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starter.errors import CommandError
from starter.exit_codes import ExitCode

if TYPE_CHECKING:
    from openedx.sinks import Sink
    from openedx.site import BucketPlace, DirectoryPlace

NO_DRIVE = (
    "There is no sink for Google Drive. Name a `directory` that a Drive client or `rclone mount` keeps in step with the "
    "shared drive, or a `bucket`."
)


@asynccontextmanager
async def open_sink(place: "DirectoryPlace | BucketPlace") -> "AsyncIterator[Sink]":
    """A place of the site's file.

    Raises:
        CommandError: it can't be used from here.
    """
    from openedx.sinks import SinkError, sink_at

    try:
        sink = sink_at(place)
    except SinkError as error:
        raise CommandError(str(error), do="", code=ExitCode.NOT_SET_UP) from None
    except ModuleNotFoundError:
        raise CommandError(
            "Buckets need an S3 client, which isn't installed here.",
            do="Install it: pip install 'account-retirement[s3]'.",
            code=ExitCode.NOT_SET_UP,
        ) from None
    try:
        yield sink
    finally:
        await sink.close()
