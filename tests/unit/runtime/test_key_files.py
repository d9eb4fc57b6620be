"""Keys that are added and struck while the process runs."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import make_mocked_request

from interview_agent.domain.errors import Unauthorized
from interview_agent.runtime.key_files import follow_key_files
from interview_agent.settings import reread_secrets
from interview_agent.web.auth import ApiKeys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.runtime.key_files import Keys


class Followed:
    """Keys of one file, and how often it was read."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.keys = ApiKeys(["alice", "bob"], ["machine"])
        self._looks = asyncio.Semaphore(0)
        self._loop = asyncio.get_running_loop()

    def read(self) -> tuple[Keys, Keys]:
        """Read the file, in a thread as the loop does."""
        self._loop.call_soon_threadsafe(self._looks.release)
        return reread_secrets("API_KEYS", self.file), ("machine",)

    async def looked_at(self) -> None:
        """Wait until the file as it is now was read, and what it holds was used."""
        async with asyncio.timeout(5):
            while not self._looks.locked():
                await self._looks.acquire()
            # One look may be under way; the second has seen the file as it is, the third begins
            # after that was passed on.
            for _ in range(3):
                await self._looks.acquire()

    async def lets_in(self, key: str) -> bool:
        try:
            await self.keys.identify(make_mocked_request("GET", "/", headers={"X-API-Key": key}))
        except Unauthorized:
            return False
        return True


@asynccontextmanager
async def following(file: Path) -> AsyncIterator[Followed]:
    file.write_text("alice\nbob\n")
    followed = Followed(file)
    loop = asyncio.create_task(
        follow_key_files(
            followed.read,
            followed.keys.replace,
            known=(("alice", "bob"), ("machine",)),
            every_s=0.01,
        )
    )
    try:
        yield followed
        assert not loop.done()
    finally:
        loop.cancel()
        with suppress(asyncio.CancelledError):
            await loop


async def test_a_struck_key_is_refused_and_an_added_one_is_taken(tmp_path: Path) -> None:
    async with following(tmp_path / "keys") as followed:
        followed.file.write_text("bob\nacme:carol\n")
        await followed.looked_at()
        taken = [key for key in ("alice", "bob", "carol", "machine") if await followed.lets_in(key)]
        assert taken == ["bob", "carol", "machine"]


async def test_an_emptied_file_lets_no_user_in(tmp_path: Path) -> None:
    async with following(tmp_path / "keys") as followed:
        followed.file.write_text("")
        await followed.looked_at()
        assert not await followed.lets_in("alice")


@pytest.mark.parametrize("text", ["alice\nsha256$zz\n", "planted secret:key\n", b"\xff\xfe", None])
async def test_a_file_that_cannot_be_used_changes_nothing_and_is_not_shown(
    tmp_path: Path, text: str | bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    async with following(tmp_path / "keys") as followed:
        if text is None:
            followed.file.unlink()
        else:
            followed.file.write_bytes(text.encode() if isinstance(text, str) else text)
        await followed.looked_at()
        assert await followed.lets_in("alice")
        assert not await followed.lets_in("key")
        written = capsys.readouterr()
        assert "key_files_unusable" in written.out + written.err
        assert "planted" not in written.out + written.err
        followed.file.write_text("bob\n")
        await followed.looked_at()
        assert not await followed.lets_in("alice")
