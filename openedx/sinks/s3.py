"""A bucket of an object store that speaks S3, as a place for files.

Every object is encrypted at rest by the store, as the place says (`AES256` or `aws:kms`, with the bucket's key); a store that
doesn't confirm it is refused, unless the place leaves that to the bucket (`none`). Deleting takes every version of an object,
so a versioned bucket keeps none; it needs s3:ListBucketVersions and s3:DeleteObjectVersion besides s3:GetObject,
s3:PutObject, s3:DeleteObject and s3:ListBucket.

Stores know no expiry of a single object but as a header that says it; what deletes is whoever put it there, and
beside that a lifecycle rule of the bucket, if it has one.
"""

import asyncio
import base64
import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from openedx.sinks.sink import SinkError, Stored, check_key
from openedx.site import BucketPlace
from plans.secrets import SecretMissing, resolve

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

T = TypeVar("T")

_CONNECT_SECONDS, _READ_SECONDS, _TRIES = 5, 60, 4
_NOT_THERE = frozenset({"404", "NoSuchKey", "NotFound"})
_NO_VERSIONS = frozenset({"NotImplemented", "501", "MethodNotAllowed", "405"})
_NOT_ALLOWED = frozenset({"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"})


class S3Sink:
    """Objects of one bucket, below one prefix."""

    def __init__(self, place: BucketPlace) -> None:
        self._bucket = place.bucket
        self._prefix = place.prefix
        self._encryption = place.encryption
        self._client = _client(place)

    @property
    def where(self) -> str:
        """Bucket and prefix."""
        return f"the bucket {self._bucket}" + (f" below {self._prefix}" if self._prefix else "")

    async def check(self, *, folders: Sequence[str] = ()) -> None:
        """The bucket has to be there, and to let us list it. Its folders are parts of keys: there is nothing to make."""

        def check() -> None:
            for folder in folders:
                check_key(folder)
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)

        await self._do(check)

    async def put(self, *, key: str, content: bytes, content_type: str, expires_at: datetime | None = None) -> None:
        """Store and read back; the store checks the content against our digest, too."""

        def put() -> None:
            if self._is_kept(key, content=content):
                return
            options: dict[str, Any] = {"Expires": expires_at} if expires_at is not None else {}
            if self._encryption != "none":
                options["ServerSideEncryption"] = self._encryption
            digest = hashlib.md5(content, usedforsecurity=False).digest()
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._key(key),
                Body=content,
                ContentType=content_type,
                ContentMD5=base64.b64encode(digest).decode("ascii"),
                **options,
            )
            read = self._read(key)
            if read is None or read[0] != content:
                raise SinkError(
                    f"{self._told} gave back something else than was put there. See that nothing else writes to it."
                )
            if not self._is_encrypted(read[1]):
                self._delete(key)
                raise SinkError(
                    f"{self._told} does not confirm that it encrypts objects ({self._encryption}), so nothing was left in "
                    "it. Use a store that does, or write `encryption: none` where the bucket or its disks do it anyway."
                )

        await self._do(put)

    async def read(self, *, key: str) -> bytes | None:
        """Read the object."""
        found = await self._do(lambda: self._read(key))
        return None if found is None else found[0]

    async def exists(self, *, key: str) -> bool:
        """Ask for the object's head."""

        def exists() -> bool:
            try:
                self._client.head_object(Bucket=self._bucket, Key=self._key(key))
            except ClientError as error:
                if _code_of(error) in _NOT_THERE:
                    return False
                raise
            return True

        return await self._do(exists)

    async def list(self, *, prefix: str = "") -> list[Stored]:
        """Objects; one was created when it was stored last."""

        def listed() -> list[Stored]:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            return [
                Stored(
                    key=found["Key"].removeprefix(self._prefix), size=found["Size"], created_at=found["LastModified"]
                )
                for page in pages
                for found in page.get("Contents", [])
                # Some tools make empty objects that stand for folders.
                if not found["Key"].endswith("/")
            ]

        return await self._do(listed)

    async def delete(self, *, key: str) -> bool:
        """Delete every version."""
        return await self._do(lambda: self._delete(key))

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self._client.close)

    @property
    def _told(self) -> str:
        return self.where[0].upper() + self.where[1:]

    def _key(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _is_kept(self, key: str, *, content: bytes) -> bool:
        read = self._read(key)
        return read is not None and read[0] == content and self._is_encrypted(read[1])

    def _is_encrypted(self, encryption: str | None) -> bool:
        return self._encryption in ("none", encryption)

    def _read(self, key: str) -> tuple[bytes, str | None] | None:
        """An object's content, and how it is encrypted."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(key))
        except ClientError as error:
            if _code_of(error) in _NOT_THERE:
                return None
            raise
        with answer["Body"] as body:
            return body.read(), answer.get("ServerSideEncryption")

    def _delete(self, key: str) -> bool:
        full = self._key(key)
        try:
            pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=full)
            versions = [
                found["VersionId"]
                for page in pages
                for found in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
                if found["Key"] == full
            ]
        except ClientError as error:
            if _code_of(error) not in _NO_VERSIONS:
                raise
            was_there = self._read(key) is not None
            self._client.delete_object(Bucket=self._bucket, Key=full)
            return was_there
        for version in versions:
            self._client.delete_object(Bucket=self._bucket, Key=full, VersionId=version)
        return bool(versions)

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except ClientError as error:
            raise self._refused(_code_of(error)) from None
        except BotoCoreError as error:
            raise SinkError(
                f"{self._told} can't be reached ({type(error).__name__}). See its endpoint and region, the credentials, "
                "and that it answers from here."
            ) from None

    def _refused(self, code: str) -> SinkError:
        if code in _NOT_ALLOWED:
            return SinkError(
                f"{self._told} does not let us in ({code}). See its credentials, and that they allow s3:ListBucket, "
                "s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListBucketVersions and s3:DeleteObjectVersion."
            )
        if code in ("404", "NoSuchBucket"):
            return SinkError(f"{self._told} isn't there. Make it, or name another one.")
        return SinkError(f"{self._told} did not do as it was asked ({code}). See its endpoint, and what it logs.")


def _code_of(error: ClientError) -> str:
    """The store's own code; its text may name keys."""
    return str(error.response.get("Error", {}).get("Code", "no code"))


def _client(place: BucketPlace) -> "S3Client":
    """A client that signs with the place's credentials; where it names none and none are set, as Amazon's tools find them."""
    keys: dict[str, str] = {}
    try:
        keys["id"] = resolve(place.access_key_id)
        keys["secret"] = resolve(place.secret_access_key)
        if place.session_token is not None:
            keys["token"] = resolve(place.session_token)
    except SecretMissing as missing:
        if {"access_key_id", "secret_access_key", "session_token"} & place.model_fields_set:
            raise SinkError(f"The credentials of the bucket {place.bucket} are missing: {missing}.") from None
        # A profile, or the role of the machine or container that we run on.
        keys = {}
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
        # Other makers' stores know the older digest, which is always sent here.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "auto" if place.endpoint is None else "path"},
    )
    try:
        client = botocore.session.get_session().create_client(
            "s3",
            region_name=place.region,
            endpoint_url=place.endpoint,
            config=config,
            aws_access_key_id=keys.get("id"),
            aws_secret_access_key=keys.get("secret"),
            aws_session_token=keys.get("token"),
        )
    except (BotoCoreError, ValueError):
        raise SinkError(
            f"The bucket {place.bucket} can't be addressed. See its region, and that its endpoint is a URL."
        ) from None
    # botocore builds its clients at run time, so its own stubs know only their base.
    return cast("S3Client", client)
