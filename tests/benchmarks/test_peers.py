"""Every peer in PyTorch computes what our model does: by equal weights the same outputs, first losses and updates."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.benchmarks.plain import plain_flags
from dlvr_jax.benchmarks.problem_folder import write_problem
from dlvr_jax.errors import UserError
from dlvr_jax.tasks.shown.generated import as_signed
from tests.configs import ratios, run_steps, state_of, tiny

pytestmark = pytest.mark.compare

# Config, and which output of `predict` the peer gives.
PEERS = {
    "configs/cnn/lenet5_fashion_mnist.py": "probabilities",
    "configs/modern_cnn/resnet20_fashion_mnist.py": "probabilities",
    "configs/modern_cnn/resnet18_fashion_mnist.py": "probabilities",
    "configs/transformer/gpt_shakespeare_1m.py": "loss",
    "configs/transformer/vit_fashion_mnist.py": "probabilities",
}
PEERS |= {
    "configs/modern_rnn/lstm_shakespeare_1m.py": "loss",
    "configs/modern_rnn/gru_shakespeare_1m.py": "loss",
    "configs/gan/dcgan_fashion_mnist.py": "score",
    "configs/diffusion/ddpm_fashion_mnist.py": "eps",
    "configs/ebm/deep_ebm_fashion_mnist.py": "energy",
}
DRAWS = ("configs/diffusion", "configs/gan", "configs/ebm")  # noise inside the step: its losses cannot be equal


def shaken(state):
    """The state with noise on all weights and statistics: many are 0 or 1 at the start, and so alike."""
    random = np.random.default_rng(0)
    known, form = jax.tree.flatten((state.params, state.variables))
    noisy = [leaf + random.uniform(-0.1, 0.1, leaf.shape).astype(leaf.dtype) for leaf in known]
    params, variables = jax.tree.unflatten(form, noisy)
    return dataclasses.replace(state, params=params, variables=variables)


def eps_of(experiment, state, batch):
    """What a network says of the images as they are, at the times 1, 2, ... in turn: in `predict` there is noise."""
    objective = experiment.task.objective
    times = 1 + jnp.arange(len(batch["image"])) % objective.timesteps
    return {"eps": objective.network.said(state, as_signed(batch["image"]), times, batch["label"])}


def made_for(path, folder, **flags):
    """An experiment without what no peer has, a state, a batch, and the peer that is made of them."""
    pytest.importorskip("torch")
    from dlvr_jax.benchmarks.peers.networks import peer
    from dlvr_jax.benchmarks.peers.problem import Problem

    known = tiny(path).flat
    flags = plain_flags(known) | {"optimizer.schedule": "constant", "optimizer.warmup_steps": "0"} | flags
    experiment = tiny(path, **{key.replace(".", "__"): text for key, text in flags.items() if key in known})
    state, batch = shaken(state_of(experiment)), jax.device_put(experiment.training_batches()[0])
    write_problem(folder, experiment, state, batch)
    problem = Problem.read(folder)
    return experiment, state, batch, problem, peer(problem)


@pytest.mark.parametrize("path", PEERS)
def test_a_peer_computes_what_ours_does(path, tmp_path) -> None:
    compare(path, tmp_path)


def test_so_does_resnet_50(tmp_path) -> None:
    path = "configs/modern_cnn/resnet18_fashion_mnist.py"
    compare(path, tmp_path, **{"model.depth": "50", "model.stem": "imagenet", "model.width": "8"})


@pytest.mark.parametrize("shortcut", ["projection", "none"])
def test_so_does_each_shortcut(shortcut, tmp_path) -> None:
    compare("configs/modern_cnn/resnet20_fashion_mnist.py", tmp_path, **{"model.shortcut": shortcut})


def test_what_a_peer_does_not_know_is_an_error(tmp_path) -> None:
    with pytest.raises(UserError, match="model.positions = rotary"):
        made_for("configs/transformer/gpt_shakespeare_1m.py", tmp_path, **{"model.positions": "rotary"})


def compare(path, folder, **flags):
    """Numbers of parameters, outputs, and the losses of three steps."""
    torch = pytest.importorskip("torch")
    experiment, state, batch, problem, made = made_for(path, folder, **flags)
    numbers = sum(p.numel() for p in made.network.parameters()) - made.fixed
    assert numbers == sum(p.size for p in jax.tree.leaves(state.params))
    ours = eps_of(experiment, state, batch) if PEERS[path] == "eps" else experiment.task.predict(state, batch)
    theirs = made.infer(problem.batch)[PEERS[path]]
    np.testing.assert_allclose(
        theirs.float(), ours[PEERS[path]], rtol=1e-4, atol=1e-5
    )  # rounding of float32 through some layers
    if path.startswith(DRAWS):
        assert torch.isfinite(made.step(problem.batch))
        return
    batches = [experiment.training_batches()[step] for step in range(3)]
    _, sums = run_steps(experiment, state, 3)
    losses = [made.step({n: torch.from_numpy(np.asarray(a)) for n, a in one.items()}).item() for one in batches]
    # The first loss to rounding; updates multiply what rounding does, Adam most.
    np.testing.assert_allclose(losses[0], ratios(sums)["loss"][0], rtol=1e-5)
    np.testing.assert_allclose(losses, ratios(sums)["loss"], rtol=1e-2)


@pytest.mark.parametrize("train", [False, True])
def test_a_generator_makes_what_ours_does(train, tmp_path) -> None:
    torch = pytest.importorskip("torch")
    experiment, state, _, _, made = made_for("configs/gan/dcgan_fashion_mnist.py", tmp_path)
    z = np.random.default_rng(0).normal(size=(16, 100)).astype(np.float32)
    variables, generate = {"params": state.params, **state.variables}, partial(experiment.task.model.apply, train=train)
    ours, _ = generate(variables, jnp.asarray(z), method="generate", mutable=["batch_stats"])
    with torch.no_grad():
        theirs = made.network["generator"].train(train)(torch.from_numpy(z)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)
