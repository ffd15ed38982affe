"""What a forward pass shows, and what derivatives would disturb."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ravine.diagnostics.watch.scene import Scene
from ravine.diagnostics.watch.watching import Watch


class Named(nn.Module):
    """Called as transformers are: by keywords, mask first, loss before logits."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(7, 4), nn.Linear(4, 3)

    def forward(self, mask: Tensor, input_ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.head((self.embed(input_ids) * mask[..., None]).mean(1))
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


def test_inputs_by_keyword_and_outputs_behind_the_loss() -> None:
    model = Named()
    scene = Scene(model)
    ids, mask = torch.randint(7, (5, 6)), torch.ones(5, 6)
    out = model(mask=mask, input_ids=ids, labels=torch.randint(3, (5,)))
    look = scene.look(0, out["loss"], dict(model.named_parameters()), {})
    assert look.inputs is ids
    assert look.output is out["logits"]
    assert [layer.name for layer in look.layers] == ["embed", "head"]
    scene.close()


class Checkpointed(nn.Module):
    """Batch norm, run again in the backward pass where it is checkpointed."""

    def __init__(self, reentrant: bool | None) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 1)
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        if self.reentrant is None:
            return self.last(self.norm(h))
        return self.last(checkpoint(self.norm, h, use_reentrant=self.reentrant))


def trained(model: nn.Module, watched: bool) -> list[Tensor]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watch = Watch(model, optimizer, budget=1.0)
    if watched:
        watch.__enter__()
    draws = torch.Generator().manual_seed(0)
    for _ in range(8):
        optimizer.zero_grad()
        model(torch.randn(9, 4, generator=draws)).square().mean().backward()
        optimizer.step()
    if watched:
        watch.__exit__(None, None, None)
    return [t.clone() for t in model.state_dict().values()]


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpointed_run_is_the_same_to_the_last_bit(reentrant: bool) -> None:
    runs = []
    for watched in (False, True):
        torch.manual_seed(0)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            runs.append(trained(Checkpointed(reentrant), watched))
        ours = [str(w.message) for w in said if "derivatives" in str(w.message)]
        assert len(ours) == watched
        assert all("checkpointed" in message for message in ours)
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def obstacle(hang) -> str:
    model = Checkpointed(None)
    scene = Scene(model)
    hang(model)
    loss = model(torch.randn(9, 4)).sum()
    found = scene.obstacle(loss)
    scene.close()
    return found


def test_hooks_are_obstacles() -> None:
    assert obstacle(lambda model: None) == ""
    assert "'norm'" in obstacle(lambda m: m.norm.register_full_backward_hook(lambda *_: None))
    assert "'last.bias'" in obstacle(lambda m: m.last.bias.register_hook(lambda g: g))

    def retains(model: nn.Module) -> None:
        model.first.register_forward_hook(lambda m, a, y: y.retain_grad())

    assert "'first'" in obstacle(retains)


def test_frozen_parts_without_a_graph_are_none() -> None:
    class Frozen(Checkpointed):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                h = self.first(x)
            return self.last(self.norm(h))

    model = Frozen(None)
    scene = Scene(model)
    assert scene.obstacle(model(torch.randn(9, 4)).sum()) == ""
