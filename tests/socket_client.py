"""What tests say to a WebSocket of ours, and what they wait for."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_S = 10.0

Message = dict[str, Any]


def frame(number: int, audio: bytes = b"\0" * 3200) -> bytes:
    """Return a binary frame of the protocol."""
    return number.to_bytes(8, "big") + audio


def chunk(meeting_id: str, seq: int = 0, body: bytes = b"audio", **fields: Any) -> Message:
    """Return the one message of the reference protocol."""
    return {
        "schema_version": "v1",
        "event_type": "audio.chunk",
        "meeting_id": meeting_id,
        "seq": seq,
        "timestamp_ms": 0,
        "codec": "pcm",
        "sample_rate": 16000,
        "channels": 1,
        "content_b64": base64.b64encode(body).decode(),
        "speaker_hint": None,
        "idempotency_key": None,
        **fields,
    }


class Talk:
    """One open socket; keeps everything that was heard on it, in order."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[Message] = []
        self._read = 0

    async def say(self, event_type: str, **fields: Any) -> None:
        """Send a message of ours."""
        await self.socket.send_str(json.dumps({"event_type": event_type, **fields}))

    async def send(self, message: Message) -> None:
        """Send any JSON object."""
        await self.socket.send_str(json.dumps(message))

    async def frames(self, numbers: Iterator[int] | range, audio: bytes = b"\0" * 3200) -> None:
        """Send frames."""
        for number in numbers:
            await self.socket.send_bytes(frame(number, audio))

    async def start(self, meeting_id: str, **fields: Any) -> Message:
        """Open an audio session and return its `session.ready`."""
        await self.say("session.start", meeting_id=meeting_id, **fields)
        return await self.expect("session.ready")

    async def expect(self, event_type: str, **fields: Any) -> Message:
        """Return the next message of a kind, with these fields; others are passed over."""
        wanted = {"event_type": event_type, **fields}
        async with asyncio.timeout(WAIT_S):
            while True:
                message = await self.next()
                if wanted.items() <= message.items():
                    return message

    async def next(self) -> Message:
        """Return the next message, whatever it is."""
        message = await self.socket.receive()
        assert message.type is WSMsgType.TEXT, (message, self.heard[-5:])
        self.heard.append(json.loads(message.data))
        return self.heard[-1]

    async def error(self) -> str:
        """Return the code of the next message, which is an error."""
        async with asyncio.timeout(WAIT_S):
            message = await self.next()
        assert message["event_type"] == "error", message
        return str(message["code"])

    async def acked_up_to(self, last: int) -> None:
        """Wait until every frame to `last` is acknowledged."""
        while not self.acked() or self.acked()[-1] < last:
            await self.expect("audio.ack")

    def acked(self) -> list[int]:
        """Return the numbers of all acknowledged frames, as often as they were acknowledged."""
        acks = [message for message in self.heard if message["event_type"] == "audio.ack"]
        return [number for ack in acks for number in range(ack["first_frame"], ack["frame"] + 1)]

    async def still_answers(self) -> None:
        """Check that the socket is alive."""
        await self.say("ping")
        await self.expect("pong")

    async def closed(self) -> int:
        """Return the close code; what is heard until then is kept."""
        async with asyncio.timeout(WAIT_S):
            while (message := await self.socket.receive()).type is WSMsgType.TEXT:
                self.heard.append(json.loads(message.data))
        assert message.type in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR}, message
        assert self.socket.close_code is not None
        return self.socket.close_code


class Dialler:
    """Opens sockets to one server."""

    def __init__(self, session: ClientSession, address: str) -> None:
        self.http = session
        self.address = address

    async def open(self, key: str | None = "alice", path: str = "/v1/ws", **options: Any) -> Talk:
        """Open a socket with a key in the header."""
        headers = {"X-API-Key": key} if key is not None else {}
        headers |= options.pop("headers", {})
        options = {"max_msg_size": 0, "autoping": True, **options}
        return Talk(await self.http.ws_connect(self.address + path, headers=headers, **options))

    async def refusal(self, key: str | None = None, path: str = "/v1/ws", **options: Any) -> Any:
        """Ask for an upgrade and return status, code and headers of the answer."""
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
            **({"X-API-Key": key} if key is not None else {}),
            **options.pop("headers", {}),
        }
        headers = {name: value for name, value in headers.items() if value is not None}
        async with self.http.get(self.address + path, headers=headers, **options) as answer:
            if answer.status == 101:
                return 101, None, answer.headers
            body = await answer.json()
            assert set(body["detail"]) == {"code", "message", "details"}
            return answer.status, body["detail"]["code"], answer.headers
