"""A look at a model without a training loop: what instruments are tested with."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from torch import Tensor, nn

from ravine.diagnostics.look import Layer, Look


def look_at(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    cost: Callable[[Tensor, Tensor], Tensor],
    *,
    step: int = 0,
    lr: float | Mapping[str, float] = 0.1,
) -> Look:
    """Run `model(inputs)` once, record every use of a module without children, and stop before the
    backward pass.

    `cost(output, targets)` is 0-D; `output` is the model's first tensor. `lr` is one number for all
    parameters, or one per name.
    """
    layers: list[Layer] = []
    uses: Counter[str] = Counter()

    def recorder(name: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def record(module: nn.Module, args: tuple[object, ...], result: object) -> None:
            output = _first_tensor(result)
            if output is None:
                return
            uses[name] += 1
            use = name if uses[name] == 1 else f"{name}#{uses[name]}"
            layers.append(Layer(use, module, _first_tensor(args), output))

        return record

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if not list(module.children()):
                handle = module.register_forward_hook(recorder(name))
                hooks.callback(handle.remove)
        output = _first_tensor(model(inputs))
    assert output is not None, "the model returned no tensor"
    params = {name: p for name, p in model.named_parameters() if p.requires_grad}
    rates = lr if isinstance(lr, Mapping) else dict.fromkeys(params, lr)
    return Look(
        step, cost(output, targets), model, params, tuple(layers), inputs, output, dict(rates)
    )


def _first_tensor(value: object) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, tuple | list):
        return next((v for v in value if isinstance(v, Tensor)), None)
    return None
