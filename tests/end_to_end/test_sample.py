"""`train`, `evaluate`, `sample` and `predict`, one after the other, on the `tiny` of one config of each task.

Those of other models are slow; `test_sequence_to_sequence.py` and `test_language_model.py` in tests/tasks sample from
Transformer and GPT.
"""

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from dlvr_jax.errors import UserError
from dlvr_jax.schema import fields_of, names_in, resolve
from experiments.evaluate import evaluate
from experiments.predict import predict
from experiments.sample import _listed, _options, sample
from tests.configs import every_task, tiny
from tests.end_to_end.conftest import Launch


@every_task
def test_a_run_of_every_task_can_be_looked_at(
    path: str, run_of: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run, task = run_of(path), tiny(path).task
    assert (run / "report.html").stat().st_size < 2_000_000
    capsys.readouterr()
    assert evaluate([str(run)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "equal to the summary"
    for verb, program, has in (("sample", sample, task.sample), ("predict", predict, task.show)):
        if has is None:
            with pytest.raises(UserError, match="try "):
                program([str(run)])
        else:
            assert program([str(run)]) == 0
            assert (run / f"{verb}.html").stat().st_size > 2000


def test_a_wrong_option_is_told_with_those_that_there_are(tiny_run: Path, tmp_path: Path, call: Launch) -> None:
    done = call("predict", tiny_run, "--count", 1000)
    assert done.returncode == 1 and "the test split has 32 examples" in done.stderr
    done = call("predict", tiny_run, "--first", 30, "--out", tmp_path / "page.html")  # without a count: what is left
    assert done.returncode == 0 and "test 30 to 31" in (tmp_path / "page.html").read_text()
    done = call("predict", tiny_run, "--first", 32)
    assert done.returncode == 1 and "--first 32: the test split has 32 examples" in done.stderr
    done = call("sample", tiny_run, "--seed", -1)
    assert done.returncode == 1 and "--seed -1: must be between 0 and" in done.stderr
    done = call("predict", tiny_run, "--split", "tset")
    assert done.returncode == 1 and "--split tset: made_up has no such split" in done.stderr


def test_the_options_of_a_sampler_are_listed_with_their_defaults() -> None:
    sampler = tiny("configs/transformer/gpt_shakespeare_1m.py").task.sample
    assert sampler is not None
    assert "--top_k: a whole number, at least 1, or none (default: none)" in _listed(fields_of(sampler))

    def own(state: object, seed: int, *, count: int) -> None: ...

    assert "--count: a whole number (must be given)" in _listed(fields_of(own))


def test_options_of_sample_are_checked_against_its_signature() -> None:
    sampler = tiny("configs/transformer/gpt_shakespeare_1m.py").task.sample
    assert sampler is not None
    assert _options(sampler, ["--temperature=1", "--prompt=to be", "--top_k=none"]) == {
        "temperature": 1.0,
        "prompt": "to be",
        "top_k": None,
    }
    with pytest.raises(UserError) as caught:
        _options(sampler, ["--temprature=1", "--top_p=2", "loud"])
    for fault, part in zip(
        caught.value.faults, ('did you mean "temperature"', "between 0 and 1", "--NAME=VALUE"), strict=True
    ):
        assert part in fault


def test_no_task_can_be_asked_for_more_than_fits() -> None:
    checked_against_the_model = {"label", "top_k"}
    tasks = [resolve(name, "dlvr_jax.tasks", "task.name") for name in names_in("dlvr_jax.tasks")]
    samplers = [task.sample for task in tasks if inspect.isfunction(getattr(task, "sample", None))]
    assert len(samplers) >= 7
    for sampler in samplers:
        for name, field in fields_of(sampler).items():
            assert int not in field.types or name in checked_against_the_model or (field.range and field.range.high), (
                sampler.__qualname__,
                name,
            )
