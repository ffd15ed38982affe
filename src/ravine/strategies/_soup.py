"""One model from several: the average of their weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ravine.errors import SettingError
from ravine.normalization import refresh
from ravine.strategies._members import insist_on_models


def average_weights(
    models: Sequence[nn.Module], batches: Iterable[Tensor | Sequence[Tensor]] | None = None
) -> nn.Module:
    r"""The uniform soup: one model whose parameters are the means of the models'.

        θ = Σ θₘ / M

    It costs at test time what one model costs. It is good where the models lie in one basin, as when
    they were trained further from one set of weights. Models from different initializations do not:
    their hidden units are in different orders, and the mean of such weights is a model of nothing.

    The running statistics of batch norms belong to the weights of each model, so they are recomputed
    from `batches`, by `ravine.normalization.refresh`. Other buffers have to be equal in all models.

    Args:
        models: of one architecture. They stay as they are.
        batches: inputs [examples, ...], or (inputs, ...), such as the training examples; needed for
            models with batch norms that keep running statistics.

    Returns:
        A new model, in evaluation mode.

    Raises:
        SettingError: no models, one that has diverged, parameters of different names or shapes,
            other buffers that differ, or batch norms and no batches.

    Source: Wortsman et al., "Model soups", ICML 2022, the uniform soup.
    """
    insist_on_models(models, "an average of weights")
    for place, model in enumerate(models):
        _insist_alike(models[0], model, place)
    mean = AveragedModel(models[0])
    for model in models:
        mean.update_parameters(model)
    soup: nn.Module = mean.module
    if _running(soup):
        if batches is None:
            raise SettingError(
                "the models have batch norms, whose running statistics belong to the weights of "
                "each; give examples to recompute them from, e.g. batches=inputs.split(256)"
            )
        refresh(soup, batches)
    return soup.eval()


def _insist_alike(first: nn.Module, other: nn.Module, place: int) -> None:
    own, others = dict(first.named_parameters()), dict(other.named_parameters())
    lone = own.keys() ^ others.keys()
    if lone:
        raise SettingError(
            f"only one of model 0 and model {place} has the parameter {min(lone)!r}; "
            "expected models of one architecture. Ensemble takes different ones"
        )
    for name, param in own.items():
        if param.shape != others[name].shape:
            raise SettingError(
                f"{name!r} is {list(param.shape)} in model 0 and {list(others[name].shape)} in "
                f"model {place}; expected models of one architecture. Ensemble takes different ones"
            )
    running, theirs = _running(first), dict(other.named_buffers())
    for name, buffer in first.named_buffers():
        if name not in running and not torch.equal(buffer, theirs.get(name, buffer.new_empty(0))):
            raise SettingError(
                f"the buffer {name!r} differs between model 0 and model {place}, and is no batch "
                "norm's running statistic; expected equal ones. Ensemble takes different ones"
            )


def _running(model: nn.Module) -> set[str]:
    """Names of the buffers that hold batch norms' running statistics."""
    return {
        f"{path}.{name}".removeprefix(".")
        for path, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for name, _ in module.named_buffers(recurse=False)
    }
