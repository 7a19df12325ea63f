"""`./launch.sh export RUN [--out FILE]`: writes a finished classifier as the network of FID and its like."""

from collections.abc import Sequence
from pathlib import Path

import jax

from dlvr_jax.build import Experiment
from dlvr_jax.errors import UserError
from dlvr_jax.metrics.feature_file import About, arguments_of, write
from dlvr_jax.metrics.features import ACCURACY, FeatureNet, captured
from dlvr_jax.recorded import experiment_of, restored
from dlvr_jax.run import Run
from dlvr_jax.tasks.task import State, evaluated
from dlvr_jax.training.evaluation import Split
from dlvr_jax.training.evaluation import evaluate as evaluate_split
from dlvr_jax.training.training import chosen_state
from experiments.command import arguments, main


def export(argv: Sequence[str]) -> None:
    """Tests the run's classifier once more, and writes it with what it reached: see `dlvr_jax.metrics.features`."""
    parser = arguments("export", "Write the classifier of a run as a network of features for images like its own.")
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a run of a classifier of images")
    parser.add_argument("--out", metavar="FILE", type=Path, help="where to (default: RUN/model.safetensors)")
    known = parser.parse_args(argv)
    if known.out is not None and known.out.suffix != ".safetensors":
        raise UserError(f"--out {known.out}: must end in .safetensors")
    run = Run(known.run)
    experiment = experiment_of(run)
    state = chosen_state(restored(run, experiment))
    _check(experiment, state)
    about = _about(experiment, state, run.record["fingerprint"])
    out = known.out or run.path / "model.safetensors"
    params, variables = jax.device_get(evaluated(state))
    write(out, about, {"params": params, **variables})
    print(f"{out}  {about.model}, test accuracy {about.test_accuracy:.4f} on {about.test_examples} examples")
    net = FeatureNet(str(out))
    print(f"sha256 {net.digest}")
    if net.weak:
        print(f"below {ACCURACY}: it is used only where task.trust_features is set")


def _check(experiment: Experiment, state: State) -> None:
    """Raises UserError where the run is no classifier of images, or its model shows no features."""
    spec = experiment.data.spec
    if "image" not in spec.features or not spec.class_names or "accuracy" not in experiment.task.directions:
        raise UserError(f"task.name = {experiment.flat['task.name']}: is no classification of images")
    params, variables = evaluated(state)
    images = jax.ShapeDtypeStruct((1, *spec.features["image"].shape), "float32")
    jax.eval_shape(lambda x: captured(experiment.model, {"params": params, **variables}, x), images)


def _about(experiment: Experiment, state: State, config: str) -> About:
    spec = experiment.data.spec
    split = Split.place(experiment.evaluation_batches("test"), experiment.placement)
    metrics = experiment.task.finish(state, *evaluate_split(experiment.task, state, split))
    return About(
        model=experiment.flat["model.name"],
        arguments=arguments_of(experiment.model),
        image_shape=spec.features["image"].shape,
        class_names=spec.class_names,
        mean=spec.mean,
        std=spec.std,
        data=experiment.flat["data.name"],
        data_fingerprint=experiment.data.fingerprint(),
        test_accuracy=metrics["accuracy"],
        test_examples=spec.splits["test"],
        config=config,
    )


if __name__ == "__main__":
    main(export)
