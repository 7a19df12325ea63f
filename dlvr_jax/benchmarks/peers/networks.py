"""Which peer stands for which of our models."""

from importlib import import_module

from dlvr_jax.benchmarks.peers.problem import Peer, Problem
from dlvr_jax.errors import UserError

# model.name -> module here
PEERS = {
    "cnn.lenet5.LeNet5": "lenet5",
    "modern_cnn.resnet.ResNet": "resnet",
    "modern_cnn.resnet.ResNetCifar": "resnet",
    "modern_rnn.lstm.LSTM": "recurrent",
    "modern_rnn.gru.GRU": "recurrent",
    "transformer.gpt.GPT": "gpt",
    "transformer.vit.ViT": "vit",
    "gan.dcgan.DCGAN": "dcgan",
    "diffusion.unet.UNet": "unet",
    "ebm.energy_net.EnergyNet": "energy_net",
}


def peer(problem: Problem) -> Peer:
    """The problem's peer.

    Raises:
        UserError: the model has none, or the config asks for what its peer does not do.
    """
    name = problem.flat["model.name"]
    if name not in PEERS:
        raise UserError(f"model.name = {name}: has no peer in PyTorch; there are {', '.join(PEERS)}")
    made: Peer = import_module(f"dlvr_jax.benchmarks.peers.{PEERS[name]}").peer(problem)
    return made
