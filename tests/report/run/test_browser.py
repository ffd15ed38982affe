"""The page of one training in a real browser: drawn, offline, readable on a phone and in the dark."""

from __future__ import annotations

import pytest

from ravine.report.run import RunRecord, write_run
from tests.report.browsing import (
    DESKTOP,
    PHONE,
    clipped,
    contrast,
    luminance,
    opened,
    overflow,
    requests,
)
from tests.report.run.builders import broken, record, whole
from tests.report.run.test_page import hostile


@pytest.fixture
def show(driver, tmp_path):
    """Open a run's report at a width, with fresh logs."""

    def open_report(of: RunRecord, width: int, scheme: str = "light"):
        return opened(driver, write_run(of, tmp_path / "run.html"), width, scheme)

    return open_report


def drawn(driver) -> list[int]:
    """Traces of each figure: lines, maps and contours."""
    return driver.execute_script("""
        const parts = '.scatterlayer .trace, .heatmaplayer .hm, .contourlayer .contour';
        return [...document.querySelectorAll('.plot')]
            .map(plot => plot.querySelectorAll(parts).length)""")


WHOLE = [3, 1, *(2, 2, 2), *(2, 2), *[1] * 5, 3, 4]
"""Losses and metric, curvature, spectrum, maps, noise, slice and path."""


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize(
    ("of", "traces"),
    [
        (whole(), WHOLE),
        (broken(), [3, 1, *(2, 2, 2), *(1, 1)]),
        (record(), []),
    ],
    ids=["whole", "broken", "empty"],
)
def test_every_figure_is_drawn_offline_within_the_width(show, of, traces, width):
    driver = show(of, width)
    assert drawn(driver) == traces
    assert driver.get_log("browser") == []
    assert requests(driver) == []
    assert overflow(driver) <= 0
    assert clipped(driver) == []


def test_hostile_names_do_nothing(show):
    driver = show(hostile(), PHONE)
    assert driver.title.startswith("</script><img src=x")
    assert driver.execute_script("return document.querySelectorAll('img').length") == 0
    rows = driver.execute_script(
        "return [...document.querySelectorAll('#layers .ytick')].map(tick => tick.textContent)"
    )
    assert any(row.startswith("</scr…") and row.endswith("$title<b>") for row in rows)
    assert driver.get_log("browser") == []
    assert overflow(driver) <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(show, scheme):
    driver = show(whole(), DESKTOP, scheme)
    colours = driver.execute_script("""
        const fill = query => getComputedStyle(document.querySelector(query)).fill;
        return {
            page: getComputedStyle(document.body).backgroundColor,
            ink: getComputedStyle(document.querySelector('.findings p')).color,
            ticks: fill('#loss .xtick text'),
            marks: fill('#loss .annotation text'),
            names: fill('#layers .ytick text'),
            scale: fill('#layers .cbaxis text'),
        }""")
    assert (luminance(colours["page"]) > 0.5) == (scheme == "light")
    for name in ("ink", "ticks", "marks", "names", "scale"):
        assert contrast(colours[name], colours["page"]) >= 4.5, name
