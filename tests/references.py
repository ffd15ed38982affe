"""The algorithm boxes of the notes and papers as plain NumPy loops, independent of ravine's code.

Each takes a start, a gradient (theta, k) -> array, a number of steps and the hyperparameters, and
returns θ after every step, [steps, n].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Gradient = Callable[[Array, int], Array]


def sgd(theta: Array, gradient: Gradient, steps: int, *, lr: float) -> Array:
    path = []
    for k in range(steps):
        theta = theta - lr * gradient(theta, k)
        path.append(theta)
    return np.array(path)


def momentum(theta: Array, gradient: Gradient, steps: int, *, lr: float, momentum: float) -> Array:
    path, v = [], np.zeros_like(theta)
    for k in range(steps):
        g = gradient(theta, k)
        v = momentum * v - lr * g
        theta = theta + v
        path.append(theta)
    return np.array(path)


def nesterov(theta: Array, gradient: Gradient, steps: int, *, lr: float, momentum: float) -> Array:
    path, v = [], np.zeros_like(theta)
    for k in range(steps):
        interim = theta + momentum * v
        g = gradient(interim, k)
        v = momentum * v - lr * g
        theta = theta + v
        path.append(theta)
    return np.array(path)


def heavy_ball(
    theta: Array, gradient: Gradient, steps: int, *, lr: float, momentum: float, dampening: float
) -> Array:
    path, b = [], None
    for k in range(steps):
        g = gradient(theta, k)
        b = g if b is None else momentum * b + (1 - dampening) * g
        theta = theta - lr * b
        path.append(theta)
    return np.array(path)


def nesterov_buffer(
    theta: Array, gradient: Gradient, steps: int, *, lr: float, momentum: float
) -> Array:
    path, b = [], None
    for k in range(steps):
        g = gradient(theta, k)
        b = g if b is None else momentum * b + g
        theta = theta - lr * (g + momentum * b)
        path.append(theta)
    return np.array(path)


def adagrad(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    eps: float,
    lr_decay: float,
    initial_accumulator_value: float = 0.0,
) -> Array:
    path, r = [], np.full_like(theta, initial_accumulator_value)
    for k in range(steps):
        g = gradient(theta, k)
        r = r + g * g
        theta = theta - lr / (1 + k * lr_decay) / (eps + np.sqrt(r)) * g
        path.append(theta)
    return np.array(path)


def rmsprop(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    alpha: float,
    eps: float,
    delta: str = "outside",
    centered: bool = False,
) -> Array:
    path, r, m = [], np.zeros_like(theta), np.zeros_like(theta)
    for k in range(steps):
        g = gradient(theta, k)
        r = alpha * r + (1 - alpha) * g * g
        m = alpha * m + (1 - alpha) * g
        scale = r - m**2 if centered else r
        theta = theta - lr * g / (
            np.sqrt(scale + eps) if delta == "inside" else np.sqrt(scale) + eps
        )
        path.append(theta)
    return np.array(path)


def rmsprop_inside(
    theta: Array, gradient: Gradient, steps: int, *, lr: float, alpha: float, eps: float
) -> Array:
    path, r = [], np.zeros_like(theta)
    for k in range(steps):
        g = gradient(theta, k)
        r = alpha * r + (1 - alpha) * g * g
        theta = theta - lr / np.sqrt(eps + r) * g
        path.append(theta)
    return np.array(path)


def rmsprop_momentum(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    alpha: float,
    eps: float,
    momentum: float,
    centered: bool = False,
) -> Array:
    path, r, m, b = [], np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta)
    for k in range(steps):
        g = gradient(theta, k)
        r = alpha * r + (1 - alpha) * g * g
        m = alpha * m + (1 - alpha) * g
        b = momentum * b + g / (np.sqrt(r - m**2 if centered else r) + eps)
        theta = theta - lr * b
        path.append(theta)
    return np.array(path)


def rmsprop_nesterov(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    alpha: float,
    eps: float,
    momentum: float,
    delta: str = "outside",
) -> Array:
    path, r, v = [], np.zeros_like(theta), np.zeros_like(theta)
    for k in range(steps):
        interim = theta + momentum * v
        g = gradient(interim, k)
        r = alpha * r + (1 - alpha) * g * g
        root = np.sqrt(r + eps) if delta == "inside" else np.sqrt(r) + eps
        v = momentum * v - lr / root * g
        theta = theta + v
        path.append(theta)
    return np.array(path)


def adadelta(
    theta: Array, gradient: Gradient, steps: int, *, lr: float, rho: float, eps: float
) -> Array:
    path, mean_g2, mean_d2 = [], np.zeros_like(theta), np.zeros_like(theta)
    for k in range(steps):
        g = gradient(theta, k)
        mean_g2 = rho * mean_g2 + (1 - rho) * g * g
        change = -np.sqrt(mean_d2 + eps) / np.sqrt(mean_g2 + eps) * g
        mean_d2 = rho * mean_d2 + (1 - rho) * change * change
        theta = theta + lr * change
        path.append(theta)
    return np.array(path)


def adam(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> Array:
    path, s, r = [], np.zeros_like(theta), np.zeros_like(theta)
    for t in range(1, steps + 1):
        g = gradient(theta, t - 1)
        s = beta1 * s + (1 - beta1) * g
        r = beta2 * r + (1 - beta2) * g * g
        s_hat = s / (1 - beta1**t)
        r_hat = r / (1 - beta2**t)
        theta = theta - lr * s_hat / (np.sqrt(r_hat) + eps)
        path.append(theta)
    return np.array(path)


def amsgrad(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> Array:
    path, s, r, r_max = [], np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta)
    for t in range(1, steps + 1):
        g = gradient(theta, t - 1)
        s = beta1 * s + (1 - beta1) * g
        r = beta2 * r + (1 - beta2) * g * g
        r_max = np.maximum(r_max, r)
        root = np.sqrt(r_max / (1 - beta2**t)) + eps
        theta = theta - lr * s / (1 - beta1**t) / root
        path.append(theta)
    return np.array(path)


def adamw(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> Array:
    path, s, r = [], np.zeros_like(theta), np.zeros_like(theta)
    for t in range(1, steps + 1):
        g = gradient(theta, t - 1)
        s = beta1 * s + (1 - beta1) * g
        r = beta2 * r + (1 - beta2) * g * g
        s_hat, r_hat = s / (1 - beta1**t), r / (1 - beta2**t)
        theta = theta - lr * (s_hat / (np.sqrt(r_hat) + eps) + weight_decay * theta)
        path.append(theta)
    return np.array(path)


def nadam(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    momentum_decay: float,
) -> Array:
    mus = [beta1 * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in range(1, steps + 2)]
    path, s, r = [], np.zeros_like(theta), np.zeros_like(theta)
    for t in range(1, steps + 1):
        g = gradient(theta, t - 1)
        s = beta1 * s + (1 - beta1) * g
        r = beta2 * r + (1 - beta2) * g * g
        g_hat = g / (1 - np.prod(mus[:t]))
        s_hat = s / (1 - np.prod(mus[: t + 1]))
        direction = (1 - mus[t - 1]) * g_hat + mus[t] * s_hat
        theta = theta - lr * direction / (np.sqrt(r / (1 - beta2**t)) + eps)
        path.append(theta)
    return np.array(path)
