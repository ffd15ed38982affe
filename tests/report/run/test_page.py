"""The page of one training as text: escaped, whole, in order, and what it leaves out."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from plotly.offline import get_plotlyjs

from ravine.diagnostics.doctor.prescription import Attempt
from ravine.diagnostics.finding import Finding
from ravine.report.axes import Axis, linear_axis
from ravine.report.records import Caption
from ravine.report.run import render_run, write_run
from ravine.report.run.figures import chart_figure, heat_figure, view_figure
from ravine.report.run.records import Chart, Heat, Line, Mark, View
from ravine.report.words import number
from ravine.training.records import Run, Trial
from tests.report.conftest import HOSTILE
from tests.report.run.builders import (
    ACCOUNTS,
    INF,
    NAN,
    broken,
    change,
    prescription,
    record,
    whole,
)
from tests.report.test_page import own

SECTIONS = (
    *("found", "treatment", "loss", "curvature", "spectrum", "layers", "noise", "view"),
    *("costs", "method", "environment"),
)


def sections(html: str) -> list[str]:
    return re.findall(r'<section id="(\w+)"', own(html))


def figures(html: str) -> list[dict]:
    text = re.search(r'<script type="application/json" id="figures">(.*?)</script>', html)[1]
    return json.loads(text)


def test_sections_come_in_order_and_are_linked():
    html = render_run(whole())
    assert sections(html) == list(SECTIONS)
    assert re.findall(r'<a href="#(\w+)"', own(html)) == list(SECTIONS)
    # 2 of losses, 3 of curvature, 2 of the spectrum, 5 maps, 1 of noise, 1 slice
    assert len(figures(html)) == len(re.findall(r'class="plot"', html)) == 14


def test_a_page_without_readings_says_so():
    html = render_run(record())
    assert sections(html) == ["found", "costs", "method"]
    assert "Nothing wrong found." in html
    assert "Not drawn, for lack of readings: the loss, curvature along the gradient, the" in html
    assert figures(html) == []


def test_figures_of_a_run_that_broke_hold_no_numbers_that_are_none():
    html = render_run(broken())
    assert sections(html) == [
        *("found", "loss", "curvature", "layers", "costs", "method"),
    ]
    assert "NaN" not in json.dumps(figures(html))
    assert "Infinity" not in json.dumps(figures(html))


def hostile():
    """Hostile text wherever a recipe, a model or an error can put some."""
    history = whole().history
    for quantity in ("gradient_norm", "dead_units"):
        made = record({f"{quantity}@{HOSTILE}": {0: 0.5, 90: 1.0}}).history
        history._series.update(made._series)
    found = Finding(HOSTILE, 0.9, HOSTILE, HOSTILE, 3, HOSTILE)
    hers = change(HOSTILE)
    attempts = (Attempt(hers, 0.1), Attempt(hers, NAN, failure=HOSTILE))
    return whole(
        title=HOSTILE,
        metric=HOSTILE,
        history=history,
        findings=(found,),
        run=Run(Trial(HOSTILE, {"lr": 0.1, HOSTILE: 2.0}, 0)),
        accounts={HOSTILE: replace(ACCOUNTS["spectrum"], failure=HOSTILE)},
        prescription=prescription(
            findings=(found,),
            proof=replace(prescription().proof, change=hers),
            attempts=attempts,
        ),
        environment={HOSTILE: HOSTILE, "command": HOSTILE},
    )


def test_hostile_names_stay_text():
    html = own(render_run(hostile()))
    assert "<img" not in html
    assert html.count("</script>") == 2
    assert "&lt;/script&gt;&lt;img src=x onerror=&quot;" in html
    assert "<b>" not in re.sub(r"<b>(How to read:|Remedy:)</b>", "", html)
    assert "$title" in html


def test_findings_are_numbered_as_their_marks():
    html = render_run(whole())
    titles = re.findall(r"<li><h3>([^<]+)</h3>", html)
    assert titles == ["Learning rate too high", "Saddle", "Plateau"]
    notes = [a["text"] for a in figures(html)[0]["layout"]["annotations"]]
    assert notes == ["<b>1</b>", "<b>2, 3</b>"]
    lines = [shape["x0"] for shape in figures(html)[0]["layout"]["shapes"]]
    assert lines == [0, 40, 42]


def test_the_page_is_small_beside_the_library():
    html = render_run(whole())
    assert len(html.encode()) - len(get_plotlyjs().encode()) < 200_000
    assert html.count("* plotly.js v") == 1


def test_write_puts_the_page_in_place(tmp_path):
    path = tmp_path / "run.html"
    path.write_text("old")
    assert write_run(record(), str(path)) == path
    assert path.read_text(encoding="utf-8") == render_run(record())
    assert list(tmp_path.iterdir()) == [path]


# --- figures --------------------------------------------------------------------------------------


def chart(y: Axis, *lines: Line, marks: tuple[Mark, ...] = ()) -> Chart:
    return Chart("heading", "alt", 10, y, lines, marks)


def test_a_line_keeps_to_its_axis_and_leaves_gaps():
    axis = Axis(0.1, 10.0, True, ())
    line = Line("l", 0, "dots", (0, 1, 2, 3, 4), (1.0, NAN, INF, 0.0, 0.01), (True,) + (False,) * 4)
    (trace,) = chart_figure(chart(axis, line)).data
    assert trace.y == (1.0, None, 10.0, None, 0.1)
    assert trace.marker.symbol == ("circle-open", *["circle"] * 4)
    assert trace.customdata == ("-1", "?", "∞", "0", "0.01")


def test_a_map_is_drawn_from_the_top_in_logarithms():
    heat = Heat(
        "h", "a", ("first", "a" * 30), (0.0, 1.0, 9.0), ((1.0, 1e-9), (NAN, 1e4)),
        Axis(0.01, 100.0, True, ((1.0, "1"),)),
    )  # fmt: skip
    figure = heat_figure(heat)
    (trace,) = figure.data
    assert list(map(list, trace.z)) == [[0.0, -2.0], [None, 2.0]]
    assert (trace.zmin, trace.zmax) == (-2.0, 2.0)
    assert trace.x == (0.0, 1.0, 9.0)
    assert trace.colorbar.tickvals == (0.0,)
    assert figure.layout.yaxis.range == (1.5, -0.5)
    assert figure.layout.yaxis.ticktext == ("first", f"{'a' * 5}…{'a' * 16}")
    assert trace.customdata[1][1] == f"{'a' * 30}: 10,000"


def test_the_slice_is_drawn_with_its_path_upon_it():
    colour = linear_axis([1.0, 3.0], number)
    path = ((-1.0, 0.5, "step 0"), (-0.5, 0.2, "step 5"), (0.0, 0.0, "step 9"))
    view = View(
        Caption("title", "reading", "alt"),
        (-1.0, 0.0, 1.0),
        (0.0, 1.0),
        ((1, 2, 3), (NAN, 9, 2)),
        colour,
        path,
    )
    contour, under, over, dots = view_figure(view).data
    assert list(map(list, contour.z)) == [[1.0, 2.0, 3.0], [None, round(colour.hi, 4), 2.0]]
    assert under.x == over.x == dots.x == (-1.0, -0.5, 0.0)
    assert under.y == over.y == dots.y == (0.5, 0.2, 0.0)
    assert (dots.marker.symbol[0], dots.marker.symbol[-1]) == ("circle", "star")
    assert dots.customdata == ("step 0", "step 5", "step 9")
