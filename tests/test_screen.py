"""What the terminal shows."""

from __future__ import annotations

import io

from rich.console import Console

from ravine.screen.live import LiveListener, PlainListener


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
