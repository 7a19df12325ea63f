"""A generator and a discriminator, or a critic, as one model: what a GAN is here."""

import flax.linen as nn
from jaxtyping import Array, Float


class TwoPlayers(nn.Module):
    """Makes examples out of noise, and scores examples.

    A GAN has the field `latent`, the numbers of noise an example, and makes `generator` and `discriminator` in `setup`;
    parameters and variables of the two lie under these names. All methods take `train` and the same rates, if any.
    """

    def __call__(
        self, z: Float[Array, "batch latent"], examples: Float[Array, "batch *shape"], *, train: bool
    ) -> tuple[Float[Array, "batch *shape"], Float[Array, " batch"]]:
        """Examples made of `z`, and the scores of given ones: all parameters at once."""
        return self.generate(z, train=train), self.discriminate(examples, train=train)

    def generate(self, z: Float[Array, "batch latent"], *, train: bool) -> Float[Array, "batch *shape"]:
        """One example of each row; images in [-1, 1]."""
        examples: Array = self.generator(z, train=train)
        return examples

    def discriminate(self, examples: Float[Array, "batch *shape"], *, train: bool) -> Float[Array, " batch"]:
        """The logit that an example is real, or a critic's score: the higher, the more like real ones."""
        scores: Array = self.discriminator(examples, train=train)
        return scores
