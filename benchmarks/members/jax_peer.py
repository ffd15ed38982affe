"""The same work in JAX: optax's Adam, a scan over minibatches, jit; alone, or vmapped over members."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from members.cases import Case

STEPS = 50
"""Steps in one scan."""


def parameters(case: Case, key: Any) -> tuple[Any, Any]:
    """(convolutions, dense layers), each a list of (weight, bias)."""
    convolutions = [
        (jax.random.normal(k, (there, here, 3, 3)) / (9 * here) ** 0.5, jnp.zeros(there))
        for k, here, there in _layers(key, case.convolutions)
    ]
    dense = [
        (jax.random.normal(k, (here, there)) / here**0.5, jnp.zeros(there))
        for k, here, there in _layers(key, case.sizes)
    ]
    return convolutions, dense


def _layers(key: Any, sizes: tuple[int, ...]) -> Any:
    return zip(jax.random.split(key, max(1, len(sizes))), sizes, sizes[1:], strict=False)


def scores(weights: tuple[Any, Any], x: Any) -> Any:
    convolutions, dense = weights
    window = (1, 1, 2, 2)
    for kernel, bias in convolutions:
        layout = ("NCHW", "OIHW", "NCHW")
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=layout)
        x = jax.nn.relu(x + bias[:, None, None])
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")
    x = x.reshape(len(x), -1)
    for weight, bias in dense[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    weight, bias = dense[-1]
    return x @ weight + bias


class Jax:
    """One call trains all members for STEPS steps."""

    def __init__(self, case: Case, members: int | None):
        problem = case.problem()
        inputs, targets = problem.train.inputs.numpy(), problem.train.targets.numpy()
        self._data = jnp.asarray(inputs), jnp.asarray(targets)
        self._lead = () if members is None else (members,)
        self._batch = problem.batch_size
        adam = optax.adam(1e-3)

        def cost(weights: Any, data: Any, batch: Any) -> Any:
            x, y = data[0][batch], data[1][batch]
            found = scores(weights, x)
            return optax.softmax_cross_entropy_with_integer_labels(found, y).mean()

        def train(weights: Any, state: Any, data: Any, batches: Any) -> Any:
            def step(carry: Any, batch: Any) -> Any:
                weights, state = carry
                value, grads = jax.value_and_grad(cost)(weights, data, batch)
                updates, state = adam.update(grads, state, weights)
                return (optax.apply_updates(weights, updates), state), value

            return jax.lax.scan(step, (weights, state), batches)

        def begin(key: Any) -> Any:
            weights = parameters(case, key)
            return weights, adam.init(weights)

        key = jax.random.key(0)
        if members is None:
            self._train, self._here = jax.jit(train), begin(key)
        else:
            self._train = jax.jit(jax.vmap(train, in_axes=(0, 0, None, 0)))
            self._here = jax.vmap(begin)(jax.random.split(key, members))

    def __call__(self) -> int:
        """Train; member-steps taken."""
        shape = (*self._lead, STEPS, self._batch)
        batches = np.random.randint(len(self._data[0]), size=shape, dtype=np.int32)
        self._here, costs = self._train(*self._here, self._data, batches)
        jax.block_until_ready(costs)
        return int(np.prod(costs.shape))
