"""Every page on a real PostgreSQL, in each of its states."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block

from dashboard import recent
from dashboard.database import Database
from dashboard.sources import queries
from deloton.migrate import migrate
from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from tests.integration.dashboard.pages import run_page
from tests.integration.dashboard.stored_rides import (
    store_alert,
    store_ended_rides,
    store_live_ride,
    store_recovery,
)

PAGES = ("live", "recent", "alerts", "bikes", "all_time")


def tile(page: AppTest, label: str) -> str:
    return next(str(each.value) for each in page.metric if each.label == label)


def words(page: AppTest) -> str:
    return "\n".join(str(each.value) for each in page.markdown)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("live", "No one is riding right now"),
        ("recent", "No rides in this window"),
        ("alerts", "No alerts in this window"),
        ("bikes", "No bike has been ridden yet"),
        ("all_time", "No one has ridden yet"),
    ],
)
def test_an_empty_database_is_told_kindly(
    open_page: Callable[..., AppTest], name: str, said: str
) -> None:
    assert said in open_page(name).info[0].value


@pytest.mark.parametrize("name", PAGES)
async def test_a_single_ride_under_way_fills_every_page(
    open_page: Callable[..., AppTest], database_url: str, name: str
) -> None:
    await store_live_ride(database_url, 120)
    open_page(name)


async def test_a_rider_in_danger_is_chosen_by_the_address_and_warned_about(
    open_page: Callable[..., AppTest], database_url: str
) -> None:
    page = open_page("live", await store_live_ride(database_url, 205))
    assert "Ada Example" in page.header[0].value
    assert "heart rate critical, 205 bpm, at or above the limit of 203 bpm" in words(page)
    assert tile(page, "Riding now") == "1"
    assert tile(page, "Power") == "150 W"
    assert tile(page, ":red[:material/warning: **Outside limits**]") == "1"
    page.run()
    assert "Ada Example" in page.header[0].value


async def test_a_heart_rate_that_was_not_measured_is_a_dash_and_no_danger(
    open_page: Callable[..., AppTest], database_url: str
) -> None:
    page = open_page("live", await store_live_ride(database_url, None))
    assert tile(page, "Heart rate") == "–"
    assert "outside" not in words(page).lower()


async def test_a_rider_without_a_birthday_is_shown_with_the_age_that_is_taken(
    open_page: Callable[..., AppTest], database_url: str
) -> None:
    page = open_page("live", await store_live_ride(database_url, 120, born_on=None))
    assert "age not known, taken as 40" in words(page).replace("\\", "")


async def test_a_name_full_of_markup_is_shown_as_it_is(
    open_page: Callable[..., AppTest], database_url: str
) -> None:
    ride_id = await store_live_ride(database_url, 120, name="<b>Ada</b> **Example**")
    page = open_page("live", ride_id)
    assert r"\<b\>Ada\</b\> \*\*Example\*\*" in page.header[0].value


@pytest.mark.parametrize("ride", ["nonsense", "99", "9" * 30])
def test_an_address_with_a_ride_that_is_not_there_breaks_nothing(
    open_page: Callable[..., AppTest], ride: str
) -> None:
    for name in ("live", "recent"):
        open_page(name, ride)


async def test_a_chosen_ride_that_is_over_is_said_to_be_over(
    open_page: Callable[..., AppTest], database_url: str
) -> None:
    ride_id = await store_live_ride(database_url, 120)
    await sql(
        database_url,
        "UPDATE rides SET ended_at = now(), end_reason = 'silence', duration_s = 30",
    )
    page = open_page("live", ride_id)
    assert "This ride is over" in page.info[0].value
    assert tile(page, "Duration (min:s)") == "0:30"


async def test_charts_keep_their_places_when_the_ride_ends_so_that_browsers_keep_them(
    open_page: Callable[..., AppTest], database_url: str
) -> None:
    ride_id = await store_live_ride(database_url, 120)
    live = places_of_charts(open_page("live", ride_id).main)
    await sql(
        database_url,
        "UPDATE rides SET ended_at = now(), end_reason = 'silence', duration_s = 30",
    )
    st.cache_resource.clear()
    assert len(live) == 6
    assert places_of_charts(open_page("live", ride_id).main) == live


def places_of_charts(block: Block, place: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    """Where the charts in a block stand: by such paths a browser knows them again."""
    places = []
    for number, node in block.children.items():
        if isinstance(node, Block):
            places += places_of_charts(node, (*place, number))
        elif "vega_lite_chart" in node.type:
            places.append((*place, number))
    return places


async def test_a_filter_narrows_the_rides_of_both_windows(
    open_page: Callable[..., AppTest], database_url: str
) -> None:
    await store_ended_rides(database_url, ["female"] * 3 + ["male"])
    await store_ended_rides(database_url, ["female", "male"], hours_ago=14, first_rider=500)
    page = open_page("recent")
    assert tile(page, "Rides") == "4"
    page.multiselect(key="genders").set_value(["female"]).run()
    assert tile(page, "Rides") == "3"
    assert page.metric[0].delta == "+200 %"
    page.multiselect(key="bands").set_value(["under 25"]).run()
    assert tile(page, "Rides") == "0"
    assert not page.exception


@pytest.mark.parametrize("window", ["1 h", "7 days"])
@pytest.mark.parametrize("power", ["Total", "Cumulative"])
async def test_every_window_and_power_is_drawn(
    open_page: Callable[..., AppTest], database_url: str, window: str, power: str
) -> None:
    await store_ended_rides(database_url, ["female", "male"], hours_ago=0.5)
    page = open_page("recent")
    page.segmented_control(key="window").set_value(window).run()
    page.segmented_control(key="power-measure").set_value(power).run()
    assert not page.exception
    assert tile(page, "Rides") == "2"


async def test_a_ride_in_the_address_opens_in_detail(
    open_page: Callable[..., AppTest], database_url: str
) -> None:
    page = open_page("recent", await store_live_ride(database_url, 120))
    assert "Ada Example" in page.header[0].value
    assert tile(page, "Duration (min:s)") == "0:29"
    assert tile(page, "Mean heart rate") == "120 bpm"


async def test_a_ride_that_goes_on_has_the_figures_that_it_would_end_with(
    open_page: Callable[..., AppTest], database_url: str
) -> None:
    ride_id = await store_live_ride(database_url, 120, seconds=3_700)
    # More than the hour that is drawn; and a second of which no Ride line came: its power counts.
    await sql(database_url, "UPDATE readings SET elapsed_s = NULL WHERE elapsed_s = 7")
    page = open_page("recent", ride_id)
    assert tile(page, "Duration (min:s)") == "1:01:39"
    assert [each.value for each in page.metric if each.label == "Energy"] == ["555.0 kJ"] * 2
    assert tile(page, "Longest ride") == "1:01:39 min"


async def test_alerts_are_counted_with_how_long_they_took(
    open_page: Callable[..., AppTest], database_url: str
) -> None:
    ride_id = await store_live_ride(database_url, 180)
    await store_alert(database_url, ride_id, "high")
    await store_alert(database_url, ride_id, "critical", state="expired")
    await store_recovery(database_url, ride_id)
    page = open_page("alerts")
    assert tile(page, "Alerts") == "2"
    assert tile(page, "Mailed") == "1"
    assert tile(page, "Latency, median") == "0.64 s"
    assert set(page.dataframe[0].value["State"]) == {"mailed", "too old to mail"}
    assert list(page.dataframe[0].value["Back to normal"].dropna()) == ["mailed"]
    assert set(page.dataframe[0].value["Ride"]) == {f"/recent?ride={ride_id}"}
    assert tile(open_page("live"), "Alerts, last hour") == "2"


async def test_a_faulty_bike_comes_first_and_shows_that_it_is_in_use(
    open_page: Callable[..., AppTest], database_url: str
) -> None:
    await store_ended_rides(database_url, ["female"] * 3, hours_ago=30)
    await store_live_ride(database_url, 120)
    await sql(
        database_url,
        "INSERT INTO rides (bike_serial, started_at, ended_at, end_reason, reading_count, "
        "heart_rate_count, power_deviation_s) SELECT 'SN1', now() - interval '2 h', "
        "now() - interval '110 min', 'next_ride', 400, 300, 30",
    )
    page = open_page("bikes")
    assert tile(page, ":red[:material/warning: **Faulty**]") == "1"
    assert tile(page, "In use") == "0"
    assert tile(page, "Silent") == "3"
    first = page.dataframe[0].value.iloc[0]
    assert (first["Bike"], list(first["State"])) == ("SN1", ["faulty", "in use"])
    assert (first["Contact (%)"], first["Rides, 7 days"]) == (75.0, 2)
    page.segmented_control(key="state").set_value("silent").run()
    page.text_input(key="bike").set_value("101").run()
    assert list(page.dataframe[0].value["Bike"]) == ["SN101"]


async def test_all_time_adds_up_and_leaders_have_an_age(
    open_page: Callable[..., AppTest], database_url: str
) -> None:
    await store_ended_rides(database_url, ["female"] * 3)
    page = open_page("all_time")
    assert tile(page, "Rides") == "3"
    assert tile(page, "Highest power") == "500 W"
    assert len(page.dataframe) == 3
    page.segmented_control(key="leaders-age").set_value("under 25").run()
    assert words(page).count("No one of this age yet") == 3
    for measure in ("Riders", "Time ridden", "Energy"):
        page.segmented_control(key="growth").set_value(measure).run()
        assert not page.exception


def test_a_database_that_never_answered_is_told_kindly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    st.cache_resource.clear()
    for name in PAGES:
        assert "does not answer yet" in run_page(name).warning[0].value
    queries().database.close()
    st.cache_resource.clear()


def test_the_last_picture_stays_while_the_database_is_gone(
    guardian: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    st.cache_resource.clear()
    with EmbeddedPostgres(guardian) as server:
        url = server.create_database("gone")
        migrate(url)
        ride_id = asyncio.run(store_live_ride(url, 120))
        monkeypatch.setenv("DATABASE_URL", url)
        run_page("live", ride_id)
    for answer_place in queries().answers._places.values():
        answer_place.tried_at = None  # as if the answers had grown old
    page = run_page("live", ride_id)
    assert "The database has been away since" in page.warning[0].value
    assert "Ada Example" in page.header[0].value
    queries().database.close()
    st.cache_resource.clear()


@pytest.fixture
def taken_away_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`taken_away_after(3)`: the database answers three more questions, and then none."""
    fetch = Database.fetch

    def take_away_after(answers: int) -> None:
        left = iter(range(answers))

        def fetch_or_fail(database: Database, sql: str, *arguments: object) -> pd.DataFrame:
            if next(left, None) is None:
                raise ConnectionResetError("taken away")
            return fetch(database, sql, *arguments)

        monkeypatch.setattr(Database, "fetch", fetch_or_fail)

    return take_away_after


@pytest.mark.parametrize("name", PAGES)
async def test_whichever_question_has_no_answer_the_page_says_so_kindly(
    open_page: Callable[..., AppTest],
    database_url: str,
    taken_away_after: Callable[[int], None],
    name: str,
) -> None:
    ride_id = await store_live_ride(database_url, 120)
    await store_alert(database_url, ride_id, "high")
    ride = ride_id if name in ("live", "recent") else None
    for answers in itertools.count():
        st.cache_resource.clear()
        taken_away_after(answers)
        page = open_page(name, ride)
        if not page.warning:
            break
        assert "does not answer yet" in page.warning[0].value
        queries().database.close()
    assert answers >= {"live": 6, "recent": 5, "all_time": 5, "bikes": 3}.get(name, 1)


async def test_a_picture_that_is_not_renewed_grows_old_on_the_page(
    open_page: Callable[..., AppTest],
    database_url: str,
    taken_away_after: Callable[[int], None],
) -> None:
    await store_live_ride(database_url, 120)
    open_page("live")
    taken_away_after(0)
    ages = []
    for seconds_ago in (10, 100):
        for place in queries().answers._places.values():
            place.tried_at = None  # as if the answers had grown old
            assert place.answer is not None
            read_at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
            place.answer = replace(place.answer, read_at=read_at)
        shown = {each.label: str(each.value) for each in open_page("live").metric}
        assert ":orange[:material/warning: **Updated at**]" in shown
        ages.append(float(shown[":orange[:material/warning: **Newest reading, age**]"].split()[0]))
    assert ages[0] >= 10
    assert ages[1] >= 100


async def test_a_window_is_compared_like_for_like(
    open_page: Callable[..., AppTest], database_url: str
) -> None:
    """As many rides had begun and ended 12 h ago as now; one is under way now, one was then."""
    await store_ended_rides(database_url, ["female"] * 3, hours_ago=2)
    await store_ended_rides(database_url, ["female"] * 3, hours_ago=14, first_rider=500)
    await store_ended_rides(database_url, ["male"], hours_ago=12.05, first_rider=900)
    await store_live_ride(database_url, 120)
    page = open_page("recent")
    assert [tile(page, name) for name in ("Rides", "Time ridden")] == ["3", "20 min 0 s"]
    assert [each.delta for each in page.metric][:3] == ["±0 %"] * 3
    assert "1 more" in words(page)


async def test_the_database_and_the_page_add_up_a_window_alike(
    open_page: Callable[..., AppTest], database_url: str
) -> None:
    """The one where there are too many rides to be shown, the other for all that is clicked."""
    await store_ended_rides(database_url, ["female", "male", "female"], hours_ago=2)
    await store_live_ride(database_url, 120)
    open_page("recent")
    rows = recent.ended(queries().recent_rides(12).rows)
    asked = queries().headline(12, recent.Filters(), windows_ago=0).rows.iloc[0]
    for name, value in recent.headline(rows).items():
        assert float(asked[name]) == pytest.approx(value), name


async def test_a_link_to_a_ride_opens_it_at_the_top_whatever_the_window_holds(
    open_page: Callable[..., AppTest], database_url: str
) -> None:
    await store_ended_rides(database_url, ["female"], hours_ago=30)
    page = open_page("recent", 1)
    assert "Rider 0" in page.header[0].value
    assert "No rides in this window" in page.info[-1].value
    page.segmented_control(key="window").set_value("3 days").run()
    assert tile(page, "Duration (min:s)") == "6:40"
    next(each for each in page.button if each.label == "Close this ride").click().run()
    assert not page.header
    assert "Choose a ride in the table" in words(page)


async def test_whoever_is_in_danger_is_known_until_calm_and_so_is_who_sees_to_it(
    open_page: Callable[..., AppTest], database_url: str
) -> None:
    calm = await store_live_ride(database_url, 120)
    racing = await store_live_ride(database_url, 210, rider_id=2, name="Bo Example")
    for ride_id in (calm, racing):
        await store_alert(database_url, ride_id, "high")
    await store_alert(database_url, racing, "critical", state="unknown")
    open_page("bikes")
    [found] = queries().dangers().rows.itertuples()
    assert (found.name, found.level, found.state) == ("Bo Example", "critical", "unknown")
    assert pd.isna(found.staff_name)
    for name in ("Zoe", "Max"):
        queries().acknowledge(found.alert_id, name, "called")
    for place in queries().answers._places.values():
        place.tried_at = None  # as if the answers had grown old
    [found] = queries().dangers().rows.itertuples()
    assert (found.staff_name, found.note) == ("Max", "called")


async def sql(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()
