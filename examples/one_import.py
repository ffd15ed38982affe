"""ravine.optim in place of torch.optim: one import is the whole migration."""

import torch.nn.functional as F

from ravine import optim  # was: from torch import optim
from ravine.recipes.digits import digits, mlp


def main() -> float:
    (inputs, targets), (validation, labels), _ = digits()
    model = mlp().model()
    optimizer = optim.Nesterov(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()  # taken at θ + αv
        optimizer.step()
    optimizer.eval()  # the weights θ themselves
    errors = (model(validation).argmax(1) != labels).float().mean().item()
    print(f"validation error rate {errors:.3f}")
    return errors


if __name__ == "__main__":
    main()
