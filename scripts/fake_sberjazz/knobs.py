"""The knobs of the gateway over HTTP, for those who run it in another process."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from fake_sberjazz.faults import Fault
from fake_sberjazz.rooms import GONE
from fake_sberjazz.voices import read_voice

if TYPE_CHECKING:
    from fake_sberjazz.gateway import FakeGateway
    from fake_sberjazz.rooms import Room

SETTINGS = frozenset(
    {
        "old",
        "keeps_keys",
        "join_state",
        "health_status",
        "repeats",
        "reverses",
        "pace",
        "token",
    }
)


def add_knobs(application: web.Application, gateway: FakeGateway) -> None:
    """Add the routes below `/_fake`; bodies are JSON.

    `POST settings` sets attributes of the gateway. `POST faults` adds one fault: `call` and the
    fields of `Fault`; `DELETE faults` forgets all. `GET journal`, `GET bots` tell what happened.
    `POST meetings/{id}/…`: `state` (`state`, `reason`), `forget`, `participants`, `voices` (name to
    wav file), `chunks` (as they are), `reset-cursor`, `delivery`.
    """
    meeting = "/_fake/meetings/{meeting_id}"

    async def settings(request: web.Request) -> web.Response:
        for name, value in (await request.json()).items():
            if name not in SETTINGS:
                raise web.HTTPBadRequest(text=f"there is no setting {name}")
            setattr(gateway, name, value)
        return web.json_response({name: getattr(gateway, name) for name in sorted(SETTINGS)})

    async def add_fault(request: web.Request) -> web.Response:
        fields = await request.json()
        gateway.break_next(fields.pop("call"), Fault(**fields))
        return web.json_response({})

    async def clear_faults(_: web.Request) -> web.Response:
        gateway.faults.clear()
        return web.json_response({})

    async def journal(_: web.Request) -> web.Response:
        requests = [asdict(each) for each in gateway.journal]
        for each in requests:
            del each["authorization"]
        return web.json_response({"requests": requests})

    async def bots(_: web.Request) -> web.Response:
        listed = [asdict(bot) | {"alive": bot.alive} for bot in gateway.bots()]
        return web.json_response({"bots": listed})

    async def turn(request: web.Request) -> web.Response:
        room = gateway.room(request.match_info["meeting_id"])
        body = await request.json() if request.can_read_body else {}
        _turn(room, request.match_info["knob"], body)
        return web.json_response({})

    application.add_routes(
        [
            web.post("/_fake/settings", settings),
            web.post("/_fake/faults", add_fault),
            web.delete("/_fake/faults", clear_faults),
            web.get("/_fake/journal", journal),
            web.get("/_fake/bots", bots),
            web.post(meeting + "/{knob}", turn),
        ]
    )


def _turn(room: Room, knob: str, body: dict[str, Any]) -> None:
    match knob:
        case "state":
            room.put(body["state"], body.get("reason"))
        case "forget":
            room.put(GONE)
        case "participants":
            room.participants = body["participants"]
        case "voices":
            room.voices = [read_voice(name, Path(path)) for name, path in body.items()]
        case "chunks":
            room.add(*body["chunks"])
        case "reset-cursor":
            room.generation += 1
        case "delivery":
            room.delivery = body["delivery"]
        case _:
            raise web.HTTPNotFound
