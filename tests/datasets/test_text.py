"""Running text: nothing lost, nothing seen twice."""

from __future__ import annotations

from pydoc_data.topics import topics as by_name

import torch

from ravine import datasets
from ravine.datasets.text import encoded


def test_sequences_are_the_text_in_its_order_and_targets_what_follows():
    codes, known = encoded()
    parts = datasets.topics(32)
    inputs = torch.cat([x for x, _ in (parts.train, parts.validation, parts.test)]).flatten()
    targets = torch.cat([y for _, y in (parts.train, parts.validation, parts.test)]).flatten()
    assert torch.equal(inputs, codes[: len(inputs)])
    assert torch.equal(targets, codes[1 : len(inputs) + 1])
    assert len(codes) - len(inputs) <= 32
    text = "\n".join(by_name[name] for name in sorted(by_name))
    spelled = "".join(known[code] if code < len(known) else "?" for code in codes[:5000])
    assert spelled == "".join(c if c in known else "?" for c in text[:5000])
    rare = sum(c not in known for c in text)
    assert int((codes == len(known)).sum()) == rare < 0.01 * len(text)
