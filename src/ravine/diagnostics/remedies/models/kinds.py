"""Kinds of torch's modules, by what they do."""

from __future__ import annotations

from torch import nn

SQUASHING = (nn.Sigmoid, nn.Tanh, nn.Hardtanh, nn.Hardsigmoid, nn.Softsign)
RECTIFYING = (nn.ReLU, nn.ReLU6)
ACTIVATIONS = (*SQUASHING, *RECTIFYING, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus)
ENDINGS = (*ACTIVATIONS, nn.Softmax, nn.LogSoftmax)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
WEIGHTY = (nn.Linear, nn.Conv2d)
