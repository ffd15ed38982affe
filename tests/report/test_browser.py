"""The page in a real browser: drawn, offline, readable on a phone and in the dark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ravine.comparison.records import Study
from ravine.report import write
from ravine.report.facts import facts_of
from tests.report.builders import broken

webdriver = pytest.importorskip("selenium.webdriver")

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
DESKTOP, PHONE = 1280, 390
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
)


@pytest.fixture(scope="module")
def driver(tmp_path_factory) -> Iterator:
    if not (CHROMIUM.exists() and DRIVER.exists()):
        pytest.skip("needs a browser: install the Debian packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(str(DRIVER)))
    yield browser
    browser.quit()


@pytest.fixture
def show(driver, tmp_path):
    """Open a study's report at a width, with fresh logs."""

    def open_report(study: Study, width: int, scheme: str = "light"):
        path = write(study, tmp_path / "report.html")
        driver.get("about:blank")
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        prefer(driver, scheme)
        for log in ("browser", "performance"):
            driver.get_log(log)
        driver.get(path.as_uri())
        return driver

    return open_report


def prefer(driver, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def traces(study: Study) -> list[int]:
    """How many traces each figure must show, in the order of the page."""
    fact = facts_of(study)
    rates = [
        sum(map(bool, (panel.early, panel.full, panel.chosen, panel.diverged)))
        for panel in fact.sensitivity.panels
    ]
    curves = [
        sum(1 + (line.seeds > 1) for line in figure.lines)
        for figure in (fact.cost, fact.validation)
    ]
    return [*rates, *curves, len(fact.ranking.rows), *(len(race.rows) for race in fact.speed.races)]


def drawn(driver) -> list[int]:
    return driver.execute_script(
        "return [...document.querySelectorAll('.plot')]"
        ".map(plot => plot.querySelectorAll('.main-svg .scatterlayer .trace').length)"
    )


def requests(driver) -> list[str]:
    """Every address asked for since the page was opened, the page itself and data excepted."""
    messages = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    urls = [params["request"]["url"] for params in sent if params.get("type") != "Document"]
    assert sent, "the log of requests must at least hold the page itself"
    entries = driver.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    return [url for url in (*urls, *entries) if not url.startswith("data:")]


def overflow(driver) -> int:
    return driver.execute_script("return document.documentElement.scrollWidth - innerWidth")


def clipped(driver) -> list[str]:
    """Texts of figures that stick out of their figure."""
    return driver.execute_script("""
        return [...document.querySelectorAll('.plot')].flatMap(plot => {
            const box = plot.getBoundingClientRect();
            return [...plot.querySelectorAll('.main-svg text')].filter(text => {
                const r = text.getBoundingClientRect();
                return r.width && (r.left < box.left - 1 || r.right > box.right + 1
                    || r.top < box.top - 1 || r.bottom > box.bottom + 1);
            }).map(text => text.textContent);
        })""")


SHAPES = {
    "six": {},
    "fifteen": {"arms": 15, "finals": 5},
    "larger is better": {"arms": 2, "finals": 5, "maximize": True, "test": False},
    "one seed": {"arms": 3, "finals": 1},
    "seeds diverged": {"arms": 15, "finals": 20, "diverged": (0, *(19,) * 13, 20)},
    "all seeds diverged": {"arms": 3, "finals": 4, "diverged": (4, 4, 4)},
}


@pytest.mark.parametrize(
    ("shape", "width"), [("six", DESKTOP), *((shape, PHONE) for shape in SHAPES)]
)
def test_every_figure_is_drawn_offline_within_the_width(new_study, show, shape, width):
    kinds = dict(SHAPES[shape])
    diverged = kinds.pop("diverged", ())
    study = broken(new_study(**kinds), *diverged)
    driver = show(study, width)
    assert drawn(driver) == traces(study)
    assert driver.get_log("browser") == []
    assert requests(driver) == []
    assert overflow(driver) <= 0
    assert driver.execute_script("return innerWidth") == width
    assert clipped(driver) == []


def test_hostile_names_do_nothing(hostile_study, show):
    driver = show(hostile_study, PHONE)
    assert drawn(driver) == traces(hostile_study)
    assert driver.title.startswith("</script><img src=x")
    assert driver.execute_script("return document.querySelectorAll('img').length") == 0
    name = driver.execute_script("return document.querySelector('#ranking .ytick').textContent")
    assert name.startswith("</script><img")
    assert name.endswith("<b>")
    assert driver.get_log("browser") == []
    assert overflow(driver) <= 0


def colours(driver) -> dict[str, str]:
    return driver.execute_script("""
        const fill = query => getComputedStyle(document.querySelector(query)).fill;
        return {
            page: getComputedStyle(document.body).backgroundColor,
            ink: getComputedStyle(document.querySelector('.answer')).color,
            ticks: fill('#curves .xtick text'),
            titles: fill('#curves .xtitle'),
            notes: fill('#ranking .annotation text'),
        }""")


def luminance(colour: str) -> float:
    channels = [float(c) / 255 for c in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("first", ["light", "dark"])
def test_text_follows_the_colour_scheme_with_contrast(study, show, first):
    driver = show(study, DESKTOP, first)
    before = colours(driver)
    prefer(driver, "dark" if first == "light" else "light")
    driver.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0]))")
    after = colours(driver)
    light, dark = (before, after) if first == "light" else (after, before)
    assert luminance(light["page"]) > 0.9
    assert luminance(dark["page"]) < 0.05
    for name in ("ink", "ticks", "titles", "notes"):
        assert contrast(light[name], light["page"]) >= 4.5, name
        assert contrast(dark[name], dark["page"]) >= 4.5, name
    assert drawn(driver) == traces(study)


def test_a_name_in_the_legend_hides_its_curves_in_both_figures(study, show):
    driver = show(study, PHONE)
    before, first = drawn(driver), facts_of(study).cost.lines[0].key.name
    button = f".legend button[data-optimizer='{first}']"
    press = f"document.querySelector(`{button}`).click()"
    driver.execute_script(press)
    curves = slice(len(study.verdict.arms), len(study.verdict.arms) + 2)
    assert drawn(driver)[curves] == [n - 2 for n in before[curves]]
    pressed = driver.execute_script(
        f"return [...document.querySelectorAll(`{button}`)].map(b => b.ariaPressed)"
    )
    assert pressed == ["false", "false"]
    driver.execute_script(press)
    assert drawn(driver) == before


def test_print_fits_the_paper_and_comes_back(study, show):
    driver = show(study, DESKTOP)
    widths = (
        "return [...document.querySelectorAll('.plot')]"
        ".map(p => Math.round(p.querySelector('.main-svg').getBoundingClientRect().width))"
    )
    before = driver.execute_script(widths)
    driver.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert max(driver.execute_script(widths)) <= 680
    driver.execute_script("dispatchEvent(new Event('afterprint'))")
    assert driver.execute_script(widths) == before
