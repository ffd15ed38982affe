"""What of a comparison a user pastes into a training loop: an arm as lines of PyTorch code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ravine import initializers, rules, snippets
from ravine.comparison.arms import STREAMED, Arms
from ravine.comparison.identity import rule_digest
from ravine.recipes import Problem
from ravine.rules import Rule
from ravine.training.procedure import pace_of


def procedures_as_text(problem: Problem, compared: Arms) -> dict[str, dict[str, Any]]:
    """What a run folder keeps of each arm to write its lines: arm -> the name of its rule, None where a
    name alone does not make it; its schedules in code, by hyperparameter; the size of its minibatches,
    None where all have that of the recipe."""
    paces = {name: pace_of(problem, one) for name, one in compared.procedures.items()}
    own = problem.recipe.batch_size or problem.train.count  # a stream may leave it to the command
    usual = None if own is None else problem.resized(own).batch_size
    sizes = {pace.batch_size for pace in paces.values()}
    return {
        name: {
            "rule": procedure.rule.name if _made_by_name(procedure.rule) else None,
            "schedules": {
                hyper: snippets.written(schedule, paces[name].steps)
                for hyper, schedule in procedure.schedules.items()
            },
            "batch_size": None if sizes == {usual} else paces[name].batch_size,
        }
        for name, procedure in compared.procedures.items()
    }


def code_of(facts: Mapping[str, Any], arm: str, hyper: Mapping[str, float]) -> str:
    """The lines that set an arm up; empty in the folder of an earlier version.

    Args:
        facts: the stored facts about the problem.
        arm: its name. hyper: its chosen hyperparameters.
    """
    stored = facts.get("procedures", {}).get(arm)
    if stored is None:
        return ""
    parts = facts["parts"][arm]
    known = all(part in initializers.STARTS for part in parts["init"].split("+"))
    order = "shuffled" if parts["batches"] == STREAMED else parts["batches"]
    lines = snippets.snippet(
        None if stored["rule"] is None else rules.get(stored["rule"]),
        *(facts["titles"][arm], hyper, stored["schedules"]),
        *(parts["init"] if known else "as_built", order),
    )
    if not known:
        lines = f"# your own start: {parts['init']}\n{lines}"
    size = stored.get("batch_size")
    return lines if size is None else f"batch_size = {size}\n{lines}"


def _made_by_name(rule: Rule) -> bool:
    """Whether a rule is the registry's of its name, whatever its hyperparameters."""
    if rule.name not in rules.REGISTRY:
        return False
    plain = rules.get(rule.name)
    if set(plain.defaults) != set(rule.defaults):
        return False
    return rule_digest(replace(plain, defaults=rule.defaults)) == rule_digest(rule)
