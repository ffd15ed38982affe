"""Strategies: what is made of several trainings, side by side or one after the other.

    fit                             members of one recipe, trained together; modules come back
    Ensemble, RegressionEnsemble    models that answer together
    average_weights                 one model from several: the mean of their weights
    distill                         a recipe that trains one model on a teacher's answers
    fit_stages                      recipes one after the other, each from where the last one ended
    layerwise                       stages of greedy layer-wise supervised pretraining
    continuation, Smoothed          stages of costs that are blurred less and less

Each composes with any rule, any procedure and every training lane.
"""

from ravine.strategies._continuation import continuation
from ravine.strategies._distillation import distill, soft_cost, soft_targets
from ravine.strategies._ensembles import Ensemble, RegressionEnsemble
from ravine.strategies._layerwise import layerwise, linear_head
from ravine.strategies._smoothed import Smoothed
from ravine.strategies._soup import average_weights
from ravine.strategies._staged import Staged, fit_stages
from ravine.training.fit import Fitted, fit

__all__ = [
    "Ensemble",
    "Fitted",
    "RegressionEnsemble",
    "Smoothed",
    "Staged",
    "average_weights",
    "continuation",
    "distill",
    "fit",
    "fit_stages",
    "layerwise",
    "linear_head",
    "soft_cost",
    "soft_targets",
]
