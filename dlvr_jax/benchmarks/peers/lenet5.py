"""LeNet-5, as `models/cnn/lenet5.py` has it."""

from torch import Tensor, nn

from dlvr_jax.benchmarks.peers.problem import Peer, Problem
from dlvr_jax.benchmarks.peers.training import classifier
from dlvr_jax.benchmarks.peers.weights import fill_convolution, fill_linear


class ScaledTanh(nn.Module):
    """The paper's squashing function."""

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * (x * (2 / 3)).tanh()


def peer(problem: Problem) -> Peer:
    """Both layouts."""
    flat, (side, _, channels) = problem.flat, problem.data["image_shape"]
    c1, c3, c5, f6 = flat["model.widths"]
    classic, border = flat["model.layout"] == "1998", max(0, 32 - side) // 2
    pooling = flat["model.pooling"] or ("average" if classic else "max")
    squash, pool = ScaledTanh if classic else nn.ReLU, {"average": nn.AvgPool2d, "max": nn.MaxPool2d}[pooling]
    first, second = nn.Conv2d(channels, c1, 5, padding=border), nn.Conv2d(c1, c3, 5)
    rest = ((side + 2 * border - 4) // 2 - 4) // 2
    hidden, last = nn.Linear(rest * rest * c3, c5), nn.Linear(c5, f6)
    output = nn.Linear(f6, problem.data["num_classes"])
    fill_convolution(first, problem.weights, "params/c1")
    fill_convolution(second, problem.weights, "params/c3")
    fill_linear(hidden, problem.weights, "params/c5", (rest, rest, c3))
    fill_linear(last, problem.weights, "params/f6")
    fill_linear(output, problem.weights, "params/output")
    convolutions = (first, squash(), pool(2), second, squash(), pool(2))
    return classifier(problem, nn.Sequential(*convolutions, nn.Flatten(), hidden, squash(), last, squash(), output))
