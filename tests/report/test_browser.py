"""The page in a real browser: drawn, offline, readable on a phone and in the dark."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ravine.comparison.records import Failures, Study
from ravine.report import write
from ravine.report.facts import facts_of
from tests.report.browsing import (
    DESKTOP,
    PHONE,
    clipped,
    contrast,
    luminance,
    opened,
    overflow,
    prefer,
    requests,
)
from tests.report.builders import broken
from tests.report.test_failures import DIVERGED, STUCK


@pytest.fixture
def show(driver, tmp_path):
    """Open a study's report at a width, with fresh logs."""

    def open_report(study: Study, width: int, scheme: str = "light"):
        path = write(study, tmp_path / "report.html")
        return opened(driver, path, width, scheme)

    return open_report


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


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_why_trials_failed_is_readable_within_the_width(study, show, width):
    found = Failures(80, (DIVERGED, STUCK), True)
    driver = show(replace(study, verdict=replace(study.verdict, failures=found)), width)
    assert overflow(driver) <= 0
    widths = driver.execute_script(
        "return [...document.querySelectorAll('#failures tbody tr:first-child td')]"
        ".map(cell => cell.offsetWidth)"
    )
    assert len(widths) == 5
    assert min(widths[2:]) >= 200
