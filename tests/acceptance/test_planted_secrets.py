"""What must be nowhere is searched for everywhere, after every kind of error and after deletion."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest

from forged_tokens import SecretSigner, claims, token
from running_agents import KEY
from socket_client import Dialler
from traces import files_with, keys_with, rows_with

if TYPE_CHECKING:
    from running_agents import Agent, Agents

SPEECH = Path(__file__).resolve().parents[1] / "data" / "libri_2412_0.wav"
SPOKEN = ("antecedents", "native country")
SIGNING = "planted-signing-secret-of-32-bytes-or-more"
SECRETS = (KEY, SIGNING, "planted-mail-password", "planted-wrong-key")
PRIVATE = ("Zinaida Plantova", "meet.example/planted-link", "planted@mail.example")
CONTEXT = {
    "participants": [{"track": "main", "name": "Zinaida Plantova", "role": "candidate"}],
    "join_url": "https://meet.example/planted-link?pwd=1",
}
# The server quotes the whole row in the detail of such an error.
REFUSALS = (
    "ALTER TABLE segments ADD CONSTRAINT planted CHECK (raw_text NOT LIKE '%antecedents%')",
    "ALTER TABLE meetings ADD CONSTRAINT planted CHECK (meeting_id <> 'refused')",
)


def shown(signer: str = SIGNING, **changes: Any) -> str:
    now = int(time.time())
    return token(SecretSigner(signer.encode()), claims(iat=now, exp=now + 600, **changes))


def chunk(body: bytes, seq: int = 0, **fields: Any) -> dict[str, Any]:
    return {"seq": seq, "content_b64": base64.b64encode(body).decode(), **fields}


async def go_wrong(agent: Agent, user: dict[str, str], forged: str) -> set[int]:
    """Provoke an error of each kind with what was planted, and return the statuses."""
    start, meetings = "/v1/meetings/start", "/v1/meetings"
    sentence = " ".join((*SPOKEN, *PRIVATE))
    private: dict[str, Any] = {"context": CONTEXT, "recipients": ["planted@mail.example"]}
    bodies: list[tuple[str, str, Any, dict[str, str]]] = [
        ("GET", meetings, None, {"Authorization": f"Bearer {forged}"}),
        ("GET", meetings, None, {"X-API-Key": "planted-wrong-key"}),
        ("GET", f"/v1/meetings?cursor={SPOKEN[0]}&api_key={KEY}", None, user),
        ("GET", "/v1/admin/queues/health", None, user),
        ("POST", start, {"meeting_id": sentence} | private, user),
        ("POST", start, {"meeting_id": "refused"} | private, user),
        ("POST", start, {"mode": sentence, "language": sentence} | private, user),
        ("POST", f"{meetings}/m/chunks", {"seq": sentence, "content_b64": sentence}, user),
        ("POST", f"{meetings}/m/chunks", {"seq": 8, "content_b64": sentence}, user),
        ("POST", f"{meetings}/m/chunks", chunk(b"x", codec=sentence), user),
        ("POST", f"{meetings}/m/chunks", chunk(sentence.encode(), 7, codec="wav"), user),
        ("POST", f"{meetings}/m/chunks", chunk(b"other" + sentence.encode(), 7), user),
        ("POST", f"{meetings}/absent/finish", {"tracks": {sentence: {}}}, user),
        ("PUT", meetings, private, user),
        ("GET", f"{meetings}/absent", None, user),
    ]
    statuses = {(await agent.call(*one[:3], headers=one[3]))[0] for one in bodies}
    for content_type in ("text/plain", "application/json"):
        headers = user | {"Content-Type": content_type}
        answer = await agent.call("POST", start, data=f'{{"{sentence}', headers=headers)
        statuses.add(answer[0])
    async with aiohttp.ClientSession() as http:
        dial = Dialler(http, agent.address)
        refused = await dial.refusal(path=f"/v1/ws?token={forged}")
        statuses.add(refused[0])
        talk = await dial.open(None, headers=user)
        for text in (sentence, f'{{"event_type": "{sentence}"}}'):
            await talk.socket.send_str(text)
            await talk.expect("error")
        await talk.say("session.start", meeting_id="m", track=sentence)
        await talk.expect("error", code="validation")
    return statuses


async def until_logged(agent: Agent, *texts: str) -> None:
    async with asyncio.timeout(60):
        while not all(text in agent.log for text in texts):
            await asyncio.sleep(0.1)


async def scraped(agent: Agent) -> str:
    async with aiohttp.ClientSession() as http, http.get(f"{agent.address}/metrics") as answer:
        assert answer.status == 200
        return await answer.text()


async def places_of(
    agent: Agent, needles: tuple[str, ...], dsn: str, *folders: Path
) -> dict[str, set[str]]:
    """Return where each of the texts is found, in this form or lower case."""
    tables = await rows_with(dsn, [needle.lower() for needle in needles])
    found = {needle: tables[needle.lower()] for needle in needles}
    outputs = {"log": agent.log.lower(), "metrics": (await scraped(agent)).lower()}
    for needle, places in found.items():
        forms = {needle, needle.lower()}
        places |= {name for name, text in outputs.items() if needle.lower() in text}
        places |= set(files_with(folders, [form.encode() for form in forms]))
        places |= set(await keys_with(agent.environment["REDIS_URL"], forms))
    return found


@pytest.mark.slow
async def test_secrets_are_nowhere_and_what_people_said_is_only_where_it_belongs(
    agents: Agents, dsn: str
) -> None:
    """S79, S80: of a deleted meeting nothing is left at all."""
    (agent,) = agents.make_apart(
        ["all"],
        AUTH_MODE="jwt",
        OIDC_ALGORITHMS="HS256",
        JWT_SHARED_SECRET=SIGNING,
        SERVICE_API_KEYS=KEY,
        SMTP_HOST="127.0.0.1",
        SMTP_PORT="9",
        SMTP_USER="mailer",
        SMTP_PASS="planted-mail-password",
        WHISPER_LANGUAGE="en",
    )
    await agent.start()
    limits = Path(f"/proc/{agent.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE), "nor in a core dump"
    folders = (agents.blob_dir, agent.folder / "data-0")
    good, forged = shown(), shown("another-secret-of-at-least-32-bytes-!")
    user = {"Authorization": f"Bearer {good}"}
    connection = await asyncpg.connect(dsn)
    for statement in REFUSALS:
        await connection.execute(statement)
    opening = {"meeting_id": "m", "context": CONTEXT, "recipients": ["planted@mail.example"]}
    assert (await agent.call("POST", "/v1/meetings/start", opening, headers=user))[0] == 200
    sound = chunk(SPEECH.read_bytes(), codec="wav")
    assert (await agent.call("POST", "/v1/meetings/m/chunks", sound, headers=user))[0] == 200
    statuses = await go_wrong(agent, user, forged)
    assert {400, 401, 403, 404, 405, 409, 415, 422, 500} <= statuses
    await agent.call("POST", "/v1/meetings/m/finish", headers=user)
    await until_logged(agent, "stage_failed", "request_failed", "security_audit_deny")
    await connection.execute("ALTER TABLE segments DROP CONSTRAINT planted")
    await connection.close()
    await agent.until_done("m")
    await until_logged(agent, "delivery_provider_error")

    parts = tuple(part for each in (good, forged) for part in each.split(".")[1:])
    password = urlsplit(agent.environment["POSTGRES_DSN"]).password
    assert password
    secrets = (*SECRETS, *parts, password)
    assert await places_of(agent, secrets, dsn, *folders) == {each: set() for each in secrets}
    private = SPOKEN + PRIVATE
    belongs = {"meetings", "segments", "events", "reports"}
    found = await places_of(agent, private, dsn, agent.folder / "data-0")
    assert all(places and places <= belongs for places in found.values()), found

    assert (await agent.call("DELETE", "/v1/meetings/m", headers=user))[0] == 202
    async with asyncio.timeout(60):
        while (await agent.call("DELETE", "/v1/meetings/m", headers=user))[0] != 200:
            await asyncio.sleep(0.2)
    everything = secrets + private
    assert await places_of(agent, everything, dsn, *folders) == {each: set() for each in everything}
    digest = hashlib.sha256(SPEECH.read_bytes()).hexdigest()
    assert await rows_with(dsn, [digest]) == {digest: {"deleted_chunks"}}, "the proof stays"
    assert await agent.stop() == 0
    for each in everything:
        assert each.lower() not in agent.log.lower(), each
