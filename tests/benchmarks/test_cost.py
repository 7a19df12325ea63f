"""What a config costs: known sizes, and what each form adds."""

import jax
import pytest

from dlvr_jax.benchmarks import cost
from dlvr_jax.data.sources import Feature, Spec
from tests.configs import state_of, tiny

PATH = "configs/cnn/lenet5_digits.py"
IMAGE, LABEL, INDEX, MASK = 32 * 32, 4, 4, 1  # bytes


def state_bytes(experiment) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(state_of(experiment)))


def test_parameters_are_those_of_the_paper() -> None:
    assert cost.parameters(tiny(PATH)) == 61_706


def test_a_step_costs_three_forward_passes_less_the_gradient_of_the_images() -> None:
    experiment = tiny(PATH)
    size, products = (
        experiment.train.batch_size,
        2 * (28 * 28 * 6 * 25 + 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 840),
    )
    expected = size * (3 * products - 2 * 28 * 28 * 6 * 25)
    assert (
        expected < cost.flops_per_step(experiment) < 1.08 * expected
    )  # the rest: elementwise operations, augmentation
    assert products < cost.flops_per_example(experiment) < 1.05 * products


def test_what_no_result_needs_costs_nothing() -> None:
    def one_of_two(a, b):
        return a @ b, (b @ a)[:1]

    square = jax.ShapeDtypeStruct((4, 4), "float32")
    assert cost._flops(lambda a, b: one_of_two(a, b)[0], square, square) == 2 * 4**3
    assert cost._flops(one_of_two, square, square) == 4 * 4**3


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("micro", [1, 2])
def test_arguments_are_the_state_the_data_and_the_batches_of_a_call(calls: int, micro: int) -> None:
    experiment = tiny(PATH, train__steps_per_call=str(calls), train__accumulate=str(micro))
    memory = cost.memory_per_device(experiment)
    sizes = experiment.data.spec.splits["train"], calls * experiment.train.batch_size
    expected = state_bytes(experiment) + sizes[0] * (IMAGE + LABEL) + sizes[1] * (INDEX + MASK)
    assert memory is not None
    assert expected - 200 <= memory.arguments <= expected  # what the program does not look at is not passed in
    assert memory.shared == pytest.approx(state_bytes(experiment), rel=1e-3)
    assert memory.total == memory.arguments + memory.outputs - memory.shared + memory.temporaries


def test_streamed_data_is_no_argument_and_devices_share_the_batch() -> None:
    experiment = tiny(PATH, data__backing="stream", mesh__data="4")
    memory = cost.memory_per_device(experiment)
    expected = state_bytes(experiment) + experiment.train.batch_size // 4 * (IMAGE + LABEL + INDEX + MASK)
    assert memory is not None and expected - 200 <= memory.arguments <= expected


def test_devices_share_the_rows_of_a_carry() -> None:
    one, four = (tiny("configs/modern_rnn/lstm_shakespeare_1m.py", mesh__data=devices) for devices in ("1", "4"))
    carry = sum(leaf.nbytes for leaf in jax.tree.leaves(state_of(one).carry))
    batch = sum(leaf.nbytes for leaf in jax.tree.leaves(one.example_batch))
    alone, shared = cost.memory_per_device(one), cost.memory_per_device(four)
    assert alone is not None and shared is not None
    less = alone.arguments - shared.arguments
    assert 3 * carry // 4 <= less <= 3 * (carry + batch) // 4


@pytest.mark.parametrize(
    ("features", "read"),
    [
        ({"tokens": (9,), "length": ()}, 8),  # a window of a text
        ({"tokens": (8,), "length": (), "label": ()}, 8),
        ({"tokens": (8,), "length": (), "tags": (8,)}, 8),
        ({"source": (8,), "target": (6,), "source_length": (), "target_length": ()}, 8 + 5),
        ({"image": (28, 28, 1), "label": ()}, None),
    ],
)
def test_tokens_are_those_that_a_model_reads(features: dict[str, tuple[int, ...]], read: int | None) -> None:
    spec = Spec("made up", {name: Feature(shape, "int32") for name, shape in features.items()}, {})
    assert cost.tokens(spec) == read
