"""A game of two: a generator makes examples out of noise, a discriminator (or critic) tells them from real ones.

A step is `critic_steps` updates of the discriminator, each with a batch of its own, then one of the generator. What a
model of two players is: `layers/two_players.py`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key

from dlvr_jax.displays import Display, Images
from dlvr_jax.metrics.features import FeatureNet
from dlvr_jax.metrics.generative import sliced_wasserstein
from dlvr_jax.metrics.modes import mode_metrics
from dlvr_jax.schema import Between, Number
from dlvr_jax.tasks.from_loss import Optimizer, averaged, frozen_unless
from dlvr_jax.tasks.gan_losses import Kind, check_model, clipped, discriminator_losses, generator_losses, gradient_norms
from dlvr_jax.tasks.image_quality import DIRECTIONS, Training, image_quality, nearest_shown, quality_table
from dlvr_jax.tasks.players import Player, moved, only_of
from dlvr_jax.tasks.shown.generated import as_bytes, as_signed, scattered, side_by_side, slerp
from dlvr_jax.tasks.task import (
    Batch,
    Carry,
    Direction,
    Hyper,
    Keys,
    Outputs,
    Params,
    Purpose,
    State,
    Sums,
    Variables,
    as_evaluated,
    masked_sums,
    rates,
)

SHOWN = 64  # examples in a picture

Examples = Float[Array, "batch *shape"]
Lost = tuple[Array, tuple[Variables, Sums]]  # a mean loss, the variables after it, what to log


@dataclass(frozen=True)
class GAN:
    """Images or points like those of the data. `features`, for FID and its like: see metrics/feature_file.py.

    Each player's batch statistics change in its own updates only. `train.ema` averages the generator alone. Schedules
    count steps, not the critic's updates.
    """

    model: Any
    optimizer: Optimizer
    sample_shape: tuple[int, ...]
    kind: Kind = "non_saturating"
    critic_steps: Annotated[int, Between(1, 100)] = 1
    features: str | None = None
    trust_features: bool = False  # below a test accuracy of 0.92, on fewer than 5,000 examples
    training_images: Training | None = field(default=None, compare=False)  # no part of any program
    show: ClassVar[None] = None  # what a discriminator says of an example is a bare number

    def __post_init__(self) -> None:
        if self._net is not None:
            self._net.check(self.sample_shape)

    @property
    def micro(self) -> int:
        """See Task."""
        return self.critic_steps

    @property
    def batches_per_step(self) -> int:
        """See Task."""
        return self.critic_steps

    @property
    def directions(self) -> Mapping[str, Direction]:
        """See Task."""
        known: dict[str, Direction] = {"sliced_wasserstein": "lower"}
        if len(self.sample_shape) == 1:
            return known | {"modes_covered": "higher", "good_fraction": "higher"}
        return known if self.features is None else {**DIRECTIONS, **known}

    def init(self, seed: ArrayLike, hyper: Hyper, batch: Batch) -> State:
        """See Task."""
        seed = jnp.asarray(seed, jnp.uint32)
        hyper = jax.tree.map(lambda number: jnp.asarray(number, jnp.float32), dict(hyper))
        real = self._real(batch if self.micro == 1 else jax.tree.map(lambda leaf: leaf[0], batch))
        z = jnp.zeros((len(real), self.model.latent))
        variables = dict(self.model.init({"params": Keys(seed, 0).shared(Purpose.INIT)}, z, real, train=False))
        params = variables.pop("params")
        if self.kind == "wasserstein_gp":
            check_model(self.model, variables)
        opt_state = {name: self.optimizer(hyper).init(own) for name, own in params.items()}
        average = None if hyper["train.ema"] is None else (params, variables)
        zero = jnp.zeros((), jnp.int32)
        return State(params, variables, opt_state, average, None, hyper, seed, zero, zero)

    def train_step(self, state: State, batch: Batch) -> tuple[State, Sums]:
        """See Task. After the first non-finite update of a player the state stays as it was before the step."""
        after, sums, _ = self._played(state, batch)
        latest = (after.params, after.variables)
        average = averaged(state.average, latest, state.hyper["train.ema"], state.step)
        after = dataclasses.replace(after, average=only_of(("generator",), average, latest), step=state.step + 1)
        finite = jnp.isfinite(jnp.stack([top for top, _ in sums.values()])).all()
        return frozen_unless(finite, after, state), sums

    def losses(
        self,
        state: State,
        batch: Batch,
        keys: Keys,
        *,
        gradient_penalty: Annotated[Number, Between(0, None)] = 10.0,
        clip: Annotated[Number, Between(0, None)] = 0.01,
        discriminator_speed: Annotated[Number | None, Between(0, None)] = None,
    ) -> dict[str, Player]:
        """The players at this state and batch.

        `gradient_penalty` is the weight of (|df/dx| - 1)^2 in wasserstein_gp, `clip` the bound of the critic's
        parameters in wasserstein. `discriminator_speed` multiplies the discriminator's learning rate: Heusel et al.
        2017, https://arxiv.org/abs/1706.08500.
        """
        clips = self.kind == "wasserstein"
        return {
            "discriminator": Player(
                partial(self._discriminator_loss, state, batch, keys, gradient_penalty),
                discriminator_speed,
                *([partial(clipped, bound=clip)] if clips else []),
            ),
            "generator": Player(partial(self._generator_loss, state, batch, keys)),
        }

    def initial_carry(self, batch: Batch) -> Carry:
        """See Task."""
        return None

    def eval_step(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """See Task: an example made for each real one, of noise that depends on its index alone."""
        state = as_evaluated(state)
        made, _ = self._apply(state, state.params, "generate", self._noise(batch["index"]))
        scores = {
            name: self._apply(state, state.params, "discriminate", examples)[0]
            for name, examples in (("real_score", self._real(batch)), ("fake_score", made))
        }
        outputs = {"generated": as_bytes(made) if made.ndim == 4 else made}
        outputs |= {name: batch[name] for name in ("image", "point", "label") if name in batch}
        return masked_sums(batch, scores), outputs, carry

    def predict(self, state: State, batch: Batch) -> Outputs:
        """See Task: the discriminator's "score"."""
        state = as_evaluated(state)
        return {"score": self._apply(state, state.params, "discriminate", self._real(batch))[0]}

    def finish(self, state: State, sums: Any, outputs: Any) -> dict[str, float]:
        """See Task: mean scores, sliced Wasserstein distance (images in [0, 1]); of points modes; FID and its like."""
        metrics = {name: float(top / bottom) for name, (top, bottom) in sums.items()}
        metrics["score_gap"] = metrics["real_score"] - metrics["fake_score"]
        generated = outputs["generated"]
        if "point" in outputs:
            metrics["sliced_wasserstein"] = sliced_wasserstein(outputs["point"], generated)
            return metrics | (mode_metrics(outputs["point"], outputs["label"], generated) if "label" in outputs else {})
        flat = [images.reshape(len(images), -1) / 255 for images in (outputs["image"], generated)]
        metrics["sliced_wasserstein"] = sliced_wasserstein(*flat)
        return metrics | image_quality(outputs["image"], generated, self._net, self.training_images)

    def displays(
        self, state: State, sums: Any, outputs: Any, examples: Callable[[np.ndarray], Batch]
    ) -> dict[str, Display]:
        """See Task: real beside generated, and the figures with what they rest on."""
        generated = outputs["generated"]
        if "point" in outputs:
            pictures = scattered([outputs["point"], generated])
            return {"points": Images(pictures, ("real", "generated"), "Points")}
        shown: dict[str, Display] = {"real": Images(outputs["image"][:SHOWN], (), "Real")}
        if self._net is not None:
            figures = image_quality(outputs["image"], generated, self._net, self.training_images)
            shown["quality"] = quality_table(figures, self._net)
        return shown

    def sample(
        self,
        state: State,
        seed: int,
        *,
        count: Annotated[int, Between(1, 10_000)] = SHOWN,
        interpolations: Annotated[int, Between(0, 100)] = 6,
    ) -> dict[str, Display]:
        """See Task: `count` examples, and ways from one to another through the space of noise, a row each."""
        key = Keys(seed, 0).shared(Purpose.SAMPLING)
        z = np.asarray(jax.random.normal(key, (count + 2 * interpolations, self.model.latent)))
        made = np.asarray(_generate(self, state, z[:count]))
        if made.ndim == 2:
            return {"samples": Images(scattered([made]), (f"{count} points",), "Samples")}
        images = np.asarray(as_bytes(made))
        shown = {"samples": Images(images, (), "Samples"), **nearest_shown(images, self._net, self.training_images)}
        if interpolations:
            ways = slerp(z[count : count + interpolations], z[count + interpolations :], 9)
            rows = np.asarray(as_bytes(_generate(self, state, ways.reshape(-1, self.model.latent))))
            shown["interpolations"] = Images(side_by_side(rows, 9), (), "Interpolations")
        return shown

    def non_finite(self, state: State, batch: Batch) -> Any:
        """See Task."""
        return self._played(state, batch)[2]

    @property
    def _net(self) -> FeatureNet | None:
        return None if self.features is None else FeatureNet(self.features, self.trust_features)

    def _played(self, state: State, batch: Batch) -> tuple[State, Sums, Any]:
        """All updates of a step; sums over them; for each player which leaves of its gradient were not finite."""

        def critic(state: State, item: tuple[Batch, ArrayLike]) -> tuple[State, tuple[Sums, Any]]:
            batch, micro = item
            players = self.losses(state, batch, Keys(state.seed, state.step, micro), **rates(state.hyper, "task"))
            return moved(state, "discriminator", players["discriminator"], self.optimizer)

        if self.critic_steps == 1:
            state, (sums, flags) = critic(state, (batch, 0))
        else:
            state, parts = jax.lax.scan(critic, state, (batch, jnp.arange(self.critic_steps)))
            sums = jax.tree.map(lambda leaf: leaf.sum(0), parts[0])
            flags = jax.tree.map(lambda leaf: leaf.any(0), parts[1])
            batch = jax.tree.map(lambda leaf: leaf[-1], batch)
        keys = Keys(state.seed, state.step, self.critic_steps)  # noise of its own
        players = self.losses(state, batch, keys, **rates(state.hyper, "task"))
        state, (own_sums, own_flags) = moved(state, "generator", players["generator"], self.optimizer)
        rate = sums.pop("discriminator_learning_rate"), own_sums.pop("generator_learning_rate")
        sums |= {"discriminator_learning_rate": rate[0], "learning_rate": rate[1]}
        return state, sums | own_sums, {"discriminator": flags, "generator": own_flags}

    def _discriminator_loss(self, state: State, batch: Batch, keys: Keys, penalty: Number, own: Params) -> Lost:
        params, real = {**state.params, "discriminator": own}, self._real(batch)
        z = jax.random.normal(keys.own(Purpose.NOISE), (len(real), self.model.latent))
        dropout = jax.random.split(keys.own(Purpose.DROPOUT), 4)
        made, _ = self._apply(state, params, "generate", z, dropout[0])
        score = partial(self._apply, params=params, method="discriminate")
        real_scores, variables = score(state, inputs=real, dropout=dropout[1])
        state = dataclasses.replace(state, variables=variables)
        fake_scores, variables = score(state, inputs=made, dropout=dropout[2])
        losses = discriminator_losses(self.kind, real_scores, fake_scores)
        shown = {"real_score": real_scores, "fake_score": fake_scores}
        if self.kind == "wasserstein_gp":
            share = jax.random.uniform(keys.own(Purpose.SAMPLING), (len(real),))
            norms = gradient_norms(lambda x: score(state, inputs=x, dropout=dropout[3])[0], real, made, share)
            losses += penalty * (norms - 1) ** 2
            shown["critic_gradient_norm"] = norms
        sums = masked_sums(batch, {"discriminator_loss": losses, **shown})
        top, bottom = sums["discriminator_loss"]
        return top / bottom, (variables, sums)

    def _generator_loss(self, state: State, batch: Batch, keys: Keys, own: Params) -> Lost:
        params = {**state.params, "generator": own}
        z = jax.random.normal(keys.own(Purpose.NOISE), (len(batch["mask"]), self.model.latent))
        dropout = jax.random.split(keys.own(Purpose.DROPOUT))
        made, variables = self._apply(state, params, "generate", z, dropout[0])
        scores, _ = self._apply(state, params, "discriminate", made, dropout[1])
        sums = masked_sums(batch, {"generator_loss": generator_losses(self.kind, scores)})
        top, bottom = sums["generator_loss"]
        return top / bottom, (variables, sums)

    def _apply(
        self, state: State, params: Params, method: str, inputs: Examples, dropout: Key[Array, ""] | None = None
    ) -> tuple[Array, Variables]:
        """What one method of the model gives, and all variables after it; it trains where there is a dropout key."""
        output, after = self.model.apply(
            {"params": params, **state.variables},
            inputs,
            method=method,
            train=dropout is not None,
            mutable=list(state.variables),
            rngs=None if dropout is None else {"dropout": dropout},
            **rates(state.hyper, "model"),
        )
        return output, dict(after)

    def _real(self, batch: Batch) -> Examples:
        """Real examples in the range of the generator's: images in [-1, 1], points as they are."""
        return as_signed(batch["image"]) if "image" in batch else batch["point"]

    def _noise(self, index: Int[Array, " batch"]) -> Float[Array, "batch latent"]:
        """Noise of an evaluation: of each example its own, always the same."""
        key = Keys(0, 0).shared(Purpose.NOISE)
        return jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, i), (self.model.latent,)))(index)


@partial(jax.jit, static_argnums=0)
def _generate(task: GAN, state: State, z: Float[Array, "batch latent"]) -> Examples:
    state = as_evaluated(state)
    made: Array = task._apply(state, state.params, "generate", z)[0]
    return made
