"""What is wrong with an upload is said in one form: where, in words, and as a stable kind."""

from __future__ import annotations

import pytest

from interview_agent.domain.errors import ValidationFailed
from interview_agent.domain.upload import AudioForm, Upload, check_upload


@pytest.mark.parametrize(
    ("upload", "place"),
    [
        (Upload("a/b", 0), "meeting_id"),
        (Upload("m1", -1), "seq"),
        (Upload("m1", 0, form=AudioForm(channels=9)), "channels"),
        (Upload("m1", 0, form=AudioForm(codec="cobol")), "codec"),
        (
            Upload("m1", 0, form=AudioForm(channels=2, split_channels=True, channel_tracks=("a",))),
            "channel_tracks",
        ),
    ],
)
def test_each_fault_of_an_upload_has_its_place_its_words_and_its_kind(
    upload: Upload, place: str
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        check_upload(upload)
    [fault] = refused.value.details["errors"]
    assert fault["loc"] == [place]
    assert fault["msg"]
    assert fault["type"]
