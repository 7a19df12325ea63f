"""The operations of whole models by formula: their products exactly, and all of them a little above.

Unlike in papers, a convolution does not multiply what padding puts in.
"""

from collections.abc import Callable

import pytest

from dlvr_jax.benchmarks import cost, flops
from tests.configs import tiny

REST = 1.03  # all operations over the products: norms, activations, softmax, losses; at the sizes here 1.01 to 1.025


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], int]], int]:
    """What is counted where only matrix products and convolutions count."""

    def counted(count: Callable[[], int]) -> int:
        with monkeypatch.context() as only:
            only.setattr(flops, "_made", lambda equation: 0)
            only.setattr(flops, "_RULES", {n: flops._RULES[n] for n in ("dot_general", "conv_general_dilated")})
            return count()

    return counted


def conv(side: int, window: int, stride: int, inputs: int, outputs: int) -> int:
    """Of a picture padded to ceil(side / stride) places; what padding puts in is not multiplied."""
    places = -(-side // stride)
    before = max(0, (places - 1) * stride + window - side) // 2
    taps = sum(0 <= place * stride - before + tap < side for place in range(places) for tap in range(window))
    return 2 * taps**2 * inputs * outputs


def block(length: int, width: int) -> int:
    """A Transformer block: projections 8 width^2 and feed-forward layers 16 width^2 a token, scores and their use."""
    return length * (24 * width**2 + 4 * length * width)


def gpt(length: int, width: int, layers: int, vocabulary: int) -> int:
    """Forward a third of Chowdhery et al. 2022, https://arxiv.org/abs/2204.02311, appendix B, without its table."""
    return layers * block(length, width) + length * 2 * width * vocabulary


def vit(patches: int, pixels: int, width: int, layers: int, classes: int) -> int:
    return patches * 2 * pixels * width + layers * block(patches + 1, width) + 2 * width * classes


def recurrent(gates: int, length: int, inputs: int, units: int, layers: int, vocabulary: int) -> int:
    of_layers = sum(gates * units * ((units if layer else inputs) + units) for layer in range(layers))
    return length * 2 * (of_layers + units * vocabulary)


def resnet_cifar(side: int, channels: int, blocks: int, width: int, classes: int) -> int:
    """He et al. 2015, section 4.2; its shortcuts have no weights."""
    total, maps = conv(side, 3, 1, channels, width), width
    for stage in range(3):
        for place in range(blocks):
            stride = 2 if stage and not place else 1
            total += conv(side, 3, stride, maps, width * 2**stage)
            side, maps = -(-side // stride), width * 2**stage
            total += conv(side, 3, 1, maps, maps)
    return total + 2 * maps * classes


def energy_net(side: int, widths: tuple[int, ...]) -> int:
    total, maps = 0, 1
    for width in widths:
        total += conv(side, 4, 2, maps, width)
        side, maps = -(-side // 2), width
    return total + 2 * side**2 * maps


RECURRENT = {"model__features": "128", "model__embedding": "64", "model__layers": "2"}


@pytest.mark.parametrize(
    ("path", "flags", "formula"),
    [
        (
            "configs/transformer/gpt_shakespeare_1m.py",
            {"model__width": "128", "model__layers": "3", "model__num_heads": "4"},
            lambda model, length: gpt(length, 128, 3, model.vocab_size),
        ),
        (
            "configs/transformer/vit_fashion_mnist.py",
            {"model__width": "128", "model__layers": "3", "model__patch": "7", "model__hidden": "512"},
            lambda model, _: vit(16, 49, 128, 3, model.num_classes),
        ),
        (
            "configs/modern_rnn/lstm_shakespeare_1m.py",
            RECURRENT,
            lambda model, length: recurrent(4, length, 64, 128, 2, model.vocab_size),
        ),
        (
            "configs/modern_rnn/gru_shakespeare_1m.py",
            RECURRENT,
            lambda model, length: recurrent(3, length, 64, 128, 2, model.vocab_size),
        ),
        (
            "configs/modern_cnn/resnet20_fashion_mnist.py",
            {"model__depth": "20", "model__width": "16"},
            lambda model, _: resnet_cifar(28, 1, 3, 16, model.num_classes),
        ),
    ],
)
def test_an_example_costs_what_the_formula_says(path, flags, formula, products) -> None:
    experiment = tiny(path, **flags)
    expected = formula(experiment.model, cost.tokens(experiment.data.spec))
    assert products(lambda: cost.flops_per_example(experiment)) == expected
    assert expected < cost.flops_per_example(experiment) < REST * expected


def test_a_step_of_the_energy_costs_its_langevin_steps(products) -> None:
    """Each is a forward pass, but for the energy itself, and the slope by the image. Then come energies and gradients
    of real images and of samples.
    """
    widths, steps = (16, 32, 64), 40
    flags = {"model__widths": str(widths), "task__langevin_steps": str(steps)}
    experiment = tiny("configs/ebm/deep_ebm_fashion_mnist.py", **flags)
    forward, first, energy = energy_net(28, widths), conv(28, 4, 2, 1, widths[0]), 2 * 4**2 * widths[-1]
    expected = experiment.train.batch_size * (steps * (2 * forward - energy) + 2 * (3 * forward - first))
    assert products(lambda: cost.flops_per_step(experiment)) == expected
    assert expected < cost.flops_per_step(experiment) < REST * expected
