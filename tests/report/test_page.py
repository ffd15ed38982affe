"""The page as text: escaped, complete, in order, written whole."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from math import inf

import pytest

from ravine.report import page, render, write
from ravine.report.axes import Axis
from ravine.report.figures import curves_figure, look, rank_figure
from ravine.report.records import Caption, Curves, Key, Line, Ranking, RankRow
from tests.report.builders import broken


def own(html: str) -> str:
    """The page without Plotly's library, whose text is not ours."""
    start, end = html.index("<script>/**"), html.index('<script type="application/json"')
    return html[:start] + html[end:]


def test_hostile_names_stay_text(hostile_study):
    html = own(render(hostile_study))
    assert "<img" not in html
    assert html.count("</script>") == 2
    assert "&lt;/script&gt;&lt;img src=x onerror=&quot;" in html
    assert "<b>" not in re.sub(r"<b>(How to read:|[\d.,%]+)</b>", "", html)


def test_the_page_names_no_other_place(study):
    html = own(render(study))
    assert not re.findall(r"https?:(?!//www\.w3\.org/2000/svg)", html)
    assert "default-src 'none'" in html
    assert '<link rel="icon" href="data:' in html


def test_plotly_is_embedded_once_and_figures_are_json(study):
    html = render(study)
    assert html.count("* plotly.js v") == 1
    text = re.search(r'<script type="application/json" id="figures">(.*?)</script>', html)[1]
    assert len(json.loads(text)) == len(re.findall(r'class="plot"', html)) == 6 + 2 + 1 + 2


def test_sections_come_in_order_below_answer_and_warnings(study):
    html = own(render(study))
    order = ["summary", "rates", "curves", "validation", "ranking", "duels", "speed", "diverged"]
    marks = ['class="answer"', 'class="warnings"']
    marks += [f'<section id="{name}"' for name in (*order, "method", "environment")]
    places = [html.index(mark) for mark in marks]
    assert places == sorted(places)


def test_no_warnings_no_box_and_no_test_data_no_column(new_study):
    html = own(render(new_study(arms=2, finals=2, test=False, warnings=())))
    assert 'class="warnings"' not in html
    assert "Test error rate" not in html
    assert "Test error rate" in own(render(new_study(arms=2, finals=2)))


def test_the_best_wear_a_badge(new_study):
    one = new_study(arms=2, finals=2)
    names = tuple(arm.name for arm in one.verdict.arms)
    for best, badges in ((names[:1], ["best"]), (names, ["maybe best"] * 2)):
        html = own(render(replace(one, verdict=replace(one.verdict, best=best))))
        assert re.findall(r'class="badge">([\w ]+)<', html) == badges


def test_diverged_seeds_stand_in_the_place_of_the_number_or_beside_it(new_study):
    html = own(render(broken(new_study(arms=3, finals=4), 0, 1, 4)))
    marks = re.findall(r"<small>((?:\d+ of \d+ )?diverged)</small>", html)
    assert marks == ["1 of 4 diverged", "diverged"]
    assert html.count("<td><small>diverged</small></td>") == 1


def test_a_rate_stays_on_the_line_of_its_name(study):
    arms = [replace(arm, p_best=0.5) for arm in study.verdict.arms]
    tie = replace(study.verdict, arms=tuple(arms), best=tuple(a.name for a in arms[:2]))
    html = own(render(replace(study, verdict=tie)))
    assert re.search(r"\(learning rate&nbsp;[\d.]+\) and ", html)


def test_a_band_keeps_to_the_side_where_seeds_are_finite():
    axis = Axis(0.1, 2.0, True, ())
    line = Line(Key("a", "A", 0), (0, 1, 2), (1.0, 0.5, inf), (0.9, 0.4, 0.3), (1.1, inf, inf), 4)
    figure = curves_figure(Curves(Caption("", "", ""), axis, "cost", False, (line,)))
    band, median = figure.data
    assert (band.x, band.y) == ((0, 1, 1, 0), (0.9, 0.4, 0.5, 1.1))
    assert median.y == (1.0, 0.5, None)


def test_names_of_three_lines_make_rows_of_three_lines():
    key = Key("a", "RMSProp with Nesterov momentum", 0)
    heights = []
    for note in ("", "3 of 20 diverged"):
        figure = rank_figure(
            Ranking(Caption("", "", ""), (RankRow(key, 1, 1, 1, "0.5", note),) * 9)
        )
        heights.append(figure.layout.height)
    assert figure.layout.yaxis.ticktext[0] == (
        "RMSProp with<br>Nesterov momentum<br>3 of 20 diverged"
    )
    assert heights[1] - heights[0] == 9 * 17


def test_looks_are_unique():
    looks = [look(Key(str(slot), "", slot)) for slot in range(40)]
    assert len(set(looks)) == 40
    assert len({(style.colour, style.dash) for style in looks[:15]}) == 15
    assert len({(style.colour, style.marker) for style in looks[:15]}) == 15


def test_write_replaces_the_old_page(tmp_path, new_study):
    path = tmp_path / "report.html"
    path.write_text("old")
    assert write(new_study(arms=2, finals=2), str(path)) == path
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_page(tmp_path, new_study, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(page.os, "replace", fail)
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"):
        write(new_study(arms=2, finals=2), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_best_setting_is_there_to_copy(new_study):
    study = new_study(arms=2, finals=2)
    arms = tuple(replace(arm, code=f"# {arm.name} <&>\nx = 1") for arm in study.verdict.arms)
    html = own(render(replace(study, verdict=replace(study.verdict, arms=arms))))
    lead = max(arms, key=lambda arm: arm.p_best)
    assert f'<pre class="paste"><code># {lead.name} &lt;&amp;&gt;\nx = 1</code></pre>' in html
    assert 'class="paste"' not in own(render(study))
