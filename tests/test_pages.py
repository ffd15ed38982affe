"""The page of a training lands in its folder, with the weights; bad folders are refused before."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F

import ravine
from ravine.errors import FolderError
from tests.problems import digits_recipe, mlp


def own(page: str) -> str:
    """A page's text without the drawing library."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.S)


def test_a_trainings_folder_has_its_page_and_its_weights(tmp_path):
    out = tmp_path / "new" / "run"
    trained = ravine.train(digits_recipe(mlp), "adam", 0.003, steps=270, out=out)
    assert sorted(path.name for path in out.iterdir()) == ["model.pt", "run.html"]
    page = own((out / "run.html").read_text(encoding="utf-8"))
    assert "Nothing wrong found" in page
    assert all(f'id="{name}"' in page for name in ("found", "loss", "curvature", "layers", "view"))
    again = mlp()
    again.load_state_dict(torch.load(out / "model.pt", weights_only=True))
    x = torch.randn(5, 64)
    assert torch.equal(again(x), trained.model(x))


def test_a_folder_that_holds_something_is_refused_before_training(tmp_path, monkeypatch):
    (tmp_path / "mine.txt").write_text("keep me")
    monkeypatch.setattr(
        ravine.api.training, "train_watched", lambda *_, **__: pytest.fail("trained")
    )
    with pytest.raises(FolderError, match=r"holds 'mine.txt'; expected a new or empty folder"):
        ravine.train(digits_recipe(mlp), "adam", out=tmp_path)
    with pytest.raises(FolderError, match=r"cannot use the folder"):
        ravine.train(digits_recipe(mlp), "adam", out=tmp_path / "mine.txt" / "run")
    assert (tmp_path / "mine.txt").read_text() == "keep me"


def test_the_page_of_a_loop_of_ones_own(tmp_path):
    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e4)
    torch.manual_seed(0)
    x, y = torch.randn(64, 4), torch.randint(3, (64,))
    with ravine.watch(model, optimizer) as watch:
        for _ in range(40):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert watch.findings
    path = ravine.write_page(watch, tmp_path / "loop.html", title="a <linear> model")
    page = own(path.read_text(encoding="utf-8"))
    assert "a &lt;linear&gt; model" in page
    assert "<linear>" not in page
    for finding in watch.findings:
        assert finding.title.lower() in page.lower()


def test_a_page_that_cannot_be_written_names_its_folder(tmp_path):
    model = torch.nn.Linear(4, 3)
    watch = ravine.watch(model, torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(FolderError) as error:
        ravine.write_page(watch, tmp_path / "nowhere" / "loop.html")
    said = f"cannot write to {tmp_path / 'nowhere'}: No such file or directory; choose another path"
    assert str(error.value) == said
    (tmp_path / "loop.html").mkdir()
    with pytest.raises(FolderError, match=f"cannot write to {tmp_path}: Is a directory; choose"):
        ravine.write_page(watch, tmp_path / "loop.html")
    assert [path.name for path in tmp_path.iterdir()] == ["loop.html"]
