"""The command line: what it prints, and one clear line and exit code 2 for bad input."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
import torch
from rich.console import Console

from ravine import Optimizer, api, optim, rules, screen
from ravine.cli import _parser, main
from ravine.engines.memory import memory_per_element
from ravine.optim._listing import described
from ravine.reproduce import STUDIES

RECIPE = """
import torch
import torch.nn.functional as F
from torch import nn
import ravine

def recipe():
    x, y = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 3
    return ravine.Recipe(
        name="mine", model=lambda: nn.Linear(4, 3), cost={cost}, metric=ravine.metrics.error_rate,
        train={train}, validation=(x, y), test=(x, y), batch_size=8, steps=27,
    )
"""


def write_recipe(folder, cost="F.cross_entropy", train="(x, y)"):
    path = folder / "mine.py"
    path.write_text(RECIPE.format(cost=cost, train=train))
    return str(path)


def test_the_help_names_all_experiments():
    """Written out there, as importing them imports torch, and `ravine --help` does without."""
    said = _parser()._subparsers._group_actions[0].choices["reproduce"].description
    names = said.rstrip(".").split(": ")[1].replace(" or ", ", ").split(", ")
    assert names == list(STUDIES)


def test_compare_a_users_recipe_from_start_to_report(tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["compare", write_recipe(tmp_path), "--optimizers", "sgd, adam", "--out", str(out)]
    assert main([*arguments, "--lane", "serial"]) == 0
    printed = capsys.readouterr()
    verdict = json.loads((out / "verdict.json").read_text())
    assert str(out / "report.html") in printed.out
    for arm in verdict["arms"]:
        assert f"{arm['validation']['mean']:.4g}" in printed.out
    assert "1/9 of the training" in printed.err
    (out / "report.html").unlink()
    (out / "verdict.json").unlink()
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").exists()
    assert json.loads((out / "verdict.json").read_text()) == verdict


def test_train_prints_the_curve(capsys):
    assert (
        main(["train", "digits-softmax", "--optimizer", "adam", "--lr", "0.01", "--steps", "27"])
        == 0
    )
    run = api.train("digits-softmax", "adam", 0.01, steps=27).run
    printed = capsys.readouterr()
    lines = printed.out.split("\n\n")[0].splitlines()
    assert len(lines) == 1 + 28
    assert lines[-1].split() == [
        "27",
        *(f"{v:.4g}" for v in (run.curve[-1].cost, run.curve[-1].validation_cost,
                               run.curve[-1].validation_metric)),
    ]  # fmt: skip


def test_train_says_when_it_diverged_and_why_before_it_ends(capsys):
    arguments = ["train", "digits-softmax", "--optimizer", "sgd", "--lr", "1e38"]
    assert main([*arguments, "--steps", "54"]) == 0
    printed = capsys.readouterr()
    assert "diverged" in printed.out
    assert "NaN or infinite in model: " in printed.out
    lines = printed.err.splitlines()
    told = next(i for i, line in enumerate(lines) if "NaN or infinite. " in line)
    assert lines[told - 1].startswith("step 2, ")  # the first evaluation after it
    assert lines[-1].startswith("step 54, training cost nan, validation ")


def test_train_finds_nothing_wrong_with_a_run_that_trains_well(capsys):
    assert main(["train", "digits-softmax", "--optimizer", "adam", "--steps", "270"]) == 0
    printed = capsys.readouterr()
    assert "\nNothing wrong found.\n" in printed.out
    assert len(printed.err.splitlines()) == 1 + 28


def test_optimizers_as_json(capsys):
    assert main(["optimizers", "--json"]) == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(listed) == list(rules.REGISTRY)
    adam = listed["adam"]
    assert adam["title"] == "Adam"
    assert adam["defaults"] == {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    assert adam["granularity"] == "elementwise"
    assert adam["source"] == "Kingma & Ba 2015, algorithm 1"
    assert adam["class"] == "Adam(params)"
    assert adam["memory"] == {"words": 2, "bytes": 8, "shape": [1000, 1000]}
    assert all(
        list(row["engines"]) == ["eager", "compiled", "population"] for row in listed.values()
    )
    assert "stacked parameters of one shape" in listed["soap"]["engines"]["compiled"]
    assert "stacked" not in listed["lamb"]["engines"]["compiled"]


STATE_WORDS = {
    "sgd": 0,
    "nesterov": 2,  # velocity and θ, beside which the parameter is the probe
    "amsgrad": 3,
    "lamb": 2,
    "adafactor": 2 / 1000,  # a row and a column
    "shampoo": 4,  # two preconditioners and their roots
    "soap": 6,  # two moments, two preconditioners and their bases
}


@pytest.mark.parametrize("name", STATE_WORDS)
def test_memory_for_a_matrix(name):
    memory = memory_per_element(
        rules.get(name), (100, 100) if name != "adafactor" else (1000, 1000)
    )
    assert memory.words == pytest.approx(STATE_WORDS[name], abs=1e-12)
    assert memory.bytes == pytest.approx(4 * STATE_WORDS[name], abs=1e-12)


def test_memory_depends_on_the_shape_of_a_matrix_alone():
    assert memory_per_element(rules.soap(), (10, 20)).words == 2 + 2 * (100 + 400) / 200
    assert memory_per_element(rules.adam(), (10, 20)) == memory_per_element(rules.adam())


@pytest.mark.parametrize("name", rules.REGISTRY)
def test_the_class_that_is_named_walks_the_path_of_the_rule(name):
    """With the rule's defaults where the class has others; in float64, four steps."""
    named = described(rules.get(name))["class"]
    paths = []
    for make in (f'Optimizer(params, "{name}")', named):
        params = [torch.nn.Parameter(torch.linspace(-1, 2, 12, dtype=torch.float64).view(4, 3))]
        optimizer = eval(make, {**vars(optim), "Optimizer": Optimizer, "params": params})
        group = optimizer.param_groups[0]
        for key, value in rules.get(name).defaults.items():
            if key in group:
                group[key] = value
        for step in range(4):
            params[0].grad = (params[0].detach() - 0.3) * (1 + step)
            optimizer.step()
        paths.append(params[0].detach())
    torch.testing.assert_close(paths[1], paths[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("width", [80, 200])
def test_optimizers_as_a_table(width, capsys, monkeypatch):
    monkeypatch.setattr(
        screen.tables, "wide_console", lambda: Console(highlight=False, width=width)
    )
    assert main(["optimizers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].split() == ["name", "lr", "granularity", "bytes", "class", "source"]
    rows = {line.split()[0]: line.split() for line in lines[1 : 1 + len(rules.REGISTRY)]}
    assert list(rows) == list(rules.REGISTRY)
    assert rows["soap"][:6] == ["soap", "0.003", "matrix", "24", "SOAP", "Vyas"]
    assert rows["schedule_free_adamw"][1:4] == ["0.0025", "elementwise", "8"]
    if width == 200:
        assert " ".join(rows["adam"]).endswith("Kingma & Ba 2015, algorithm 1")


def test_recipes(capsys):
    assert main(["recipes", "--json"]) == 0
    names = {row["name"] for row in json.loads(capsys.readouterr().out)}
    at_hand = {"digits-mlp", "digits-softmax", "quadratic", "quadratic-deep", "char-rnn"}
    images = {
        "mnist-softmax",
        "mnist-mlp",
        "mnist-mlp-l2",
        "fashion-cnn",
        "cifar10-mlp",
        "cifar10-cnn",
    }
    assert names == at_hand | images | {"imdb-bow"}


BAD = {
    "unknown optimizer": ("compare digits-mlp --optimizers sgd,adan", "did you mean adam"),
    "unknown recipe": ("compare digit-mlp", "did you mean digits-mlp"),
    "unknown lane": ("compare digits-mlp --lane parallel --out {tmp}/new", "unknown lane"),
    "too few trials": ("compare digits-mlp --trials 5 --out {tmp}/new", "type --trials 25"),
    "one optimizer": ("compare digits-mlp --optimizers adam", "at least two"),
    "no optimizer": ("compare digits-mlp --optimizers ,", "unknown optimizer ''"),
    "missing file": ("compare {tmp}/absent.py", "is not a file"),
    "no recipe()": ("compare {tmp}/empty.py", "defines no recipe()"),
    "shapes": ("compare {shapes}", "does not take the training inputs of shape [8, 3]"),
    "non-scalar cost": ("compare {vector}", "expected one number"),
    "empty data": ("compare {nothing}", "training data are empty"),
    "NaN in the data": ("compare {nan}", "hold 4 NaN or infinite values"),
    "lr 0": ("train digits-mlp --optimizer sgd --lr 0", "--lr 0; expected a number above 0"),
    "lr below 0": ("train digits-mlp --optimizer sgd --lr -1", "--lr -1"),
    "lr nan": ("train digits-mlp --optimizer sgd --lr nan", "--lr nan"),
    "budget 7": (
        "train digits-mlp --optimizer sgd --budget 7",
        "budget=7.0; expected a share of the run's time",
    ),
    "lr word": ("train digits-mlp --optimizer sgd --lr fast", "invalid float value: 'fast'"),
    "epochs 0": ("compare digits-mlp --epochs 0", "--epochs 0"),
    "steps and epochs": ("compare digits-mlp --epochs 1 --steps 1", "not allowed with"),
    "seed": ("compare digits-mlp --seed -3", "--seed -3"),
    "a file as folder": ("compare digits-mlp --out {tmp}/empty.py", "choose another --out"),
    "under a file": ("compare digits-mlp --out {tmp}/empty.py/run", "choose another --out"),
    "unwritable": ("compare digits-mlp --out /proc/ravine", "choose another --out"),
    "foreign folder": ("compare digits-mlp --out {tmp}", "but no run.sqlite"),
    "corrupt run.sqlite": ("compare digits-mlp --out {corrupt}", "is damaged"),
    "report of a corrupt run": ("report {corrupt}", "is damaged"),
    "report of nothing": ("report {tmp}/absent", "holds no run.sqlite"),
    "report, unfinished": ("report {unfinished}", "no finished comparison"),
    "no command": ("", "COMMAND"),
    "unknown command": ("compere digits-mlp", "invalid choice"),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    from ravine.comparison.store import Store

    tmp = tmp_path_factory.mktemp("bad")
    (tmp / "empty.py").write_text("")
    recipes = {
        "shapes": {"train": "(x[:, :3], y)"},
        "vector": {"cost": "lambda o, t: F.cross_entropy(o, t, reduction='none')"},
        "nothing": {"train": "(x[:0], y[:0])"},
        "nan": {"train": "(torch.where(torch.arange(64)[:, None] == 5, torch.nan, x), y)"},
    }
    found = {"tmp": tmp, "corrupt": tmp / "corrupt", "unfinished": tmp / "unfinished"}
    for name, parts in recipes.items():
        (tmp / name).mkdir()
        found[name] = write_recipe(tmp / name, **parts)
    found["corrupt"].mkdir()
    (found["corrupt"] / "run.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    Store(found["unfinished"]).close()
    return found


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(case, places, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    command, message = BAD[case]
    try:
        code = main(command.format(**places).split())
    except SystemExit as stop:  # argparse
        code = stop.code
    printed = capsys.readouterr()
    assert code == 2
    assert message in printed.err
    assert printed.err.startswith("ravine: error: ")
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


def test_ctrl_c_is_130_and_keeps_what_is_stored(tmp_path, monkeypatch, capsys):
    from ravine.comparison.store import Store

    path, out = write_recipe(tmp_path), tmp_path / "run"
    save = Store.save

    def once(store, stage, members):
        save(store, stage, members)
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "save", once)
    assert main(["compare", path, "--out", str(out), "--lane", "serial"]) == 130
    assert "The same command continues" in capsys.readouterr().err
    store = Store(out)
    assert len(store.runs("selection")) == 1
    store.close()


def test_python_m_ravine():
    done = subprocess.run(
        [sys.executable, "-m", "ravine", "--version"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "ravine 0.1.0\n")


def test_the_command_is_installed():
    assert shutil.which("ravine", path=str(__import__("pathlib").Path(sys.executable).parent))


def test_a_reader_that_leaves_early_is_no_error() -> None:
    """`ravine optimizers --json | head -1`"""
    command = [sys.executable, "-m", "ravine", "optimizers", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 0


def test_doctor_says_what_is_wrong_and_what_to_type(capsys, monkeypatch):
    """What is found may depend on what measuring has cost: one visit, printed."""
    visits, real = [], api.doctor
    monkeypatch.setattr(api, "doctor", lambda *a, **k: visits.append(real(*a, **k)) or visits[-1])
    arguments = ["doctor", "digits-mlp", "--optimizer", "sgd", "--steps", "81", "--lr", "10"]
    assert main(arguments) == 0
    printed, shown = capsys.readouterr()
    assert shown.startswith("SGD, learning rate 10: 81 gradient steps\ntrying ")
    assert "untouched, on 3 fresh seeds: 243 gradient steps" in shown
    (found,) = visits
    assert f"learning rate too high: {found.findings[0].evidence}" in printed
    for attempt in found.attempts:
        assert attempt.change.name in printed
    typed = "".join(f"\n    {line}" for line in found.recommended.code.splitlines())
    assert f"Type:\n{typed}\n" in printed


def test_a_visit_that_is_stopped_keeps_the_watched_training(tmp_path, monkeypatch):
    from ravine.api import training

    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "treated", stopped)
    out = tmp_path / "visit"
    arguments = ["doctor", "digits-mlp", "--optimizer", "sgd", "--steps", "27", "--lr", "10"]
    assert main([*arguments, "--out", str(out)]) == 130
    assert sorted(path.name for path in out.iterdir()) == ["model.pt", "run.html"]


def test_doctor_leaves_a_healthy_run_alone(capsys):
    arguments = ["doctor", "digits-mlp", "--optimizer", "adam", "--steps", "270", "--lr", "0.003"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("Nothing wrong found.\n\n--out DIR")


def test_range_test_prints_its_suggestion(capsys):
    assert main(["range-test", "digits-mlp", "--optimizer", "sgd"]) == 0
    found = api.range_test("digits-mlp", "sgd")
    assert f"suggested learning rate: {found.lr:.2g}" in capsys.readouterr().out


@pytest.mark.parametrize("listing", ["initializers", "schedules", "batches", "recipes"])
def test_what_is_listed_can_be_typed(listing, capsys):
    """The table and the JSON have the names of the package's own list."""
    from ravine import batches, initializers, recipes, schedules

    names = {
        "initializers": list(initializers.STARTS),
        "schedules": [*schedules.NAMES, "warmup+NAME"],
        "batches": list(batches.NAMES),
        "recipes": list(recipes.BUILT_IN),
    }[listing]
    assert main([listing, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == names
    assert all(len(row["about"]) > 10 for row in rows)
    assert main([listing]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == names


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--init", "he_norm"], "did you mean he_normal"),
        (["--init", "he_normal,lsuv"], "expected one name"),
        (["--init", "he_normal+"], "--init"),
        (["--schedule", "cosin"], "did you mean cosine"),
        (["--schedule", "warmup+"], "schedule"),
        (["--batches", "shufled"], "did you mean shuffled"),
        (["--init", "open_gates"], "--init open_gates"),
        (["--batch-size", "0"], "batch_size=0; expected a whole number from 1 on"),
    ],
)
def test_parts_that_cannot_be_used_are_one_line(options, said, capsys):
    arguments = ["train", "digits-softmax", "--optimizer", "sgd", "--steps", "27", *options]
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 1
    assert said in printed
