"""Parameters of another model, by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ravine.errors import SettingError
from ravine.initializers import Match, from_pretrained


def autoencoder() -> nn.ModuleDict:
    encoder = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))
    encoder[1].running_mean.fill_(5.0)
    return nn.ModuleDict({"encoder": encoder, "decoder": nn.Linear(3, 6)})


def classifier() -> nn.ModuleDict:
    features = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    return nn.ModuleDict({"features": features, "head": nn.Linear(2, 2)}).double()


EXPECTED = Match(
    loaded=(
        *("features.0.weight", "features.0.bias", "features.1.weight", "features.1.bias"),
        *("features.1.running_mean", "features.1.running_var", "features.1.num_batches_tracked"),
    ),
    missing=("head.weight", "head.bias"),
    unexpected=("decoder.weight", "decoder.bias"),
    mismatched={"features.3.weight": ((2, 4), (3, 4)), "features.3.bias": ((2,), (3,))},
)


@pytest.mark.parametrize("as_mapping", [False, True])
def test_what_matches_is_taken_over_and_reported(as_mapping: bool) -> None:
    source, model = autoencoder(), classifier()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    given = source.state_dict() if as_mapping else source
    match = from_pretrained(model, given, rename={"encoder.": "features."})
    assert match == EXPECTED
    theirs = source.state_dict()
    for name, value in model.state_dict().items():
        assert value.dtype == before[name].dtype
        wanted = before[name]
        if name in match.loaded:
            wanted = theirs[name.replace("features.", "encoder.")].to(wanted.dtype)
        assert torch.equal(value, wanted), name
    assert all(param.requires_grad for param in model.parameters())


def test_the_report_can_be_read() -> None:
    match = from_pretrained(classifier(), autoencoder(), rename={"encoder.": "features."})
    assert str(match).splitlines() == [
        "loaded 7 of the model's 11 tensors",
        "missing in the source, left as they were: head.weight, head.bias",
        "of another shape, left as it was: features.3.weight is [2, 4] here, [3, 4] there",
        "of another shape, left as it was: features.3.bias is [2] here, [3] there",
        "not in the model: decoder.weight, decoder.bias",
    ]
    same = from_pretrained(nn.Linear(2, 3), nn.Linear(2, 3))
    assert str(same) == "loaded 2 of the model's 2 tensors"


def test_what_cannot_be_taken_over_is_refused() -> None:
    model = classifier()
    with pytest.raises(
        SettingError, match=r"nothing.*model has features.0.weight \[4, 6\].*rename"
    ):
        from_pretrained(model, autoencoder())
    with pytest.raises(SettingError, match=r"holds 'model': dict; .*perhaps source\['model'\]"):
        from_pretrained(model, {"model": {}})
    with pytest.raises(
        SettingError, match="the source is str; expected a module or its state_dict"
    ):
        from_pretrained(model, "weights.pt")
    with pytest.raises(SettingError, match=r"two tensors of the source become 'x.weight'"):
        from_pretrained(model, autoencoder(), rename={"encoder.0.": "x.", "decoder.": "x."})
