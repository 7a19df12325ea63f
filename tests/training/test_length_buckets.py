"""Training in length buckets: losses as at full width, resumed to the bit, members of a population as runs alone."""

from pathlib import Path

import numpy as np
import pytest

from dlvr_jax import check, config
from dlvr_jax.build import Experiment
from dlvr_jax.errors import UserError
from dlvr_jax.launch import Start, launch
from dlvr_jax.run import Run
from dlvr_jax.training.compiled import initial_state, train_program
from dlvr_jax.training.population import member, stacked
from dlvr_jax.training.strategy import Form
from tests.configs import plain, state_of, tiny
from tests.resuming import cut_back, outcome
from tests.training.test_population import same

TAGGER = "configs/modern_rnn/bilstm_brown_names.py"
TRANSFORMER = "configs/transformer/transformer_reversal.py"
PATHS = (
    TAGGER,
    pytest.param("configs/modern_rnn/bilstm_reviews.py", marks=pytest.mark.slow),
    "configs/attention/seq2seq_bahdanau_reversal.py",
    pytest.param(TRANSFORMER, marks=pytest.mark.slow),
)
FOUR = {"train__length_buckets": "4", "model__dropout": "none"}
MEMBERS = {"population__size": "2", "population__strategy": "vmap", "mesh__data": "2"}


def train(folder: Path, **flags: str) -> Run:
    source = config.find(f"{TAGGER}:tiny")
    given = {key.replace("__", "."): text for key, text in flags.items()}
    assert launch(Start(source, check.complete(config.load(source), given), folder, None)) == 0
    return Run(folder)


def narrowest(experiment: Experiment) -> int:
    """The first step of the bucket of the shortest examples."""
    widths = experiment.training_batches().widths
    return min(range(8), key=lambda step: (widths(step), step))


@pytest.mark.parametrize("path", PATHS)
def test_a_step_is_that_of_the_same_examples_at_full_width(path: str) -> None:
    experiment = plain(path, **FOUR)
    batches, step = experiment.training_batches(), narrowest(experiment)
    cut, whole = batches.widths(step), experiment.data.spec.features
    assert all(width < whole[name].shape[-1] for name, width in cut)
    found = []
    for widths in (cut, ()):
        arguments = state_of(experiment), batches.resident, batches.payload(step)
        found.append(train_program(experiment.task, 1, *arguments, widths)(*arguments))
    (narrow, sums), (wide, expected) = found
    for name in set(sums) & {"loss", "accuracy", "token_accuracy"}:
        np.testing.assert_allclose(sums[name], expected[name], rtol=2e-6, err_msg=name)  # f32 rounding of a sum
    same(narrow.params, wide.params)


@pytest.mark.parametrize("members", [{}, pytest.param(MEMBERS, marks=pytest.mark.slow)], ids=["alone", "population"])
def test_a_resumed_run_equals_one_that_was_never_stopped(members: dict[str, str], tmp_path: Path) -> None:
    flags = {"train__length_buckets": "2", "train__keep": "9", "data__backing": "stream", "train__accumulate": "2"}
    flags |= members
    run = train(tmp_path / "run", **flags)
    before = outcome(run)
    cut_back(run, 8)
    assert outcome(train(tmp_path / "run", **flags)) == before


def test_members_agree_with_runs_alone() -> None:
    """Alone, a member's seed gives it the same examples in the same sequence of buckets."""
    experiment = plain(TAGGER, **FOUR, population__size="3")
    batches, three = experiment.training_batches(), experiment.population_of(Form("vmap"))
    state = initial_state(
        three, np.array(experiment.seeds, np.uint32), stacked(experiment.hypers), experiment.example_batch
    )
    step = narrowest(experiment)
    arguments = state, batches.resident, batches.payload(step)
    alone = [plain(TAGGER, **FOUR, seed=str(seed)) for seed in experiment.seeds]
    before = [state_of(one, seed) for one, seed in zip(alone, experiment.seeds, strict=True)]
    after, sums = train_program(three, 1, *arguments, batches.widths(step))(*arguments)
    for k, one in enumerate(alone):
        own = one.training_batches()
        assert own.widths(step) == batches.widths(step)
        arguments = before[k], own.resident, own.payload(step)
        solo, expected = train_program(one.task, 1, *arguments, own.widths(step))(*arguments)
        np.testing.assert_allclose(sums["loss"][0][k], expected["loss"][0], rtol=2e-6)
        same(member(after, k).params, solo.params)


def test_a_loss_that_is_not_finite_is_looked_for_in_its_bucket(tmp_path: Path) -> None:
    flags = {"optimizer__name": "sgd", "optimizer__learning_rate": "1e38", "optimizer__schedule": "constant"}
    with pytest.raises(UserError, match=r"step \d+ is not finite"):
        train(tmp_path / "run", train__length_buckets="2", optimizer__clip_norm="none", **flags)


@pytest.mark.parametrize(
    ("path", "flags", "said"),
    [
        (TAGGER, {"data__order": "streams"}, "data.order = streams says which examples go together"),
        (TAGGER, {"train__steps_per_call": "2"}, "use train.steps_per_call = 1"),
        (TAGGER, {"train__length_buckets": "5"}, "train.length_buckets = 5 must be between 1 and 4"),
        ("configs/cnn/lenet5_digits.py", {}, "the examples of data.name = made_up do not differ in length"),
        ("configs/transformer/gpt_shakespeare_1m.py", {}, "do not differ in length; leave it none"),
    ],
)
def test_what_has_no_buckets_is_refused_in_one_line(path: str, flags: dict[str, str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        tiny(path, **{"train__length_buckets": "4", **flags})
    (fault,) = caught.value.faults
    assert said in fault and "\n" not in fault
