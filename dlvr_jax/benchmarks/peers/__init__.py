"""The same networks in PyTorch, to measure ours against: by `torch.nn` and `transformers`, as documented there.

Nothing here imports JAX: a peer runs in a process of its own, maybe of another Python (`python -m
dlvr_jax.benchmarks.peers FOLDER`), on a problem that our side wrote into a folder (see `problem.py`).
"""
