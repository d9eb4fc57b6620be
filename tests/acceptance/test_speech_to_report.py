"""Real speech goes in over HTTP, a transcript with speakers and times and a report come out."""

from __future__ import annotations

import json
import random
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captions.words import edits, plain

if TYPE_CHECKING:
    from running_agents import Agents

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "config" / "sample" / "interview_en.stereo.wav"
SPEECH = ROOT / "tests" / "data" / "libri_2412_0.wav"
OTHER_SPEECH = ROOT / "tests" / "data" / "0870_sense.wav"
REFERENCE = (
    "if the reader will excuse me i will say nothing of my antecedents nor of the circumstances"
    " which led me to leave my native country the narrative would be tedious to him and painful to"
    " myself"
)


async def test_the_sample_interview_becomes_a_transcript_and_a_report(agents: Agents) -> None:
    agent = agents.make()
    await agent.start()
    await agent.call(
        "POST",
        "/v1/meetings/start",
        {
            "meeting_id": "sample",
            "language": "en",
            "context": {
                "participants": [
                    {"track": "left", "name": "Anna", "role": "interviewer"},
                    {"track": "right", "name": "Boris", "role": "candidate"},
                ],
                "plan": ["How do you test your code?", "What is your salary expectation?"],
            },
        },
    )
    split = {"split_channels": "true", "channels": "2", "channel_tracks": "left,right"}
    taken = await agent.record("sample", SAMPLE, finish="true", **split)
    assert taken["tracks"] == ["left", "right"]
    done = await agent.until_done("sample", 240)
    truth = json.loads(SAMPLE.with_name("interview_en.json").read_text(encoding="utf-8"))
    segments = (await agent.get("/v1/meetings/sample/segments"))["segments"]
    for speaker, role in (("Anna", "interviewer"), ("Boris", "candidate")):
        said = plain(" ".join(t["text"] for t in truth["turns"] if t["speaker"] == role))
        heard = plain(" ".join(s["raw_text"] for s in segments if s["speaker"] == speaker))
        assert edits(said, heard) <= 0.12 * len(said)
    assert [s["start"] for s in segments] == sorted(s["start"] for s in segments)
    for turn in truth["turns"]:
        near = [s for s in segments if abs(s["words"][0]["start"] - turn["start"]) < 0.6]
        assert near, turn
    report = done["report"]
    assert report["metrics"]["talk_share"]["Boris"]["value"] > 0.7
    assert len([q for q in report["questions"] if q["speaker"] == "Anna"]) == 5
    texts = {s["segment_id"]: s["text"] for s in segments}
    for quote in report["summary_quotes"]:
        assert quote["text"] in " ".join(texts[each] for each in quote["segment_ids"])
    assert await agent.stop() == 0


async def test_shuffled_half_second_chunks_with_repeats_give_the_text_of_the_whole_file(
    agents: Agents,
) -> None:
    (agent,) = agents.make_apart(["all"], WHISPER_LANGUAGE="en")
    await agent.start()
    await agent.record("whole", SPEECH, finish="true")
    with wave.open(str(SPEECH)) as file:
        assert (file.getframerate(), file.getnchannels()) == (16000, 1)
        pcm = file.readframes(file.getnframes())
    pieces = list(enumerate(pcm[at : at + 16001] for at in range(0, len(pcm), 16001)))
    order = [*pieces, *pieces[::3]]
    random.Random(7).shuffle(order)
    repeats = 0
    for seq, piece in order:
        answer = await agent.send("chunks", seq, piece, codec="pcm", sample_rate=16000)
        repeats += answer["duplicate"]
    assert repeats == len(pieces[::3])
    last: dict[str, Any] = {"tracks": {"main": {"last_seq": len(pieces) - 1}}}
    status, _ = await agent.call("POST", "/v1/meetings/chunks/finish", last)
    assert status == 202
    one = await agent.until_done("whole")
    other = await agent.until_done("chunks")
    assert one["raw_transcript"] == other["raw_transcript"]
    assert edits(plain(REFERENCE), plain(one["raw_transcript"])[1:]) <= 4
    assert other["gaps"] == other["failed_chunks"] == []


async def test_what_cannot_be_heard_is_said_and_its_neighbours_are_heard(agents: Agents) -> None:
    (agent,) = agents.make_apart(["all"], WHISPER_LANGUAGE="en")
    await agent.start()
    await agent.send("mixed", 0, b"this is no sound at all" * 50, codec="ogg")
    await agent.send("mixed", 1, SPEECH.read_bytes(), codec="wav")
    await agent.send("mixed", 3, b"\0" * 64000, codec="pcm")
    await agent.call("POST", "/v1/meetings/mixed/finish")
    done = await agent.until_done("mixed")
    assert [(each["seq"], bool(each["reason"])) for each in done["failed_chunks"]] == [(0, True)]
    assert done["gaps"] == [{"track": "main", "first_seq": 2, "last_seq": 2}]
    assert "antecedents" in done["raw_transcript"]
    assert done["report"]["gaps"] == done["gaps"]
    first_version = done["version"]
    await agent.send("mixed", 2, OTHER_SPEECH.read_bytes(), codec="wav")
    await agent.call("POST", "/v1/meetings/mixed/finish")
    again = await agent.until(
        "mixed", lambda found: found["status"] == "done" and found["version"] > first_version
    )
    assert again["gaps"] == []
    heard = again["raw_transcript"].lower()
    assert heard.count("antecedents") == heard.count("dashwood") == 1


async def test_silence_gives_no_text(agents: Agents) -> None:
    (agent,) = agents.make_apart(["all"], WHISPER_LANGUAGE="en")
    await agent.start()
    await agent.send("quiet", 0, b"\0" * 16000 * 2 * 20, codec="pcm")
    await agent.call("POST", "/v1/meetings/quiet/finish")
    done = await agent.until_done("quiet")
    assert done["raw_transcript"] == ""
    assert done["report"]["metrics"]["talk_share"]
    assert (await agent.get("/v1/meetings/quiet/segments"))["segments"] == []
