"""A model whose weights are blurred while it is trained."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ravine.errors import SettingError
from ravine.training.flat import Layout
from ravine.training.gaussian import keyed_normal
from ravine.training.noise import KEY


@final
class Smoothed(nn.Module):
    r"""A model that is trained on its cost blurred by a Gaussian.

        J_σ(θ) = E J(θ + ε)      ε ~ N(0, σ² I)

    In training every forward pass takes one ε, so the gradient of the cost is an unbiased estimate
    of ∇J_σ. In evaluation ε = 0: the true cost is what validation shows. ε is a function of the
    buffer `noise_key`, which training lanes write before each step from (seed, step): a member has
    the same noise alone and in any population.

    Args:
        model: any module; parameters that require a gradient are blurred.
        sigma: σ > 0, in the units of the weights, for all of them.

    Raises:
        SettingError: sigma is not a positive finite number.

    Source: Mobahi & Fisher, "A Theoretical Analysis of Optimization by Gaussian Continuation",
        AAAI 2015; Goodfellow, Bengio & Courville 2016, section 8.7.6.
    """

    noise_key: Tensor

    def __init__(self, model: nn.Module, sigma: float):
        super().__init__()
        if not (sigma > 0 and math.isfinite(sigma)):
            raise SettingError(
                f"sigma={sigma!r}; expected a positive number; without noise, take the model itself"
            )
        self.model = model
        self.sigma = float(sigma)
        self._layout = Layout.of(model)
        self.register_buffer(KEY, torch.zeros((), dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """What the model gives, in training with perturbed weights."""
        if not self.training:
            output: Tensor = self.model(x)
            return output
        blurred: Tensor = functional_call(self.model, self._perturbed(), (x,))
        return blurred

    def _perturbed(self) -> dict[str, Tensor]:
        """θ + ε by name."""
        params = {n: p for n, p in self.model.named_parameters() if n in self._layout.shapes}
        dtype = torch.float32
        for param in params.values():
            dtype = torch.promote_types(dtype, param.dtype)
        size = sum(param.numel() for param in params.values())
        noise = self._layout.unflatten(self.sigma * keyed_normal(size, self.noise_key, dtype))
        return {name: param + noise[name].to(param.dtype) for name, param in params.items()}


def bare(model: nn.Module) -> nn.Module:
    """The model that a Smoothed blurs; any other model itself."""
    return model.model if isinstance(model, Smoothed) else model
