"""What happens to a model whose small parameters moved into a block, and what models do to them."""

from __future__ import annotations

import copy
import gc
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from tests.integrations.processes import Group
from tests.integrations.trials import (
    EXACT,
    STEPS,
    Spec,
    alone,
    batches,
    build,
    gap,
    learn,
    network,
    weights,
)

HALF = STEPS // 2
ADAMW: Spec = ("torch", "AdamW", {"lr": 0.02})
OURS: list[Spec] = [("ravine", "AdamW", {"lr": 0.02, "engine": e}) for e in ("auto", "compiled")]

engines = pytest.mark.parametrize("spec", OURS, ids=["auto", "compiled"])


def midway(spec: Spec, change: Callable[[nn.Module], object]) -> nn.Module:
    """The model after half of the steps, a change, and the other half."""
    model = network()
    optimizer = build(spec, model.parameters())
    learn(model, optimizer, batches()[:HALF])
    change(model)
    dtype = next(model.parameters()).dtype
    learn(model, optimizer, batches(dtype)[HALF:])
    return model


def stepped() -> nn.Module:
    """A model after a step of ours."""
    model = network()
    learn(model, build(OURS[0], model.parameters()), batches(steps=1))
    return model


def test_the_state_dict_keeps_names_shapes_strides_and_identities() -> None:
    model = network()
    before, objects = model.state_dict(), list(model.parameters())
    learn(model, build(OURS[0], model.parameters()), batches(steps=1))
    after = model.state_dict()
    assert [(n, t.shape, t.stride(), t.dtype) for n, t in before.items()] == [
        (n, t.shape, t.stride(), t.dtype) for n, t in after.items()
    ]
    assert all(a is b for a, b in zip(model.parameters(), objects, strict=True))
    assert all(param.is_leaf and param.requires_grad for param in model.parameters())


@engines
def test_a_state_dict_taken_before_follows_the_model(spec: Spec) -> None:
    model = network()
    optimizer = build(spec, model.parameters())
    live = model.state_dict()
    learn(model, optimizer, batches())
    assert gap(live.values(), alone(ADAMW)) < EXACT


def test_one_layer_is_saved_and_copied_without_the_others() -> None:
    model = stepped()
    files = []
    for one in (model, network()):
        buffer = io.BytesIO()
        torch.save(one[4].state_dict(), buffer)
        files.append(buffer)
    assert abs(len(files[0].getvalue()) - len(files[1].getvalue())) < 100
    files[0].seek(0)
    loaded = torch.load(files[0], weights_only=True)
    for copied in (loaded, copy.deepcopy(model[4]).state_dict()):
        for name, tensor in model[4].state_dict().items():
            assert copied[name].equal(tensor)
            assert copied[name].untyped_storage().nbytes() == 8 * tensor.numel()


@engines
def test_weights_outlive_their_optimizer(spec: Spec) -> None:
    model = network()
    learn(model, build(spec, model.parameters()), batches())
    gc.collect()
    torch.full((200,), 7.0)  # would be given the block's memory, had it been freed
    assert gap(weights(model), alone(ADAMW)) < EXACT


@engines
def test_two_optimizers_of_the_same_parameters_take_turns(spec: Spec) -> None:
    models = []
    for each in (spec, ADAMW):
        model = network()
        optimizers = [build(each, model.parameters()) for _ in range(2)]
        for index, batch in enumerate(batches()):
            learn(model, optimizers[index % 2], [batch])
        models.append(model)
    assert gap(weights(models[0]), weights(models[1])) < EXACT


@engines
def test_arrays_that_share_memory_with_parameters_keep_it(spec: Spec) -> None:
    model = network()
    arrays = [param.detach().numpy().copy() for param in model.parameters()]
    for param, array in zip(model.parameters(), arrays, strict=True):
        param.data = torch.from_numpy(array)
    learn(model, build(spec, model.parameters()), batches())
    assert gap(map(torch.from_numpy, arrays), alone(ADAMW)) < EXACT


def test_safetensors_saves_the_model_and_one_layer(tmp_path: Any) -> None:
    safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    model = stepped()
    path = tmp_path / "model.safetensors"
    for part in (model, model[2]):
        safetensors.save_file(part.state_dict(), path)
        loaded = safetensors.load_file(path)
        assert all(loaded[name].equal(tensor) for name, tensor in part.state_dict().items())
        numbers = sum(param.numel() for param in part.parameters())
        assert path.stat().st_size < 8 * numbers + 1000
        safetensors.save_model(part, str(path))
        assert not any(safetensors.load_model(part, path))


@engines
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float16, 3e-3)], ids=str
)
def test_the_model_changes_its_dtype(spec: Spec, dtype: torch.dtype, tolerance: float) -> None:
    model = midway(spec, lambda model: model.to(dtype))
    assert all(param.dtype == dtype for param in model.parameters())
    assert gap([w.double() for w in weights(model)], alone(ADAMW)) < tolerance


@engines
def test_the_model_widens(spec: Spec) -> None:
    model = network(torch.float32)
    optimizer = build(spec, model.parameters())
    learn(model, optimizer, batches(torch.float32)[:HALF])
    model.double()
    learn(model, optimizer, batches()[HALF:])
    assert gap(weights(model), alone(ADAMW)) < 1e-6


def shift(model: nn.Module) -> None:
    """Other numbers in memory of their own, for some of the parameters."""
    for layer in (model[0], model[4]):
        layer.weight.data = layer.weight.data + 0.25
    model[2].bias.data = torch.full_like(model[2].bias, 0.5)


def fill(model: nn.Module) -> None:
    """Other numbers in the same memory."""
    with torch.no_grad():
        for param in model.parameters():
            param.mul_(0.5)


def reload(model: nn.Module) -> None:
    """The weights of another model, copied in."""
    model.load_state_dict({name: t * 0.5 for name, t in model.state_dict().items()})


def exchange(model: nn.Module) -> None:
    """Two parameters swap their memory."""
    first, second = model[0].bias, model[2].bias
    both = torch.zeros(8, dtype=torch.float64)
    second.data, first.data = both, first.data.flip(0)


@engines
@pytest.mark.parametrize("change", [shift, fill, reload, exchange])
def test_parameters_get_other_numbers_or_memory(
    spec: Spec, change: Callable[[nn.Module], None]
) -> None:
    ours, theirs = midway(spec, change), midway(ADAMW, change)
    assert gap(weights(ours), weights(theirs)) < EXACT
    assert gap(weights(theirs), alone(ADAMW)) > 1e-3


@engines
def test_assigned_weights_are_not_the_optimizers(spec: Spec) -> None:
    """As with torch: `assign=True` puts other parameters into the model."""
    model = network()
    optimizer = build(spec, model.parameters())
    learn(model, optimizer, batches()[:HALF])
    old = list(model.parameters())
    kept = weights(model)
    model.load_state_dict({n: t.clone() for n, t in model.state_dict().items()}, assign=True)
    learn(model, optimizer, batches()[HALF:])
    assert all(a.equal(b) for a, b in zip(weights(model), kept, strict=True))
    assert all(a.equal(b) for a, b in zip(old, kept, strict=True))


@engines
def test_weights_assigned_from_a_file_are_trained(spec: Spec) -> None:
    """What torch.load gives cannot be resized."""
    model = network()
    optimizer = build(spec, model.parameters())
    learn(model, optimizer, batches()[:HALF])
    buffer = io.BytesIO()
    torch.save((model.state_dict(), optimizer.state_dict()), buffer)
    buffer.seek(0)
    numbers, states = torch.load(buffer)
    other = network()
    other.load_state_dict(numbers, assign=True)
    its_optimizer = build(spec, other.parameters())
    its_optimizer.load_state_dict(states)
    learn(other, its_optimizer, batches()[HALF:])
    assert gap(weights(other), alone(ADAMW)) < EXACT


class Tied(nn.Module):
    """An embedding that is also the output layer."""

    def __init__(self, same_object: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(5, 4)
        self.middle = nn.Linear(4, 4)
        self.head = nn.Linear(4, 5, bias=False)
        if same_object:
            self.head.weight = self.embedding.weight
        else:
            self.head.weight.data = self.embedding.weight.data
        self.double()
        if not same_object:  # .double() has parted them
            self.head.weight.data = self.embedding.weight.data

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.middle(self.embedding(tokens)).tanh())


@engines
@pytest.mark.parametrize("same_object", [True, False], ids=["parameter", "memory"])
def test_tied_weights_stay_tied(spec: Spec, same_object: bool) -> None:
    tokens = torch.tensor([0, 1, 2, 3, 4, 1])
    models = []
    one_by_one: Spec = ("torch", "AdamW", {"lr": 0.02, "foreach": False})
    for each in (spec, one_by_one):
        model = Tied(same_object)
        optimizer = build(each, model.parameters())
        for _ in range(STEPS):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(tokens), tokens.flip(0)).backward()
            optimizer.step()
        assert model.head.weight.data_ptr() == model.embedding.weight.data_ptr()
        models.append(model)
    assert gap(weights(models[0]), weights(models[1])) < EXACT


@engines
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_layers(spec: Spec, kind: type[nn.RNNBase]) -> None:
    models = []
    for each in (spec, ADAMW):
        torch.manual_seed(0)
        model = kind(6, 5, num_layers=2, bidirectional=True).double()
        optimizer = build(each, model.parameters())
        for index, (inputs, _) in enumerate(batches()):
            optimizer.zero_grad()
            model(inputs[:, None])[0].square().sum().backward()
            optimizer.step()
            if index == HALF:
                model.flatten_parameters()
        models.append(model)
    assert gap(weights(models[0]), weights(models[1])) < EXACT


@engines
def test_weights_that_are_views_of_one_piece(spec: Spec) -> None:
    """As cuDNN's flattened weights are: views of memory that is not ours to move."""
    model = network()
    flat = torch.cat([param.detach().flatten() for param in model.parameters()])
    start = 0
    for param in model.parameters():
        param.data = flat[start : start + param.numel()].view_as(param)
        start += param.numel()
    learn(model, build(spec, model.parameters()), batches())
    reference = alone(ADAMW)
    assert gap([flat], [torch.cat([weight.flatten() for weight in reference])]) < EXACT


@engines
def test_a_compiled_model(spec: Spec) -> None:
    model = network()
    learn(torch.compile(model, backend="aot_eager"), build(spec, model.parameters()), batches())
    assert gap(weights(model), alone(ADAMW)) < EXACT


@engines
def test_a_functional_call_sees_every_step(spec: Spec) -> None:
    """Parameters are taken out of the model before the first step."""
    model = network()
    named = dict(model.named_parameters())
    optimizer = build(spec, named.values())
    for inputs, targets in batches():
        optimizer.zero_grad()
        mse_loss(torch.func.functional_call(model, named, (inputs,)), targets).backward()
        optimizer.step()
    assert gap(weights(model), alone(ADAMW)) < EXACT


def step_in_turns(spec: Spec, model: nn.Module) -> None:
    """Each process has an optimizer of its own, for a model in memory they share."""
    optimizer = build(spec, model.parameters())
    for index, batch in enumerate(batches()):
        if index % dist.get_world_size() == dist.get_rank():
            learn(model, optimizer, [batch])
        dist.barrier()


@engines
@pytest.mark.parametrize("steps_before", [0, 1], ids=["fresh", "packed"])
def test_processes_share_a_model(pair: Group, spec: Spec, steps_before: int) -> None:
    """Hogwild, but in turns, so that it can be compared."""
    reference, model = network(), network()
    for each, one in ((ADAMW, reference), (spec, model)):
        learn(one, build(each, one.parameters()), batches(steps=steps_before))
    model.share_memory()
    pair.run(step_in_turns, spec, model)

    optimizers = [build(ADAMW, reference.parameters()) for _ in range(2)]
    for index, batch in enumerate(batches()):
        learn(reference, optimizers[index % 2], [batch])
    assert gap(weights(model), weights(reference)) < EXACT
