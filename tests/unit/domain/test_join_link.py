"""Which links may be opened, and what of them is shown."""

from __future__ import annotations

import pytest

from interview_agent.domain.errors import ValidationFailed
from interview_agent.domain.join_link import check_join_link, masked_link

HOSTS = ("salutejazz.ru", "*.salutejazz.ru")

ALLOWED = [
    "https://salutejazz.ru/calls/abc?psw=xyz",
    "https://SaluteJazz.ru/abc",
    "https://salutejazz.ru:443/abc",
    "https://on.salutejazz.ru/abc#x",
]

REFUSED = [
    "http://salutejazz.ru/abc",
    "//salutejazz.ru/abc",
    "salutejazz.ru/abc",
    "file:///etc/passwd",
    "gopher://salutejazz.ru/",
    "https://evil.test/",
    "https://salutejazz.ru.evil.test/",
    "https://evilsalutejazz.ru/",
    "https://evil.test/salutejazz.ru",
    "https://evil.test#@salutejazz.ru/",
    "https://user@salutejazz.ru/",
    "https://salutejazz.ru@evil.test/",
    "https://evil.test\\@salutejazz.ru/",
    "https://salutejazz.ru\\.evil.test/",
    "https://salutejazz.ru:8443/",
    "https://salutejazz.ru:x/",
    "https://127.0.0.1/",
    "https://[::1]/",
    "https://2130706433/",
    "https://169.254.169.254/latest",
    "https:///abc",
    "https://salutejazz.ru/a b",
    "https://salutejazz.ru/a\r\nHost: evil.test",
    "https://salutejazz.ru/абв",
    "https://saluteja\u0437z.ru/",
    "https://salutejazz.ru/" + "x" * 2000,
    "",
]


@pytest.mark.parametrize("link", ALLOWED)
def test_links_to_listed_hosts_may_be_opened(link: str) -> None:
    assert check_join_link(link, HOSTS) == link


@pytest.mark.parametrize("link", REFUSED)
def test_every_other_link_is_refused_without_being_repeated(link: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        check_join_link(link, HOSTS)
    told = str(caught.value) + repr(caught.value.details)
    assert "evil" not in told
    assert not link or link not in told


def test_a_name_alone_does_not_allow_what_is_below_it() -> None:
    with pytest.raises(ValidationFailed):
        check_join_link("https://on.jazz.sber.ru/", ("jazz.sber.ru",))


def test_of_a_link_only_the_host_is_shown() -> None:
    assert masked_link("https://SaluteJazz.ru/calls/abc?psw=xyz") == "https://salutejazz.ru/…"
