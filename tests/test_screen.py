"""What the terminal shows."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from ravine.comparison.members import FILE as MEMBERS
from ravine.comparison.several.overall import overall
from ravine.screen.live import LiveListener, PlainListener
from ravine.screen.overall import print_overall
from ravine.screen.verdicts import print_verdict
from tests.comparison.several.workloads import ranked
from tests.report.builders import ADAM, SGD, verdict


def printed(width: int = 100) -> Console:
    return Console(file=io.StringIO(), width=width, highlight=False)


def test_plain_progress_is_a_line_for_each_stage_that_has_something_to_do():
    console = printed()
    plain = PlainListener(console)
    plain.stage("fresh seeds 1-5", 29700)
    plain.stage("fresh seeds 6-10", 0)
    plain.tick(100)
    plain.note("an odd [/tmp/x] [bold]line[/bold]")
    assert console.file.getvalue() == (
        "fresh seeds 1-5: 29,700 gradient steps\nan odd [/tmp/x] [bold]line[/bold]\n"
    )


def test_live_progress_shows_stage_speed_time_left_and_the_best_so_far():
    live = LiveListener()
    now = iter(range(1000))
    live._bar.get_time = lambda: float(next(now))
    live.stage("learning rates, 1/9 of the training", 1000)
    for _ in range(5):
        live.tick(100)
    live.best({"sgd [/x]": (0.1, 0.02089), "adam": (0.003162, 0.0251)})
    console = printed()
    console.print(live.picture)
    text = console.file.getvalue()
    assert "learning rates, 1/9 of the training" in text
    assert "50%" in text
    assert "member-steps/s" in text
    rows = [line.split() for line in text.splitlines() if line.strip()]
    assert ["sgd", "[/x]", "0.1", "0.02089"] in rows
    assert ["adam", "0.003162", "0.0251"] in rows
    seconds_left = rows[0][-1]
    assert seconds_left.count(":") == 1


def rows(text: str) -> dict[str, list[str]]:
    """The words of each line, by the first."""
    return {words[0]: words for line in text.splitlines() if (words := line.split())}


def test_a_tie_never_shows_the_winners_probability(capsys, tmp_path):
    adam, sgd = replace(ADAM, p_best=0.9796), replace(SGD, p_best=0.0004)
    print_verdict(verdict(adam, sgd, best=("adam", "sgd")), "No certain winner.", tmp_path)
    found = rows(capsys.readouterr().out)
    assert "0.979" in found["adam"]
    assert found["sgd"][-3:-1] == ["<", "0.01"]


def test_members_that_diverged_are_not_counted_among_those_kept(capsys, tmp_path):
    (tmp_path / MEMBERS).write_bytes(bytes(2**20))
    print_verdict(verdict(replace(ADAM, final_diverged=3), SGD, best=("adam",)), "Adam.", tmp_path)
    out = capsys.readouterr().out
    assert "17 trained with Adam, 1 MiB" in " ".join(out.split())


def test_over_recipes_what_diverged_on_every_seed_is_not_called_best(capsys, tmp_path):
    recipes = [ranked(name, ["sgd", "adam"]) for name in "abc"]
    for at, lost in enumerate(({"adam"}, {"sgd", "adam"})):
        of = recipes[at].verdict
        arms = tuple(replace(a, final_diverged=5 * (a.name in lost)) for a in of.arms)
        recipes[at] = replace(recipes[at], verdict=replace(of, arms=arms, best=("sgd", "adam")))
    print_overall(overall(recipes), tmp_path)
    out = capsys.readouterr().out
    assert ["> 0.99" in line for line in out.splitlines() if line.split()[:1] == ["sgd"]] == [True]
    found = rows(out)
    assert found["a"] == ["a", "SGD", "SGD"]
    assert found["b"] == ["b", "nothing", "trained", "SGD"]
