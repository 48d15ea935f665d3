"""The way out of the alerts' mails: a signed link, one click, and nobody else's alerts."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import pytest

from deloton.running.alert_links import LASTS, AlertLinks
from tests.integration.api.served import LINK_KEY, LINK_KEY_BEFORE, Served

LIMITS = "SELECT rider_id, low_bpm, high_bpm, critical_bpm, alerts_on FROM rider_limits ORDER BY 1"
AUDIT = "SELECT key_id, action, subject_id, reason FROM audit ORDER BY audit_id"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
ADA, BOB = "ada@secretmail.example", "bob@secretmail.example"
EMAIL_OF = {1: ADA, 2: ADA, 3: BOB}


def link(
    served: Served, alert_id: int, *, key: str = LINK_KEY, ago: timedelta = timedelta()
) -> str:
    email = EMAIL_OF.get(alert_id, ADA)
    return AlertLinks([key], served.url).link_to(alert_id, email, datetime.now(UTC) - ago)


async def rows(served: Served, query: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in await served.execute(query)]


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=300) as client:
        yield client


async def test_one_click_switches_the_alerts_of_that_rider_off_and_is_audited(
    fresh: Served, browser: httpx.Client
) -> None:
    answer = browser.post(link(fresh, 3), data=ONE_CLICK)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "are off" in answer.text
    # Of the other rider nothing has changed.
    assert await rows(fresh, LIMITS) == [
        (7001, None, 150, None, True),
        (7002, None, None, None, False),
    ]
    assert await rows(fresh, AUDIT) == [(None, "change_alerts", 7002, "alerts off")]


async def test_reading_the_page_changes_nothing_and_names_nobody(
    fresh: Served, browser: httpx.Client
) -> None:
    page = [browser.get(link(fresh, 1)) for _ in range(2)][-1]
    assert browser.head(link(fresh, 1)).status_code == 200
    assert page.status_code == 200
    assert 'value="150"' in page.text
    assert not any(word in page.text for word in ("Ada", "Secret", "7001", "1959", "<script"))
    assert await rows(fresh, AUDIT) == []
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


async def test_own_limits_and_alerts_go_on_and_off_by_the_form(
    fresh: Served, browser: httpx.Client
) -> None:
    address = link(fresh, 1)
    said = browser.post(
        address, data={"low": "45", "high": "", "critical": "160", "do": "limits"}
    ).text
    assert "your limits are saved" in said
    assert 'value="160"' in said
    assert "are off" in browser.post(address, data={"do": "off"}).text
    assert "are on" in browser.post(address, data={"do": "on"}).text
    assert (await rows(fresh, LIMITS))[0] == (7001, 45, None, 160, True)
    wrong = browser.post(address, data={"low": "170", "critical": "160", "do": "limits"})
    assert (wrong.status_code, "must be below" in wrong.text) == (422, True)
    assert (await rows(fresh, LIMITS))[0] == (7001, 45, None, 160, True)
    told = [row[-1] for row in await rows(fresh, AUDIT)]
    assert told == ["own limits", "alerts off", "alerts on"]


async def test_a_link_that_is_not_ours_or_has_expired_opens_nothing(
    fresh: Served, browser: httpx.Client
) -> None:
    good = link(fresh, 1)
    closed = [
        link(fresh, 1, key="x" * 32),
        link(fresh, 1, ago=LASTS),
        link(fresh, 99),
        good[:-2] + ("AA" if good[-2:] != "AA" else "BB"),
        f"{fresh.url}/alerts/1",
        f"{fresh.url}/alerts/{'A' * 5000}",
    ]
    for address in closed:
        for answer in (browser.get(address), browser.post(address, data=ONE_CLICK)):
            assert (answer.status_code, "no longer works" in answer.text) == (404, True)
    assert await rows(fresh, AUDIT) == []
    assert browser.get(link(fresh, 1, key=LINK_KEY_BEFORE)).status_code == 200


async def test_the_link_of_an_erased_rider_opens_nothing(
    fresh: Served, browser: httpx.Client
) -> None:
    address = link(fresh, 1)
    await fresh.execute("UPDATE heart_rate_alerts SET rider_id = NULL WHERE alert_id = 1")
    assert browser.get(address).status_code == 404
    await fresh.execute("DELETE FROM heart_rate_alerts WHERE alert_id = 1")
    assert browser.post(address, data=ONE_CLICK).status_code == 404
    assert (await rows(fresh, LIMITS)) == [(7001, None, 150, None, True)]


@pytest.mark.parametrize("now", ["'right@secretmail.example'", "NULL"])
async def test_a_link_that_went_to_an_address_the_rider_no_longer_has_opens_nothing(
    fresh: Served, browser: httpx.Client, now: str
) -> None:
    address = link(fresh, 1)
    await fresh.execute("UPDATE riders SET email = 'Ada@SecretMail.example' WHERE rider_id = 7001")
    assert browser.get(address).status_code == 200
    await fresh.execute(f"UPDATE riders SET email = {now} WHERE rider_id = 7001")
    for answer in (
        browser.get(address),
        browser.post(address, data={"do": "off"}),
        browser.post(address, data=ONE_CLICK),
    ):
        assert (answer.status_code, "no longer works" in answer.text) == (404, True)
        assert "150" not in answer.text
    assert await rows(fresh, LIMITS) == [(7001, None, 150, None, True)]
    assert await rows(fresh, AUDIT) == []
    # It opens no other rider's, whose address it is by now.
    await fresh.execute(f"UPDATE riders SET email = '{ADA}' WHERE rider_id = 7002")
    assert browser.get(address).status_code == 404


async def test_who_asks_too_often_waits_and_others_do_not(
    fresh: Served, browser: httpx.Client
) -> None:
    address = link(fresh, 2)
    while (answer := browser.get(address)).status_code == 200:
        pass
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert browser.get(link(fresh, 3)).status_code == 200


@pytest.mark.parametrize("body", [b"x" * 5000, b"\xff\xfe", b"", b"do=everything"])
async def test_a_body_that_is_no_form_changes_nothing(
    fresh: Served, browser: httpx.Client, body: bytes
) -> None:
    answer = browser.post(link(fresh, 3), content=body, headers=FORM)
    assert answer.status_code == 422
    assert await rows(fresh, AUDIT) == []


async def test_two_at_once_leave_one_row_and_two_notes(fresh: Served) -> None:
    async with httpx.AsyncClient(timeout=300) as client:
        asked = [client.post(link(fresh, 3), data={"do": do}) for do in ("off", "on")]
        answers = await asyncio.gather(*asked)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(await rows(fresh, "SELECT 1 FROM rider_limits WHERE rider_id = 7002")) == 1
    assert len(await rows(fresh, AUDIT)) == 2


async def test_no_other_method_and_no_metric_holds_a_link(
    fresh: Served, browser: httpx.Client
) -> None:
    address = link(fresh, 3)
    answer = browser.put(address)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    browser.get(address)
    token = urlsplit(address).path.rpartition("/")[2]
    metrics = browser.get(f"{fresh.url}/metrics").text
    assert 'route="/alerts/{token}"' in metrics
    assert token not in metrics
    assert token not in fresh.program.log_file.read_text()
