"""The pages as a person meets them: the demo, as `make demo` starts it, and Chromium before it.

What was seen is kept in `tests/e2e/screenshots/`.
"""

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect
from playwright.sync_api import TimeoutError as TooLate

from demo.ports import LOCALHOST
from tests.e2e.chromium import running_chromium, tile
from tests.e2e.started_demo import StartedDemo, free_ports

FLEET = ("--bikes=8", "--since=45m", "--back-to-back", "--dangerous-share=0.9")
SCREENSHOTS = Path(__file__).parent / "screenshots"
PAGES = {
    "": "Live",
    "recent": "Recent rides",
    "alerts": "Alerts",
    "bikes": "Bikes",
    "all_time": "All time",
}
SEEN_WITHIN_S = 240
SEEN_WITHIN_MS = SEEN_WITHIN_S * 1000
IN_THE_UPPER_HALF = "item => item.getBoundingClientRect().bottom < innerHeight / 2"
TITLE_COUNTS = "/^\\([1-9]\\) /.test(document.title)"
SCROLLED = "element => { element.scrollTo(0, 150); return element.scrollTop === 150; }"
WORDS_AND_PLACE = """bar => {
    const place = bar.getBoundingClientRect();
    return {words: bar.innerText, width: place.width, foot: place.bottom};
}"""
# Looks at each frame that is painted: which charts are gone from it, and how high the page is from
# the first of them on: above it people in danger come and go.
WATCH = """() => {
    const charts = () => [...document.querySelectorAll("svg.marks")];
    const main = document.querySelector("[data-testid=stMain]");
    const top = () => charts()[0]?.getBoundingClientRect().top ?? 0;
    const height = () => Math.round(main.scrollHeight - main.scrollTop - top());
    window.seen = {frames: 0, lost: 0, lowest: height()};
    let last = charts();
    const look = () => {
        const now = charts();
        seen.frames += 1;
        seen.lost += last.filter((chart) => !now.includes(chart)).length;
        seen.lowest = Math.min(seen.lowest, height());
        last = now;
        requestAnimationFrame(look);
    };
    look();
}"""

pytestmark = pytest.mark.system
expect.set_options(timeout=SEEN_WITHIN_MS)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the dashboard of a demo answers that has stored its history and rides live."""
    demo = StartedDemo(tmp_path_factory.mktemp("demo"), free_ports(), FLEET)
    try:
        demo.wait_for(lambda: any(seen.riding and seen.lag_lines < 100 for seen in demo.figures()))
        yield f"http://{LOCALHOST}:{demo.ports['DEMO_DASHBOARD_PORT']}"
        log = (demo.folder / "logs" / "dashboard.log").read_text()
        assert [line for line in log.splitlines() if '"level": "error"' in line] == []
    finally:
        demo.end(signal.SIGTERM)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as chromium:
        yield chromium


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on a laptop's screen."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(SEEN_WITHIN_MS)
    yield page
    page.close()


def keep(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.wait_for_timeout(700)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def expect_no_barrier(page: Page) -> None:
    """By axe-core: contrast, names, headings, roles; of what is not being drawn anew."""
    deadline = time.monotonic() + SEEN_WITHIN_S
    while (found := Axe().run(page)).violations_count:
        assert time.monotonic() < deadline, found.generate_report()
        page.wait_for_timeout(500)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_can_be_read_on_a_wall_and_a_phone_by_day_and_by_night(
    page: Page, address: str, path: str
) -> None:
    title = PAGES[path]
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto(f"{address}/{path}")
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
        expect(page.get_by_test_id("stMetric").first).to_be_visible()
        expect(page.locator("svg.marks, canvas").first).to_be_visible()
        for width, height in ((390, 844), (1920, 1080)):
            page.set_viewport_size({"width": width, "height": height})
            keep(page, f"{title.replace(' ', '-').lower()}-{width}-{scheme}")
            page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
        expect_no_barrier(page)
        expect(page.get_by_test_id("stException")).to_have_count(0)


def test_a_chosen_rider_stays_while_figures_change_without_a_flicker(
    page: Page, address: str
) -> None:
    page.goto(address)
    page.get_by_role("radio", name="Just started").click()
    card = page.locator(".riders .card:not(.outside)").first
    name = card.locator(".name").inner_text()
    page.get_by_role("button", name=name).click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    page.wait_for_url("**/?ride=*")
    chosen = page.url
    expect(page.locator(".st-key-card-hearts")).to_have_count(0)
    expect(page.locator("svg.marks")).to_have_count(6)
    main = page.get_by_test_id("stMain")
    # The page is still growing: it can be scrolled so far once it is long enough.
    page.wait_for_function(SCROLLED, arg=main.element_handle())
    page.evaluate(WATCH)
    before = page.evaluate("seen.lowest")
    seen: set[str] = set()
    deadline = time.monotonic() + SEEN_WITHIN_S
    # The first and ten refreshes, looked at in many frames.
    while len(seen) <= 10 or page.evaluate("seen.frames") <= 50:
        assert time.monotonic() < deadline, "the page stands still"
        page.wait_for_timeout(300)
        seen.add(tile(page, "Updated at").inner_text())
    watched = page.evaluate("seen")
    assert watched["lost"] == 0, "charts were taken away and drawn anew"
    assert watched["lowest"] >= before - 1, "the page became shorter for a moment"
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    assert page.url == chosen
    keep(page, "live-ride")
    expect_no_barrier(page)


def test_someone_in_danger_is_on_top_and_cannot_be_missed(page: Page, address: str) -> None:
    seen = None
    deadline = time.monotonic() + SEEN_WITHIN_S
    while seen is None:
        assert time.monotonic() < deadline, "nobody was in danger for long enough"
        page.goto(address)
        try:
            page.locator(".riders .card:first-child.outside").click()
            expect(page.locator("svg.marks")).to_have_count(6)
            # It slides in.
            page.wait_for_timeout(700)
            seen = page.locator(".st-key-danger").evaluate(WORDS_AND_PLACE, timeout=3_000)
        except TooLate:
            continue  # the heart has calmed down
    keep(page, "live-ride-in-danger")
    assert re.search("heart rate (low|high|critical), [0-9]+ bpm", seen["words"])
    assert (seen["width"], seen["foot"]) == (1280, 1000)


def test_whoever_is_in_danger_is_named_first_on_every_page_until_somebody_sees_to_it(
    page: Page, address: str
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    seen_to = page.get_by_text(re.compile("seen to by Zoe Example, [0-9:]+: I call"))
    deadline = time.monotonic() + 2 * SEEN_WITHIN_S
    while True:
        assert time.monotonic() < deadline, "nobody was in danger for long enough"
        page.goto(f"{address}/alerts")
        desk = page.locator(".desk li").first
        try:
            desk.wait_for(timeout=20_000)
            item = desk.element_handle(timeout=3_000)
            page.wait_for_function(IN_THE_UPPER_HALF, arg=item, timeout=20_000)
            page.wait_for_function(TITLE_COUNTS, timeout=20_000)
            desk.get_by_text("I see to it").click(timeout=3_000)
            desk.get_by_label("Your name").fill("Zoe Example", timeout=3_000)
            desk.get_by_label("Note").fill("I call", timeout=3_000)
            keep(page, "danger-on-a-phone")
            desk.get_by_role("button", name="Tell the others").click(timeout=3_000)
            page.goto(f"{address}/bikes")
            seen_to.wait_for(timeout=20_000)
        except TooLate:
            continue  # the heart has calmed down
        break
    keep(page, "danger-seen-to")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 1280, "height": 1000})
    keep(page, "danger-by-night")
    expect_no_barrier(page)


def test_a_filter_a_click_in_a_chart_and_the_download_agree(
    page: Page, address: str, tmp_path: Path
) -> None:
    page.set_viewport_size({"width": 1280, "height": 1600})
    page.goto(f"{address}/recent")
    everyone = count(page)
    page.get_by_role("combobox", name="Age").fill("35")
    page.get_by_role("option", name="35–44").click()
    of_that_age = count_below(page, everyone)
    bar = page.get_by_test_id("stVegaLiteChart").first.locator("[aria-label*='gender: male']")
    again = page.get_by_role("button", name="Show all again")
    click_until(bar.first, again)
    assert count_below(page, of_that_age) > 0
    keep(page, "recent-rides-narrowed")
    shown = page.locator("[data-testid=stDataFrame] table tbody tr td:first-child")
    deadline = time.monotonic() + SEEN_WITHIN_S
    while True:
        said, lines = download_rides(page, tmp_path / "rides.csv")
        assert all(re.search(r",male,(3[5-9]|4[0-4]),", line) for line in lines)
        numbers = [line.partition(",")[0] for line in lines]
        table = shown.all_inner_texts()
        if len(lines) == said and table and table == numbers[: len(table)]:
            break
        # A ride may have ended between two looks.
        assert time.monotonic() < deadline, f"table {table}, download {numbers}, said {said}"
    again.click()
    expect(page.get_by_text("Click a bar to narrow")).to_be_visible()
    while count(page) < of_that_age:
        page.wait_for_timeout(300)


def click_until(target: Locator, seen: Locator) -> None:
    """Click again where a click met a chart that was being given new data."""
    deadline = time.monotonic() + SEEN_WITHIN_S
    while True:
        target.click()
        try:
            seen.wait_for(timeout=5_000)
        except TooLate:
            assert time.monotonic() < deadline, "no click was heard"
        else:
            return


def download_rides(page: Page, file: Path) -> tuple[int, list[str]]:
    """How many rides the button says when it is clicked, and the lines that come.

    None come where the click met a button that was being drawn anew.
    """
    button = page.get_by_test_id("stDownloadButton").get_by_role("button")
    said = re.search(r"Download ([0-9]+) rides", button.inner_text())
    assert said is not None
    try:
        with page.expect_download(timeout=20_000) as download:
            button.click()
    except TooLate:
        return int(said[1]), []
    download.value.save_as(file)
    return int(said[1]), file.read_text("utf-8-sig").splitlines()[1:]


def count(page: Page) -> int:
    return int(tile(page, "Rides").inner_text().replace(",", ""))


def count_below(page: Page, before: int) -> int:
    """How many rides are left of so many, once they are fewer; rides may end meanwhile."""
    while (now := count(page)) >= before:
        page.wait_for_timeout(300)
    return now


def test_a_clicked_row_opens_its_ride_and_stays_chosen_when_its_row_moves(
    page: Page, address: str
) -> None:
    page.set_viewport_size({"width": 1280, "height": 3000})
    page.goto(f"{address}/recent")
    table = page.get_by_test_id("stDataFrame")
    table.scroll_into_view_if_needed()
    table.click(position={"x": 300, "y": 200})
    page.wait_for_url("**/recent?ride=*")
    chosen = page.url
    expect(page.get_by_text("This ride beside the rider's personal bests")).to_be_visible()
    name = page.get_by_test_id("stHeading").last.inner_text()
    bike = re.search(r"bike (\S+)", page.get_by_text("height").first.inner_text())
    assert bike is not None
    row = table.locator("td[aria-selected=true]").first.get_attribute("id")
    page.get_by_role("combobox", name="Bike").fill(bike[1])
    page.get_by_role("option", name=bike[1]).click()
    expect(page.get_by_text(re.compile("^Rides \\([0-9] of [0-9],"))).to_be_visible()
    expect(table.locator(f"td[aria-selected=true]:not(#{row})").first).to_be_attached()
    assert page.url == chosen
    expect(page.get_by_test_id("stHeading").last).to_have_text(name)
    keep(page, "recent-ride-closely")
    page.goto(chosen)
    heading = page.get_by_test_id("stHeading").nth(1)
    expect(heading).to_have_text(name)
    page.wait_for_function(
        "element => element.getBoundingClientRect().top < 400", arg=heading.element_handle()
    )
    keep(page, "recent-ride-by-link")
