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


def adamax(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> Array:
    path, s, u = [], np.zeros_like(theta), np.zeros_like(theta)
    for t in range(1, steps + 1):
        g = gradient(theta, t - 1)
        s = beta1 * s + (1 - beta1) * g
        u = np.maximum(beta2 * u, np.abs(g) + eps)
        theta = theta - lr / (1 - beta1**t) * s / u
        path.append(theta)
    return np.array(path)


def radam(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> Array:
    path, m, v = [], np.zeros_like(theta), np.zeros_like(theta)
    rho_inf = 2 / (1 - beta2) - 1
    for t in range(1, steps + 1):
        g = gradient(theta, t - 1)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        m_hat = m / (1 - beta1**t)
        rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
        if rho > 5:
            scale = np.sqrt(1 - beta2**t) / (np.sqrt(v) + eps)
            numerator = (rho - 4) * (rho - 2) * rho_inf
            denominator = (rho_inf - 4) * (rho_inf - 2) * rho
            theta = theta - lr * np.sqrt(numerator / denominator) * m_hat * scale
        else:
            theta = theta - lr * m_hat
        path.append(theta)
    return np.array(path)


def asgd(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    lambd: float,
    alpha: float,
    t0: float,
) -> Array:
    path = []
    for t in range(steps):
        eta = lr * (1 + lambd * lr * t) ** -alpha
        theta = theta - eta * (gradient(theta, t) + lambd * theta)
        path.append(theta)
    return np.array(path)


def asgd_average(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    lambd: float,
    alpha: float,
    t0: float,
) -> Array:
    """The mean of θ from step t₀ + 2 on (for a whole t₀), and θ itself before."""
    path = asgd(theta, gradient, steps, lr=lr, lambd=lambd, alpha=alpha, t0=t0)
    first = int(t0) + 1
    return np.array([path[min(first, k) : k + 1].mean(axis=0) for k in range(steps)])


def delta_bar_delta(
    start: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    kappa: float,
    phi: float,
    theta: float,
) -> Array:
    path, weights, bar, rate = [], start, np.zeros_like(start), np.full_like(start, lr)
    for k in range(steps):
        delta = gradient(weights, k)
        rate = rate + np.where(bar * delta > 0, kappa * lr, 0) - (bar * delta < 0) * phi * rate
        bar = (1 - theta) * delta + theta * bar
        weights = weights - rate * delta
        path.append(weights)
    return np.array(path)


def rprop(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    eta_minus: float,
    eta_plus: float,
    step_min: float,
    step_max: float,
) -> Array:
    theta, before, size, path = theta.copy(), np.zeros_like(theta), np.full_like(theta, lr), []
    for k in range(steps):
        g = gradient(theta, k)
        for i in range(len(theta)):
            if before[i] * g[i] > 0:
                size[i] *= eta_plus
            elif before[i] * g[i] < 0:
                size[i] *= eta_minus
                g[i] = 0
            size[i] = min(max(size[i], step_min), step_max)
            theta[i] -= size[i] * np.sign(g[i])
        before = g
        path.append(theta.copy())
    return np.array(path)


def lion(
    theta: Array, gradient: Gradient, steps: int, *, lr: float, beta1: float, beta2: float
) -> Array:
    path, m = [], np.zeros_like(theta)
    for k in range(steps):
        g = gradient(theta, k)
        c = beta1 * m + (1 - beta1) * g
        theta = theta - lr * np.sign(c)
        m = beta2 * m + (1 - beta2) * g
        path.append(theta)
    return np.array(path)


def sign_sgd(theta: Array, gradient: Gradient, steps: int, *, lr: float) -> Array:
    path = []
    for k in range(steps):
        theta = theta - lr * np.sign(gradient(theta, k))
        path.append(theta)
    return np.array(path)


def signum(theta: Array, gradient: Gradient, steps: int, *, lr: float, momentum: float) -> Array:
    path, m = [], np.zeros_like(theta)
    for k in range(steps):
        m = momentum * m + (1 - momentum) * gradient(theta, k)
        theta = theta - lr * np.sign(m)
        path.append(theta)
    return np.array(path)


def _schedule_free(
    theta: Array,
    direction: Callable[[Array, int], Array],
    steps: int,
    *,
    lr: float,
    beta: float,
    warmup_steps: float,
    r: float,
    weight_lr_power: float,
) -> tuple[Array, Array]:
    """The paper's three sequences, kept apart: (y, x) after every step."""
    x = y = z = theta
    ys, xs = [], []
    gammas = [lr * (t / warmup_steps if t < warmup_steps else 1) for t in range(1, steps + 1)]
    weights = [t**r * max(gammas[:t]) ** weight_lr_power for t in range(1, steps + 1)]
    for k in range(steps):
        z = z - gammas[k] * direction(y, k)
        c = weights[k] / sum(weights[: k + 1])
        x = (1 - c) * x + c * z
        y = (1 - beta) * z + beta * x
        ys.append(y)
        xs.append(x)
    return np.array(ys), np.array(xs)


def _schedule_free_sgd(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    momentum: float,
    weight_decay: float,
    **hyper: float,
) -> tuple[Array, Array]:
    def direction(y: Array, k: int) -> Array:
        return gradient(y, k) + weight_decay * y

    return _schedule_free(theta, direction, steps, beta=momentum, **hyper)


def schedule_free_sgd(theta: Array, gradient: Gradient, steps: int, **hyper: float) -> Array:
    return _schedule_free_sgd(theta, gradient, steps, **hyper)[0]


def schedule_free_sgd_average(
    theta: Array, gradient: Gradient, steps: int, **hyper: float
) -> Array:
    return _schedule_free_sgd(theta, gradient, steps, **hyper)[1]


def _schedule_free_adamw(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    **hyper: float,
) -> tuple[Array, Array]:
    v = np.zeros_like(theta)

    def direction(y: Array, k: int) -> Array:
        nonlocal v
        g = gradient(y, k)
        v = beta2 * v + (1 - beta2) * g * g
        return g / (np.sqrt(v / (1 - beta2 ** (k + 1))) + eps) + weight_decay * y

    return _schedule_free(theta, direction, steps, beta=beta1, **hyper)


def schedule_free_adamw(theta: Array, gradient: Gradient, steps: int, **hyper: float) -> Array:
    return _schedule_free_adamw(theta, gradient, steps, **hyper)[0]


def schedule_free_adamw_average(
    theta: Array, gradient: Gradient, steps: int, **hyper: float
) -> Array:
    return _schedule_free_adamw(theta, gradient, steps, **hyper)[1]
