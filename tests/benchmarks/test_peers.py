"""Every peer in PyTorch computes what our model does: by equal weights the same outputs, first losses and updates."""

import jax
import numpy as np
import pytest

from dlvr_jax.benchmarks.plain import plain_flags
from dlvr_jax.benchmarks.problem_folder import write_problem
from tests.configs import ratios, run_steps, state_of, tiny

pytestmark = pytest.mark.compare

# Config, and which output of `predict` the peer gives.
PEERS = {
    "configs/cnn/lenet5_fashion_mnist.py": "probabilities",
}
DRAWS = ("configs/diffusion", "configs/gan", "configs/ebm")  # noise inside the step: its losses cannot be equal


@pytest.mark.parametrize("path", PEERS)
def test_a_peer_computes_what_ours_does(path, tmp_path) -> None:
    torch = pytest.importorskip("torch")
    from dlvr_jax.benchmarks.peers.networks import peer
    from dlvr_jax.benchmarks.peers.problem import Problem

    known = tiny(path).flat
    flags = plain_flags(known) | {"optimizer.schedule": "constant", "optimizer.warmup_steps": "0"}
    experiment = tiny(path, **{key.replace(".", "__"): text for key, text in flags.items() if key in known})
    state, batch = state_of(experiment), jax.device_put(experiment.training_batches()[0])
    write_problem(tmp_path, experiment, state, batch)
    made = peer(Problem.read(tmp_path))

    assert sum(p.numel() for p in made.network.parameters()) == sum(p.size for p in jax.tree.leaves(state.params))
    ours = experiment.task.predict(state, batch)[PEERS[path]]
    theirs = made.infer(Problem.read(tmp_path).batch)[PEERS[path]]
    np.testing.assert_allclose(theirs.float(), ours, rtol=1e-4, atol=1e-5)  # rounding of float32 through some layers
    if path.startswith(DRAWS):
        assert torch.isfinite(made.step(Problem.read(tmp_path).batch))
        return
    batches = [experiment.training_batches()[step] for step in range(3)]
    _, sums = run_steps(experiment, state, 3)
    losses = [made.step({n: torch.from_numpy(np.asarray(a)) for n, a in one.items()}).item() for one in batches]
    # The first loss to rounding; updates multiply what rounding does, Adam most.
    np.testing.assert_allclose(losses[0], ratios(sums)["loss"][0], rtol=1e-5)
    np.testing.assert_allclose(losses, ratios(sums)["loss"], rtol=1e-2)
