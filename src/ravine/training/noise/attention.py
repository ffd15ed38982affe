"""Attention whose dropout is keyed."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ravine.training.noise.keys import Keyed


class KeyedAttention(nn.MultiheadAttention, Keyed):
    """As `nn.MultiheadAttention`, its dropout keyed.

    Vaswani et al. 2017, section 3.2: softmax(q kᵀ / √d + mask) v for each head, with dropout on the
    softmax. Without dropout, and in evaluation, torch's own forward pass runs.
    """

    @classmethod
    def of(cls, attention: nn.MultiheadAttention) -> nn.MultiheadAttention:
        """The same layer with the same parameters; the layer itself where it adds keys of its own."""
        if attention.bias_k is not None or attention.add_zero_attn:
            return attention
        made = cls.__new__(cls)
        made.__dict__.update(attention.__dict__)
        # the key is the new layer's alone
        made._buffers = dict(attention._buffers)
        made._non_persistent_buffers_set = set(attention._non_persistent_buffers_set)
        made.hold_key()
        return made

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As `nn.MultiheadAttention.forward`.

        Raises:
            RuntimeError: `is_causal` without a mask, as in torch: it says of a mask what it is.
        """
        if not self.training or self.dropout == 0:
            return super().forward(
                *(query, key, value, key_padding_mask, need_weights),
                *(attn_mask, average_attn_weights, is_causal),
            )
        if is_causal and attn_mask is None:
            raise RuntimeError(
                "is_causal=True comes without attn_mask; expected the mask as well, e.g. "
                "attn_mask=nn.Transformer.generate_square_subsequent_mask(length)"
            )
        lone = query.ndim == 2
        given = [x.unsqueeze(0) if lone else self._batch_first(x) for x in (query, key, value)]
        q, k, v = (
            F.linear(x, w, b).view(*x.shape[:2], self.num_heads, -1).transpose(1, 2)
            for x, w, b in zip(given, *self._projections(), strict=True)
        )
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        scores = self._masked(scores, attn_mask, key_padding_mask)
        weights = self.dropped(scores.softmax(-1), self.dropout)
        out = self.out_proj((weights @ v).transpose(1, 2).flatten(2))
        shown = weights.mean(1) if average_attn_weights else weights
        if lone:
            return out.squeeze(0), shown.squeeze(0) if need_weights else None
        return self._batch_first(out), shown if need_weights else None

    def _batch_first(self, x: Tensor) -> Tensor:
        return x if self.batch_first else x.transpose(0, 1)

    def _projections(self) -> tuple[Any, Any]:
        """Weights and biases of query, key and value."""
        same = self.in_proj_weight is not None
        weights = (
            self.in_proj_weight.chunk(3)
            if same
            else (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        )
        none = self.in_proj_bias is None
        return weights, (None,) * 3 if none else self.in_proj_bias.chunk(3)

    def _masked(self, scores: Tensor, mask: Tensor | None, padding: Tensor | None) -> Tensor:
        """Scores [n, heads, L, S] with a mask [L, S] or [n · heads, L, S] and padding [n, S]: what is
        True is not seen, numbers are added."""
        if mask is not None:
            per_head = mask if mask.ndim == 2 else mask.view(scores.shape)
            scores = scores + _added(per_head, scores)
        if padding is not None:
            scores = scores + _added(padding, scores)[..., None, None, :]
        return scores


def _added(mask: Tensor, scores: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=scores.dtype).masked_fill(mask, -math.inf)
