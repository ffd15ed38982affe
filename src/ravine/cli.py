"""The command line: parse, call the library, print. Nothing is decided here."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ravine.errors import RavineError

if TYPE_CHECKING:
    from ravine.recipes import Recipe

BAD_INPUT = 2
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 on bad input, 130 on Ctrl-C."""
    arguments = _parser().parse_args(argv)
    warnings.showwarning = lambda message, *_, **__: print(
        f"ravine: warning: {message}", file=sys.stderr
    )
    try:
        command: Callable[[argparse.Namespace], None] = arguments.run
        command(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except RavineError as error:
        print(f"ravine: error: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"\nravine: stopped; {arguments.stopped}", file=sys.stderr)
        return INTERRUPTED
    return 0


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all others."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(
            BAD_INPUT, f"ravine: error: {message}; `{self.prog} --help` shows what can be typed\n"
        )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ravine",
        description="Find the optimizer that trains your model, and why the others don't.",
        epilog="example: ravine compare digits-mlp --optimizers sgd,adam --out runs/first",
    )
    parser.set_defaults(stopped="nothing was written.")
    parser.add_argument("--version", action="version", version=f"ravine {version('ravine')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_compare(commands)
    _add_train(commands)
    _add_range_test(commands)
    _add_doctor(commands)
    report = commands.add_parser("report", help="write the report of a run folder again")
    report.add_argument("folder", metavar="DIR", help="what was given as --out")
    report.set_defaults(run=_report)
    _add_export(commands)
    _add_ensemble(commands)
    _add_reproduce(commands)
    for name, what, run in (
        ("optimizers", "optimizers", _optimizers),
        ("recipes", "built-in recipes", _list),
        ("initializers", "starting points for --init", _list),
        ("schedules", "schedules for --schedule", _list),
        ("batches", "orders of examples for --batches", _list),
    ):
        listing = commands.add_parser(name, help=f"list the {what}")
        listing.add_argument("--json", action="store_true", help="print JSON")
        listing.set_defaults(run=run)
    return parser


def _add_compare(commands: argparse._SubParsersAction[_Parser]) -> None:
    compare = commands.add_parser(
        "compare",
        help="find the best optimizer and learning rate for a recipe, or over several",
        description="Compare optimizers on a recipe, or on several: then also over all of them. The "
        "same command continues an interrupted one.",
    )
    compare.add_argument(
        "recipes", nargs="+", metavar="RECIPE", help="names from `ravine recipes`, or files"
    )
    _add_seed_and_data(compare)
    _add_length(compare)
    compare.add_argument("--optimizers", metavar="A,B,...", help="names from `ravine optimizers`")
    _add_procedure(compare, "A,B,...")
    _add_batch_size(compare, _sizes, "N,M,...")
    compare.add_argument(
        "--out",
        metavar="DIR",
        help="run folder (default: runs/<recipe>); of several, theirs are in it",
    )
    compare.add_argument(
        "--trials",
        type=int,
        default=9,
        metavar="N",
        help="settings tried of each optimizer: learning rates (default: 9); from 25 on its other "
        "hyperparameters, too",
    )
    compare.add_argument("--lane", default="auto", help="auto (default), serial or population")
    compare.add_argument(
        "--ray",
        nargs="?",
        const="local",
        metavar="ADDRESS",
        help="train on a Ray cluster: HOST:PORT, auto, or (without an address) this machine's cores",
    )
    compare.set_defaults(
        run=_compare, stopped="all that finished is kept. The same command continues."
    )


def _add_train(commands: argparse._SubParsersAction[_Parser]) -> None:
    train = commands.add_parser("train", help="train a recipe once, and say what is wrong with it")
    _add_training(train)
    train.add_argument(
        "--budget",
        type=float,
        default=0.05,
        metavar="X",
        help="share of the training's time that measuring may take (default: 0.05)",
    )
    train.set_defaults(run=_train)


def _add_doctor(commands: argparse._SubParsersAction[_Parser]) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="say what is wrong with a training, and try the remedy",
        description="Train once under watch, name what is wrong, train remedies side by side, and "
        "recommend the smallest change that works. Takes about as long as ten trainings.",
    )
    _add_training(doctor)
    doctor.set_defaults(run=_doctor, stopped="what is in --out by now is kept.")


def _add_training(parser: argparse.ArgumentParser) -> None:
    """What says one training."""
    _add_recipe(parser)
    parser.add_argument("--optimizer", required=True, metavar="NAME")
    parser.add_argument("--lr", type=float, metavar="X", help="learning rate (default: its own)")
    _add_procedure(parser, "NAME")
    _add_batch_size(parser, int, "N")
    parser.add_argument(
        "--out", metavar="DIR", help="a new folder for the page of this training and its weights"
    )


def _add_range_test(commands: argparse._SubParsersAction[_Parser]) -> None:
    test = commands.add_parser(
        "range-test",
        help="suggest a learning rate to begin with",
        description="One short training whose learning rate grows at every step. A hint from one "
        "seed; `ravine compare` finds the rate that trains best.",
    )
    _add_recipe_and_seed(test)
    _add_batch_size(test, int, "N")
    test.add_argument("--optimizer", required=True, metavar="NAME")
    test.add_argument("--lowest", type=float, default=1e-7, metavar="X", help="first rate")
    test.add_argument("--highest", type=float, default=10.0, metavar="X", help="last rate")
    test.add_argument(
        "--steps", type=int, default=100, metavar="N", help="rates between them (default: 100)"
    )
    test.add_argument("--init", metavar="NAME", help="as for compare")
    test.add_argument("--batches", metavar="NAME", help="as for compare")
    test.set_defaults(run=_range_test)


def _add_export(commands: argparse._SubParsersAction[_Parser]) -> None:
    export = commands.add_parser("export", help="a comparison's runs for other tools")
    export.add_argument("folder", metavar="DIR", help="what was given as --out")
    export.add_argument(
        "--to", required=True, metavar="FORMAT", help="csv, parquet, tensorboard or optuna"
    )
    export.add_argument("--out", metavar="FILE", help="where to write (default: in DIR)")
    export.set_defaults(run=_export)


def _add_ensemble(commands: argparse._SubParsersAction[_Parser]) -> None:
    together = commands.add_parser(
        "ensemble",
        help="what the trained members of a comparison's best setting gain together",
        description="Average the answers of the members that a comparison has trained with its best "
        "setting, and say what that gains over the best one alone.",
    )
    together.add_argument("folder", metavar="DIR", help="what was given as --out")
    together.add_argument(
        "recipe", nargs="?", help="as for compare (default: the built-in one that was compared on)"
    )
    together.add_argument("--data", metavar="DIR", help="local data sets, as for compare")
    together.set_defaults(run=_ensemble)


def _add_reproduce(commands: argparse._SubParsersAction[_Parser]) -> None:
    again = commands.add_parser(
        "reproduce",
        help="make a published experiment again: does its ordering hold?",
        description="Make a published experiment again: adam-mnist-softmax, adam-imdb, adam-mnist-mlp, "
        "adam-cifar10-cnn, cs231n-optimizers, cs231n-sweeps or large-batch.",
    )
    again.add_argument("name", metavar="NAME", help="one of those above")
    again.add_argument(
        "--scale", type=float, metavar="X", help="size of the experiment, 1: all of it"
    )
    again.add_argument("--data", metavar="DIR", help="local data sets, as for compare")
    again.add_argument("--out", metavar="DIR", help="run folder (default: runs/NAME)")
    again.add_argument("--seed", type=int, default=0, metavar="N", help="base seed (default: 0)")
    again.set_defaults(
        run=_reproduce, stopped="all that finished is kept. The same command continues."
    )


def _add_procedure(parser: argparse.ArgumentParser, form: str) -> None:
    """What a training may differ in besides its optimizer."""
    for option, example in (
        ("init", "he_normal, glorot_uniform, lsuv; default: as_built, by the model itself"),
        ("schedule", "cosine, linear, warmup+cosine; default: constant"),
        ("batches", "shuffled_once, stratified; default: the recipe's, or shuffled"),
    ):
        parser.add_argument(f"--{option}", metavar=form, help=f"e.g. {example}")


def _add_batch_size(parser: argparse.ArgumentParser, kind: Callable[[str], Any], form: str) -> None:
    parser.add_argument(
        "--batch-size",
        type=kind,
        metavar=form,
        help="examples in a minibatch (default: the recipe's own)",
    )


def _add_recipe_and_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="a name from `ravine recipes`, or a file with recipe()")
    _add_seed_and_data(parser)


def _add_seed_and_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="base seed (default: 0)")
    parser.add_argument(
        "--data", metavar="DIR", help="local data sets (default: RAVINE_DATA, else downloaded)"
    )


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    _add_recipe_and_seed(parser)
    _add_length(parser)


def _add_length(parser: argparse.ArgumentParser) -> None:
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=int, metavar="N", help="training length in epochs")
    length.add_argument("--steps", type=int, metavar="N", help="training length in gradient steps")


def _listed(names: str | None) -> tuple[str, ...]:
    """Names separated by commas; none where the option was not given."""
    return () if names is None else tuple(name.strip() for name in names.split(","))


def _sizes(text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas."""
    try:
        return tuple(map(int, _listed(text)))
    except ValueError as error:
        message = f"{text!r}; expected whole numbers, e.g. 32,128"
        raise argparse.ArgumentTypeError(message) from error


def _compare(arguments: argparse.Namespace) -> None:
    from ravine import recipes

    found = recipes.find_all(arguments.recipes, arguments.data)
    if len(found) == 1:
        _compare_one(found[0], arguments)
    else:
        _compare_several(found, arguments)


def _compare_one(recipe: Recipe, arguments: argparse.Namespace) -> None:
    from ravine import api, screen
    from ravine.report import answer

    folder = api.folder_of(recipe, arguments.out)
    with screen.shown() as progress:
        verdict = api.compare(recipe, out=folder, progress=progress, **_choices(arguments))
    screen.print_verdict(verdict, answer(verdict), folder)


def _compare_several(recipes: Sequence[Recipe], arguments: argparse.Namespace) -> None:
    from ravine import api, screen

    folder = api.folder_of_all(recipes, arguments.out)
    with screen.shown() as progress:
        found = api.compare_several(recipes, out=folder, progress=progress, **_choices(arguments))
    screen.print_overall(found, folder)


def _choices(arguments: argparse.Namespace) -> dict[str, Any]:
    """What to compare and how, as `api.compare` takes it."""
    from ravine import api
    from ravine.comparison.arms import AS_BUILT, CONSTANT

    return {
        "optimizers": _listed(arguments.optimizers) or api.OPTIMIZERS,
        "init": _listed(arguments.init) or (AS_BUILT,),
        "schedule": _listed(arguments.schedule) or (CONSTANT,),
        "batches": _listed(arguments.batches),
        "batch_size": arguments.batch_size or (),
        "epochs": arguments.epochs,
        "steps": arguments.steps,
        "trials": arguments.trials,
        "seed": arguments.seed,
        "lane": arguments.lane,
        "ray": arguments.ray,
    }


def _train(arguments: argparse.Namespace) -> None:
    from ravine import api, screen

    with screen.shown() as progress:
        training = api.train(
            **_training(arguments), budget=arguments.budget, out=arguments.out, progress=progress
        )
    screen.print_training(training.run, training.metric, training.findings)
    screen.print_page(arguments.out)


def _doctor(arguments: argparse.Namespace) -> None:
    from ravine import api, screen

    with screen.shown() as progress:
        found = api.doctor(**_training(arguments), out=arguments.out, progress=progress)
    screen.print_prescription(found)
    screen.print_page(arguments.out)


def _training(arguments: argparse.Namespace) -> dict[str, Any]:
    """What says one training, as `api.train` and `api.doctor` take it."""
    from ravine import recipes
    from ravine.comparison.arms import AS_BUILT, CONSTANT

    return {
        "recipe": recipes.find(arguments.recipe, arguments.data),
        "optimizer": arguments.optimizer,
        "lr": arguments.lr,
        "init": arguments.init or AS_BUILT,
        "schedule": arguments.schedule or CONSTANT,
        "batches": arguments.batches,
        "batch_size": arguments.batch_size,
        "epochs": arguments.epochs,
        "steps": arguments.steps,
        "seed": arguments.seed,
    }


def _range_test(arguments: argparse.Namespace) -> None:
    from ravine import api, recipes, screen
    from ravine.comparison.arms import AS_BUILT

    found = api.range_test(
        recipes.find(arguments.recipe, arguments.data),
        arguments.optimizer,
        init=arguments.init or AS_BUILT,
        batches=arguments.batches,
        batch_size=arguments.batch_size,
        lowest=arguments.lowest,
        highest=arguments.highest,
        steps=arguments.steps,
        seed=arguments.seed,
    )
    screen.print_suggestion(found)


def _report(arguments: argparse.Namespace) -> None:
    from ravine import api

    print(api.rewrite_report(arguments.folder))


def _export(arguments: argparse.Namespace) -> None:
    from ravine.export import export

    print(export(arguments.folder, arguments.to, arguments.out))


def _ensemble(arguments: argparse.Namespace) -> None:
    from ravine import api, recipes, screen

    named = arguments.recipe
    recipe = None if named is None else recipes.find(named, arguments.data)
    screen.print_ensemble(api.ensemble(arguments.folder, recipe, arguments.data))


def _reproduce(arguments: argparse.Namespace) -> None:
    from ravine import api, screen

    with screen.shown() as progress:
        found = api.reproduce(
            arguments.name,
            scale=arguments.scale,
            data=arguments.data,
            out=arguments.out,
            seed=arguments.seed,
            progress=progress,
        )
    screen.print_reproduction(found)


def _optimizers(arguments: argparse.Namespace) -> None:
    from ravine import rules, screen
    from ravine.optim._listing import described

    listed = [described(rules.get(name)) for name in rules.REGISTRY]
    if arguments.json:
        print(json.dumps(listed, indent=2))
    else:
        screen.print_optimizers(listed)


def _list(arguments: argparse.Namespace) -> None:
    from ravine import listings, screen

    listed = listings.LISTS[arguments.command]()
    if arguments.json:
        print(json.dumps(listed, indent=2))
    else:
        screen.print_table(("name", "about"), [(row["name"], row["about"]) for row in listed])
