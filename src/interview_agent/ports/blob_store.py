"""Durable storage of audio bytes under immutable keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


@dataclass(frozen=True, slots=True)
class BlobFacts:
    """What is known of a blob once it is stored: full SHA-256 in hex and its length."""

    key: str
    sha256: str
    size_bytes: int


class BlobStore(Protocol):
    """Keeps bytes; what `put` has returned for survives a crash of the machine."""

    async def put(self, key: str, body: bytes) -> None:
        """Write, name and sync one blob; the same again changes nothing.

        Raises `StorageError`. It may be there all the same then, whole: whoever names it in no row
        may put it again, or leave it to the search for files that nobody names.
        """
        ...

    async def put_stream(
        self, key_prefix: str, body: AsyncIterator[bytes], *, max_bytes: int
    ) -> BlobFacts:
        """Store a body of unknown length under `{key_prefix}-{sha256[:32]}.bin`.

        Raises `TooLarge` past `max_bytes`, `StorageError`; nothing is visible then.
        """
        ...

    async def open(self, key: str) -> BinaryIO:
        """Open a blob as a real file for reading.

        Raises `NotFound` when the blob is gone for good, `StorageError` when the store is.
        """
        ...

    async def delete(self, keys: Sequence[str], *, older_than_s: float = 0.0) -> int:
        """Delete the blobs that exist and are at least so old; return how many were."""
        ...

    async def delete_under(self, folder: str, *, limit: int) -> int:
        """Delete whatever lies under a key prefix that ends a path part; return how many blobs.

        Temporary files are deleted too, so that what is being written there never gets its name.
        At most `limit` are deleted; 0 means that nothing is left. Raises `StorageError`.
        """
        ...

    def scan(self) -> AsyncIterator[tuple[str, float]]:
        """Yield every key with its age in seconds, temporary files and left probes included."""
        ...

    async def check(self) -> None:
        """Write, sync, read back and delete a probe. Raises `StorageError`."""
        ...
