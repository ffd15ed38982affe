"""What holds for all tests."""

from __future__ import annotations

import torch

# The tensors here are tiny. One thread is as fast, and does not crawl when the machine is shared:
# OpenMP's threads wait for each other at every operation.
torch.set_num_threads(1)
