"""Where archives and reports go: a folder, or a bucket of an object store.

There is no sink for Google Drive. A folder that a Drive client or `rclone mount` keeps in step with a shared drive serves
instead: name it as `directory`.
"""

from openedx.sinks.directory import DirectorySink
from openedx.sinks.sink import Sink, SinkError, Stored
from openedx.site import BucketPlace, DirectoryPlace

__all__ = ["Sink", "SinkError", "Stored", "sink_at"]


def sink_at(place: DirectoryPlace | BucketPlace) -> Sink:
    """The sink of a place. Close it: it may hold connections.

    Raises:
        SinkError: it can't be used from this machine; the text says what is missing.
    """
    if isinstance(place, DirectoryPlace):
        return DirectorySink(place.directory)
    # Whoever has no bucket needs no S3 client.
    from openedx.sinks.s3 import S3Sink

    return S3Sink(place)
