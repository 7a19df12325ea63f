"""ResNet, as `models/modern_cnn/resnet.py` has it: both layouts, of blocks as in torchvision.

After training one thing differs: PyTorch's running variances are of n - 1, ours of n.
"""

from torch import Tensor, nn
from torch.nn.functional import pad, relu

from dlvr_jax.benchmarks.peers.problem import Peer, Problem
from dlvr_jax.benchmarks.peers.training import classifier
from dlvr_jax.benchmarks.peers.weights import fill_network

REPEATS = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


class Block(nn.Module):
    """relu(residual + shortcut). What follows has the residuals."""

    def __init__(self, before: int, features: int, stride: int, kind: str) -> None:
        super().__init__()
        self.stride, self.kind, self.grown = stride, kind, features - before
        self.projects = kind == "projection" and (stride > 1 or before != features)
        if self.projects:
            self.shortcut = convolution(before, features, 1, stride)
            self.shortcut_norm = nn.BatchNorm2d(features)

    def forward(self, x: Tensor) -> Tensor:
        y = self.residual(x)
        return relu(y if self.kind == "none" else y + self.past(x), inplace=True)

    def past(self, x: Tensor) -> Tensor:
        """The shortcut."""
        if self.projects:
            return self.shortcut_norm(self.shortcut(x))
        return pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.grown)) if self.grown else x

    def residual(self, x: Tensor) -> Tensor:
        """What is added."""
        raise NotImplementedError


class BasicBlock(Block):
    """Two 3x3 convolutions."""

    def __init__(self, before: int, features: int, stride: int, kind: str) -> None:
        super().__init__(before, features, stride, kind)
        self.conv1, self.norm1 = convolution(before, features, 3, stride), nn.BatchNorm2d(features)
        self.conv2, self.norm2 = convolution(features, features, 3), nn.BatchNorm2d(features)

    def residual(self, x: Tensor) -> Tensor:
        return self.norm2(self.conv2(relu(self.norm1(self.conv1(x)), inplace=True)))


class Bottleneck(Block):
    """1x1, 3x3 and 1x1 convolution."""

    def __init__(self, before: int, features: int, stride: int, kind: str) -> None:
        super().__init__(before, features, stride, kind)
        inner = features // 4
        self.conv1, self.norm1 = convolution(before, inner, 1), nn.BatchNorm2d(inner)
        self.conv2, self.norm2 = convolution(inner, inner, 3, stride), nn.BatchNorm2d(inner)
        self.conv3, self.norm3 = convolution(inner, features, 1), nn.BatchNorm2d(features)

    def residual(self, x: Tensor) -> Tensor:
        x = relu(self.norm1(self.conv1(x)), inplace=True)
        x = relu(self.norm2(self.conv2(x)), inplace=True)
        return self.norm3(self.conv3(x))


class ResNet(nn.Sequential):
    """Stem, blocks, the mean over places, a layer; named as ours."""

    def __init__(self, problem: Problem, repeats: tuple[int, ...], deep: bool, small: bool, kind: str) -> None:
        super().__init__()
        width, before = problem.flat["model.width"], problem.flat["model.width"]
        self.stem = convolution(problem.data["image_shape"][-1], width, 3 if small else 7, 1 if small else 2)
        self.stem_norm = nn.BatchNorm2d(width)
        self.stem_relu = nn.ReLU(inplace=True)
        if not small:
            self.stem_pool = nn.MaxPool2d(3, 2, padding=1)
        for stage, count in enumerate(repeats):
            features = width * 2**stage * (4 if deep else 1)
            for place in range(count):
                block = (Bottleneck if deep else BasicBlock)(before, features, 2 if stage and not place else 1, kind)
                self.add_module(f"block{stage + 1}_{place + 1}", block)
                before = features
        self.mean, self.flat = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.output = nn.Linear(before, problem.data["num_classes"])


def convolution(before: int, features: int, size: int, stride: int = 1) -> nn.Conv2d:
    """Before a norm; pads size // 2."""
    return nn.Conv2d(before, features, size, stride, padding=size // 2, bias=False)


def peer(problem: Problem) -> Peer:
    """Both layouts, every depth, stem and shortcut."""
    depth, shortcut = problem.flat["model.depth"], problem.flat.get("model.shortcut", "projection")
    if problem.flat["model.name"].endswith("Cifar"):
        network = ResNet(problem, ((depth - 2) // 6,) * 3, deep=False, small=True, kind=shortcut)
    else:
        small = problem.flat["model.stem"] == "small"
        network = ResNet(problem, REPEATS[depth], deep=depth >= 50, small=small, kind=shortcut)
    fill_network(network, problem.weights)
    return classifier(problem, network)
