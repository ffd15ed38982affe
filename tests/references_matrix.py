"""As `references`, for rules that look at whole parameters: θ, gradients and paths keep their shape."""

from __future__ import annotations

import numpy as np

from tests.references import Array, Gradient


def lars(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    trust_coefficient: float,
) -> Array:
    path, v = [], np.zeros_like(theta)
    for k in range(steps):
        g = gradient(theta, k)
        w_norm, g_norm = np.linalg.norm(theta), np.linalg.norm(g)
        local_lr = 1.0
        if w_norm > 0 and g_norm > 0:
            local_lr = trust_coefficient * w_norm / (g_norm + weight_decay * w_norm)
        v = momentum * v + lr * local_lr * (g + weight_decay * theta)
        theta = theta - v
        path.append(theta)
    return np.array(path)


def lamb(
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
    path, m, v = [], np.zeros_like(theta), np.zeros_like(theta)
    for t in range(1, steps + 1):
        g = gradient(theta, t - 1)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        r = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)
        u = r + weight_decay * theta
        x_norm, u_norm = np.linalg.norm(theta), np.linalg.norm(u)
        ratio = x_norm / u_norm if x_norm > 0 and u_norm > 0 else 1.0
        theta = theta - lr * ratio * u
        path.append(theta)
    return np.array(path)


def adafactor(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    beta2_decay: float,
    eps2: float,
    d: float,
    weight_decay: float,
    eps1: float | None = None,
) -> Array:
    floor = np.finfo(np.float64).eps if eps1 is None else eps1
    path: list[Array] = []
    rows = columns = variance = np.zeros(())
    for t in range(1, steps + 1):
        g = gradient(theta, t - 1)
        new = t**beta2_decay
        alpha = max(eps2, np.sqrt(np.mean(theta**2))) * min(lr, 1 / np.sqrt(t))
        if theta.ndim > 1:
            rows = (1 - new) * rows + new * (g**2).mean(axis=-1)
            columns = (1 - new) * columns + new * (g**2).mean(axis=-2)
            mean = np.maximum(rows.mean(axis=-1), floor)
            v = np.einsum("...i,...j,...->...ij", rows, columns, 1 / mean)
        else:
            variance = (1 - new) * variance + new * g**2
            v = variance
        u = g / np.maximum(np.sqrt(v), floor)
        u = u / max(1.0, np.sqrt(np.mean(u**2)) / d)
        theta = theta - lr * weight_decay * theta - alpha * u
        path.append(theta)
    return np.array(path)


def muon(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    momentum: float,
    eps: float,
    nesterov: bool = True,
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
    ns_steps: int = 5,
    adjust_lr_fn: str = "original",
    precision: object = None,
) -> Array:
    a, b, c = ns_coefficients
    rows, columns = theta.shape[0], theta[0].size
    scale = np.sqrt(max(1, rows / columns))
    if adjust_lr_fn == "match_rms_adamw":
        scale = 0.2 * np.sqrt(max(rows, columns))
    path, buffer = [], np.zeros_like(theta)
    for k in range(steps):
        g = gradient(theta, k)
        buffer = momentum * buffer + (1 - momentum) * g
        update = momentum * buffer + (1 - momentum) * g if nesterov else buffer
        # The iteration acts on singular values alone: p(σ) = aσ + bσ³ + cσ⁵.
        U, sigma, Vt = np.linalg.svd(update.reshape(rows, columns), full_matrices=False)
        sigma = sigma / max(np.sqrt(np.sum(sigma**2)), eps)
        for _ in range(ns_steps):
            sigma = a * sigma + b * sigma**3 + c * sigma**5
        theta = theta - lr * scale * ((U * sigma) @ Vt).reshape(theta.shape)
        path.append(theta)
    return np.array(path)


def muon_adamw(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    momentum: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    ns_steps: int = 5,
) -> Array:
    a, b, c = 3.4445, -4.7750, 2.0315
    path: list[Array] = []
    buffer, s, r = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta)
    for t in range(1, steps + 1):
        g = gradient(theta, t - 1)
        theta = (1 - lr * weight_decay) * theta
        if theta.ndim == 1:
            s = beta1 * s + (1 - beta1) * g
            r = beta2 * r + (1 - beta2) * g * g
            update = s / (1 - beta1**t) / (np.sqrt(r / (1 - beta2**t)) + eps)
        else:
            buffer = momentum * buffer + g
            X = (g + momentum * buffer).reshape(len(g), -1)
            X = X / max(np.linalg.norm(X), eps)
            for _ in range(ns_steps):
                A = X @ X.T
                X = a * X + (b * A + c * A @ A) @ X
            update = 0.2 * np.sqrt(max(X.shape)) * X.reshape(g.shape)
        theta = theta - lr * update
        path.append(theta)
    return np.array(path)


def shampoo(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    eps: float = 1e-4,
    update_every: int = 1,
) -> Array:
    path, k = [], theta.ndim
    H = [eps * np.eye(n) for n in theta.shape]
    roots = [np.eye(n) for n in theta.shape]
    for t in range(steps):
        g = gradient(theta, t)
        H = [H[i] + _unfolded(g, i) @ _unfolded(g, i).T for i in range(k)]
        if t % update_every == 0:
            roots = [_power(h, -1 / (2 * k)) for h in H]
        theta = theta - lr * _along_all_axes(roots, g)
        path.append(theta)
    return np.array(path)


def soap(
    theta: Array,
    gradient: Gradient,
    steps: int,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    precondition_frequency: int = 10,
    max_precond_dim: int = 10000,
    precondition_1d: bool = False,
    first_bases: dict[int, Array] | None = None,
) -> Array:
    """With `first_bases`, these stand in for the first eigenvectors, where they are not unique."""
    path, s, r = [], np.zeros_like(theta), np.zeros_like(theta)
    skip = theta.ndim == 1 and not precondition_1d
    axes = [i for i, n in enumerate(theta.shape) if n <= max_precond_dim and not skip]
    L = {i: np.zeros((theta.shape[i],) * 2) for i in axes}
    Q = [np.eye(n) for n in theta.shape]
    for t in range(steps):
        g = gradient(theta, t)
        if t > 0:
            rotated = _along_all_axes([q.T for q in Q], g)
            s = beta1 * s + (1 - beta1) * rotated
            r = beta2 * r + (1 - beta2) * rotated**2
            adam = s / (1 - beta1**t) / (np.sqrt(r / (1 - beta2**t)) + eps)
            theta = theta - lr * _along_all_axes(Q, adam)
        for i in axes:
            L[i] = beta2 * L[i] + (1 - beta2) * _unfolded(g, i) @ _unfolded(g, i).T
        if t == 0:
            for i in axes:
                Q[i] = np.linalg.eigh(L[i])[1][:, ::-1] if first_bases is None else first_bases[i]
        elif t % precondition_frequency == 0:
            momentum = _along_all_axes(Q, s)
            for i in axes:
                order = np.argsort(-np.diag(Q[i].T @ L[i] @ Q[i]), kind="stable")
                r = np.take(r, order, axis=i)
                Q[i] = np.linalg.qr(L[i] @ Q[i][:, order])[0]
            s = _along_all_axes([q.T for q in Q], momentum)
        path.append(theta)
    return np.array(path)


def _unfolded(g: Array, axis: int) -> Array:
    return np.moveaxis(g, axis, 0).reshape(g.shape[axis], -1)


def _power(H: Array, exponent: float) -> Array:
    values, vectors = np.linalg.eigh(H)
    return np.asarray(vectors @ np.diag(values**exponent) @ vectors.T)


def _along_all_axes(matrices: list[Array], g: Array) -> Array:
    """Every matrix times its axis, as one product with the Kronecker matrix of them all."""
    whole = np.eye(1)
    for matrix in matrices:
        whole = np.kron(whole, matrix)
    return np.asarray((whole @ g.reshape(-1)).reshape(g.shape))
