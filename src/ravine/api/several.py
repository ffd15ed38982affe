"""The comparison on several recipes: one for each, in a folder of its own, then one table over all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypedDict, Unpack

from ravine import report
from ravine.api.comparing import OPTIMIZERS, Prepared, bind, prepare, rewrite, run
from ravine.api.given import AnyRecipe, listed
from ravine.batches import Order
from ravine.comparison.arms import Rates
from ravine.comparison.progress import Progress, Titled
from ravine.comparison.several.overall import FILE as OVERALL
from ravine.comparison.several.overall import Overall, overall
from ravine.comparison.several.overall import write as write_overall
from ravine.comparison.several.workloads import Workload, workload
from ravine.comparison.store import FILE, Store, explained, recipe_folders
from ravine.errors import FolderError, InputError, SettingError
from ravine.initializers import Initializer, Start
from ravine.recipes import Recipe, find
from ravine.report import REPORT
from ravine.rules import Rule


class Choices(TypedDict, total=False):
    """What `compare` takes besides recipe, optimizers and folder; here it holds for all recipes."""

    init: Sequence[str | Initializer | Start]
    schedule: Sequence[Rates]
    batches: Sequence[str | Order]
    batch_size: Sequence[int]
    epochs: int | None
    steps: int | None
    seed: int
    trials: int
    lane: str
    ray: str | None


def compare_several(
    recipes: Sequence[AnyRecipe],
    optimizers: Sequence[str | Rule] = OPTIMIZERS,
    out: str | Path | None = None,
    *,
    progress: Progress | None = None,
    command: str | None = None,
    **choices: Unpack[Choices],
) -> Overall:
    """Find the optimizer that is best over several recipes, such that no recipe decides alone.

    Each recipe is compared as by `compare`, in the folder `out`/<its name>. Then `overall.json` and
    `report.html` in `out` put them together: mean ranks, performance profiles, and what changes if
    one recipe is left out. All recipes are loaded and checked before anything is trained. Called
    again with the same arguments, or with more recipes, it continues, and repeats nothing.

    Args:
        recipes: at least two, as for `compare`, of different names.
        optimizers, progress, command: as for `compare`.
        out: the folder; by default runs/ and all names, joined by "+".
        choices: init, schedule, batches, batch_size, epochs, steps, seed, trials, lane and ray as for
            `compare`, for all.

    Raises:
        InputError: something that was given cannot be used; the message says what to change.
    """
    progress = progress or Progress()
    found = [find(recipe) for recipe in listed("recipes", recipes)]
    names = [recipe.name for recipe in found]
    folder = folder_of_all(found, out)
    _insist_on_names(names)
    _insist_on_folder(folder, names)
    prepared = []
    for recipe in found:
        with _about(recipe.name):
            prepared.append(prepare(recipe, optimizers, folder / recipe.name, **choices))
    for each in prepared:
        bind(each)
    for number, each in enumerate(prepared, 1):
        run(each, Titled(progress, _title(each, number, len(prepared))), command)
    return write(folder)


def folder_of_all(recipes: Sequence[Recipe], out: str | Path | None) -> Path:
    """The folder of several recipes: what was asked for, or runs/<their names, joined by "+">."""
    return Path("runs") / "+".join(sorted(r.name for r in recipes)) if out is None else Path(out)


def write(folder: Path) -> Overall:
    """Write a folder's `overall.json` and `report.html` from what its recipes' folders hold."""
    found = overall([_stored(each) for each in recipe_folders(folder)])
    with explained(folder):
        write_overall(found, folder)
        report.write_overall(found, folder / REPORT)
    return found


def rewrite_report(folder: str | Path) -> Path:
    """The report of a folder again, from what is stored, with those of its recipes if there are
    several; the path of the page."""
    folder = Path(folder)
    if not (folder / OVERALL).is_file():
        return rewrite(folder)
    for each in recipe_folders(folder):
        rewrite(each)
    write(folder)
    return folder / REPORT


def _stored(folder: Path) -> Workload:
    with explained(folder), closing(Store(folder, must_exist=True)) as store:
        return workload(store)


def _title(prepared: Prepared, number: int, recipes: int) -> str:
    return f"{prepared.problem.recipe.name} ({number} of {recipes})"


def _insist_on_names(names: Sequence[str]) -> None:
    if len(names) < 2:
        raise SettingError(f"got {len(names)} recipes; expected at least two, or ravine.compare")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise SettingError(
            f"{times} recipes are called {name!r}; expected different names, since each has a folder "
            "of its own: type it once, or change name="
        )
    taken = {OVERALL, REPORT} & set(names)
    if taken:
        raise SettingError(f"a recipe is called {min(taken)!r}, as a file of --out; change name=")


def _insist_on_folder(folder: Path, names: Sequence[str]) -> None:
    """Raise unless the folder is new or empty, or holds comparisons of these recipes only."""
    if (folder / FILE).exists():
        raise FolderError(
            f"{folder} holds a comparison of one recipe; for several, choose another --out"
        )
    with explained(folder):
        if not folder.exists():
            return
        held = [path.name for path in recipe_folders(folder)]
        strangers = [path.name for path in folder.iterdir() if path.name[0] != "."]
    others = [name for name in held if name not in names]
    if others:
        raise FolderError(
            f"{folder} also holds a comparison of {', '.join(others)}; name all of its recipes, or "
            "choose another --out"
        )
    if not held and set(strangers) - set(names):
        raise FolderError(
            f"{folder} holds {strangers[0]!r}; expected a new or empty folder, or one of a comparison "
            "of these recipes"
        )


@contextmanager
def _about(recipe: str) -> Iterator[None]:
    """Say which recipe an error is about."""
    try:
        yield
    except InputError as error:
        if recipe in str(error):
            raise
        raise type(error)(f"recipe {recipe!r}: {error}") from error
