"""What a transform is, how transforms and a rule become one rule, and what transforms are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from torch import Tensor

from ravine.errors import SettingError
from ravine.rules import REGISTRY, Granularity, Hyper, Rule, State, at_param
from ravine.rules._rule import Summand, Update

Transform = Callable[[Rule], Rule]
"""Wraps a rule and gives a rule. Made by a function of its settings: `clip_norm(1.0)`."""

Inputs = tuple[Tensor, Tensor, State, Hyper]
"""(param, grad, state, hyper), what an update gets."""

See = Callable[[Tensor, Tensor, State, Hyper], Inputs]
"""What a transform was given -> what the rule inside it gets."""

Around = Callable[[Update], Update]
"""An update of the rule inside a transform -> the transform's."""

Point = Callable[[Tensor, State, Hyper], Tensor]
"""(param, state, hyper) -> a point: a rule's probe or output."""

_COARSENESS: tuple[Granularity, ...] = ("elementwise", "tensor", "matrix")


def chain(*parts: Rule | Transform) -> Rule:
    """One rule out of a rule and the transforms around it.

        chain(clip_norm(1.0), adam(), decoupled(0.01))

    Gradients meet the parts from left to right. Transforms right of the rule wrap it first, then
    those left of it, the nearest one first: chain(a, b, rule, c) is a(b(c(rule))). So what stands
    right of the rule belongs to its step: after an `accumulate` on the left, a decay or an average
    on the right acts once per real step.

    Args:
        parts: exactly one rule, and any number of transforms.

    Raises:
        SettingError: no rule, two rules, or a part that is neither a rule nor a transform.
    """
    for part in parts:
        _check_part(part)
    places = [place for place, part in enumerate(parts) if isinstance(part, Rule)]
    if len(places) != 1:
        found = [part.title for part in parts if isinstance(part, Rule)]
        raise SettingError(
            f"a chain has exactly one rule, and among the {len(parts)} parts of this one there are "
            f"{len(found)}{': ' if found else ''}{', '.join(found)}; the other parts are "
            "transforms: write chain(clip_norm(1.0), adam(), decoupled(0.01))."
        )
    rule, place = parts[places[0]], places[0]
    assert isinstance(rule, Rule)
    for part in (*parts[place + 1 :], *reversed(parts[:place])):
        assert not isinstance(part, Rule)
        rule = _apply(part, rule)
    return rule


def wrap(
    rule: Rule,
    see: See,
    around: Around | None = None,
    *,
    title: str | None = None,
    source: str = "",
    settings: Mapping[str, float] | None = None,
    totals: Mapping[str, Summand] | None = None,
    **changes: Any,
) -> Rule:
    """A rule around another: update, chosen updates and totals change together.

    Totals come in the order in which they are evaluated, the outer ones first: what the inner rule
    sees, and so sums up, may depend on the outer sums.

    Args:
        rule: the rule inside.
        see: what it gets, in its update and in its totals.
        around: makes the new update out of an inner one. Called once per inner update, because
            engines know compiled updates by identity. None: the inner update, given what it sees.
        title: the name in print; None keeps the rule's.
        source: of the transform; added to the rule's.
        settings: hyperparameters that join the rule's.
        totals: totals that join the rule's, of what the transform is given.
        changes: of the other attributes of `Rule`.

    Raises:
        SettingError: a hyperparameter or total of that name is there already.
    """
    wrapped = cache(around or _seeing(see))

    def choose(state: State) -> Update:
        return wrapped(rule.update_for(state))

    own = {**(settings or {}), **(totals or {})}
    _refuse_names_twice(rule, own, {**rule.defaults, **rule.totals}, "a setting or total")
    inner_totals = {name: _summand_seeing(see, summand) for name, summand in rule.totals.items()}
    kept = {
        "title": title or rule.title,
        "source": f"{rule.source}; {source}" if source else rule.source,
        "defaults": {**rule.defaults, **(settings or {})},
        "totals": {**(totals or {}), **inner_totals},
        "update": wrapped(rule.update),
        "choose": None if rule.choose is None else choose,
    }
    return replace(rule, **{**kept, **changes})


def on_gradient(rule: Rule, change: Summand, **options: Any) -> Rule:
    """The rule, with its gradient changed before anything else sees it.

    Args:
        rule: the rule inside.
        change: (param, grad, state, hyper) -> the gradient that the rule gets.
        options: as for `wrap`.
    """

    def see(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Inputs:
        return param, change(param, grad, state, hyper), state, hyper

    return wrap(rule, see, **options)


def with_entries(rule: Rule, state: State, entries: State) -> State:
    """The rule's state and a transform's own entries.

    Raises:
        SettingError: the rule has an entry of that name already.
    """
    _refuse_names_twice(rule, entries, state, "a state entry")
    return {**state, **entries}


def at_least(rule: Rule, granularity: Granularity) -> Rule:
    """The rule, run at this granularity where its own is finer.

    A tensor rule reduces over the last axis, so as a matrix rule it gets its parameter laid out
    flat: parameter, gradient and what it remembers of the parameter's shape.
    """
    if _COARSENESS.index(rule.granularity) >= _COARSENESS.index(granularity):
        return rule
    if rule.granularity == "elementwise":
        return replace(rule, granularity=granularity)
    return _laid_flat(rule)


def _laid_flat(rule: Rule) -> Rule:
    """A tensor rule as a matrix rule."""

    def flat(state: State) -> State:
        return {name: entry.flatten() if entry.ndim else entry for name, entry in state.items()}

    def see(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Inputs:
        return param.flatten(), grad.flatten(), flat(state), hyper

    def around(update: Update) -> Update:
        def step(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
            theta, new = update(*see(param, grad, state, hyper))
            shaped = {name: entry.reshape(state[name].shape) for name, entry in new.items()}
            return theta.reshape(param.shape), shaped

        return step

    def probe(param: Tensor, state: State, hyper: Hyper) -> Tensor:
        return rule.probe(param.flatten(), flat(state), hyper).reshape(param.shape)

    def output(param: Tensor, state: State, hyper: Hyper) -> Tensor:
        return rule.output(param.flatten(), flat(state), hyper).reshape(param.shape)

    return wrap(
        rule,
        see,
        around,
        granularity="matrix",
        probe=same_if_at_param(rule.probe, probe),
        output=same_if_at_param(rule.output, output),
    )


def same_if_at_param(inner: Point, wrapped: Point) -> Point:
    """`wrapped`, or `at_param` where `inner` is: engines know such rules by this one function."""
    return at_param if inner is at_param else wrapped


def _seeing(see: See) -> Around:
    """Around an update: nothing but what it sees."""

    def around(update: Update) -> Update:
        def step(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
            return update(*see(param, grad, state, hyper))

        return step

    return around


def _summand_seeing(see: See, summand: Summand) -> Summand:
    def seeing(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Tensor:
        return summand(*see(param, grad, state, hyper))

    return seeing


def _refuse_names_twice(
    rule: Rule, own: Mapping[str, object], there: Mapping[str, object], kind: str
) -> None:
    if twice := sorted(own.keys() & there.keys()):
        raise SettingError(
            f"the rule {rule.title} already has {kind} named {' and '.join(twice)}, and a "
            "transform around it brings another one: leave one of the two out."
        )


def _check_part(part: object) -> None:
    if part in REGISTRY.values():
        name = getattr(part, "__name__", "")
        raise SettingError(
            f"the part {name} of a chain makes a rule and is none: call it, rules.{name}()."
        )
    if isinstance(part, str):
        raise SettingError(
            f"the part {part!r} of a chain is a name, and a rule or transform was expected: "
            f"write rules.get({part!r})."
        )
    if not callable(part) and not isinstance(part, Rule):
        raise SettingError(
            f"the part {part!r} of a chain is neither a rule, such as rules.adam(), nor a "
            "transform, such as clip_norm(1.0)."
        )


def _apply(part: Transform, rule: Rule) -> Rule:
    wrapped = part(rule)
    if not isinstance(wrapped, Rule):
        name = getattr(part, "__name__", repr(part))
        raise SettingError(
            f"the part {name} of a chain gave {type(wrapped).__name__} instead of a rule: a "
            f"transform is made by a call with its settings, {name}(...)."
        )
    return wrapped
