"""ViT: the published count, the library transformers' numbers, patches, dropout, bfloat16."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.models.transformer.vit import ViT

SMALL = ViT(5, patch=4, width=16, layers=2, num_heads=4)
ROUNDING = dict(rtol=1e-5, atol=1e-5)  # float32, two blocks deep, logits of order 1


def images_of(batch: int = 2, height: int = 8, width: int = 12, channels: int = 3) -> jax.Array:
    return jax.random.normal(jax.random.key(1), (batch, height, width, channels))


def logits_of(params, images: jax.Array, model: ViT = SMALL) -> jax.Array:
    return jax.jit(lambda: model.apply(params, images, train=False))()


def params_of(model: ViT, images: jax.Array):
    """Parameters none of which are zero or one."""
    params = jax.jit(lambda: model.init(jax.random.key(0), images, train=False))()
    keys = iter(jax.random.split(jax.random.key(1), 100))
    return jax.tree.map(lambda leaf: leaf + 0.1 * jax.random.normal(next(keys), leaf.shape), params)


@pytest.mark.parametrize(
    ("width", "layers", "heads", "patch", "count"),
    [(768, 12, 12, 16, 86_567_656), (768, 12, 12, 32, 88_224_232), (1024, 24, 16, 16, 304_326_632)],
)
def test_it_has_the_published_number_of_parameters(width: int, layers: int, heads: int, patch: int, count: int) -> None:
    model = ViT(1000, patch, width, layers, heads)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images_of(1, 224, 224), train=False))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count


def test_no_image_sees_another_and_places_matter() -> None:
    images = images_of()
    params = params_of(SMALL, images)
    logits = logits_of(params, images)
    np.testing.assert_allclose(logits_of(params, images[:1]), logits[:1], **ROUNDING)
    turned = logits_of(params, images[:, ::-1, ::-1])
    assert not np.allclose(turned, logits, atol=1e-2)


def test_images_that_do_not_split_are_an_error() -> None:
    with pytest.raises(ValueError, match="images of 10 x 12 pixels do not split into patches of 4 x 4"):
        SMALL.init(jax.random.key(0), images_of(height=10), train=False)


def test_features_are_what_the_head_sees() -> None:
    images = images_of()
    params = params_of(SMALL, images)
    logits, sown = jax.jit(lambda: SMALL.apply(params, images, train=False, mutable=["intermediates"]))()
    (features,) = sown["intermediates"]["features"]
    head = params["params"]["output"]
    np.testing.assert_allclose(features @ head["kernel"] + head["bias"], logits, **ROUNDING)
    assert sown["intermediates"]["block1"]["attention"]["attention"][0].shape == (2, 4, 7, 7)


def test_dropout_takes_traced_rates_under_vmap() -> None:
    images = images_of()
    model = SMALL.clone(layers=1)
    params = params_of(model, images)

    def logits(rate, attention_rate):
        rngs = {"dropout": jax.random.key(0)}
        return model.apply(params, images, train=True, dropout=rate, attention_dropout=attention_rate, rngs=rngs)

    found = jax.jit(jax.vmap(logits))(jnp.array([0.0, 0.5, 0.0]), jnp.array([0.0, 0.0, 0.5]))
    plain = logits_of(params, images, model)
    np.testing.assert_allclose(found[0], plain, **ROUNDING)
    assert not np.allclose(found[1], plain, atol=1e-2) and not np.allclose(found[2], plain, atol=1e-3)


def test_bfloat16_arithmetic_keeps_float32_parameters_and_logits() -> None:
    images = images_of()
    params = params_of(SMALL, images)
    logits = logits_of(params, images, SMALL.clone(dtype=jnp.bfloat16))
    assert logits.dtype == jnp.float32
    exact = logits_of(params, images)
    # bfloat16 keeps 8 bits: 0.4 % a rounding, some dozens of them.
    np.testing.assert_allclose(logits, exact, atol=0.05 * float(jnp.abs(exact).max()))


def test_every_parameter_gets_a_gradient() -> None:
    images = images_of(8)
    params = jax.jit(lambda: SMALL.init(jax.random.key(0), images, train=False))()
    gradient = jax.jit(jax.grad(lambda p: jnp.sin(SMALL.apply(p, images, train=False)).sum()))(params)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))


@pytest.mark.compare
def test_logits_and_gradients_are_those_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    images = images_of(height=8, width=8)
    params = params_of(SMALL, images)
    sizes = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, num_labels=5)
    theirs = transformers.ViTForImageClassification(
        transformers.ViTConfig(
            **sizes,
            image_size=8,
            patch_size=4,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            attn_implementation="eager",
        )
    )
    theirs.load_state_dict(
        {name: torch.tensor(np.array(leaf)) for name, leaf in by_their_names(params["params"]).items()}
    )
    logits = theirs(torch.tensor(np.asarray(images.transpose(0, 3, 1, 2)))).logits
    np.testing.assert_allclose(logits_of(params, images), logits.detach(), **ROUNDING)
    logits.square().mean().backward()
    ours = jax.jit(jax.grad(lambda p: (SMALL.apply(p, images, train=False) ** 2).mean()))(params)
    own = dict(theirs.named_parameters())
    for name, gradient in by_their_names(ours["params"]).items():
        np.testing.assert_allclose(gradient, own[name].grad, rtol=1e-4, atol=1e-5, err_msg=name)


def by_their_names(params) -> dict[str, np.ndarray]:
    """Our parameters, or gradients, named and laid out as in transformers 5."""
    kernel = params["embedding"]["kernel"].reshape(4, 4, 3, -1)
    found = {
        "vit.embeddings.cls_token": params["class_token"][None, None],
        "vit.embeddings.position_embeddings": params["positions"][None],
        "vit.embeddings.patch_embeddings.projection.weight": kernel.transpose(3, 2, 0, 1),
        "vit.embeddings.patch_embeddings.projection.bias": params["embedding"]["bias"],
        "vit.layernorm.weight": params["norm"]["scale"],
        "vit.layernorm.bias": params["norm"]["bias"],
        "classifier.weight": params["output"]["kernel"].T,
        "classifier.bias": params["output"]["bias"],
    }
    for number in range(2):
        block, prefix = params[f"block{number}"], f"vit.layers.{number}."
        layers = {f"attention.{k[0]}_proj": block["attention"][k] for k in ("query", "key", "value", "output")}
        layers |= {"mlp.fc1": block["feed_forward"]["hidden_layer"], "mlp.fc2": block["feed_forward"]["output"]}
        for name, layer in layers.items():
            found |= {f"{prefix}{name}.weight": layer["kernel"].T, f"{prefix}{name}.bias": layer["bias"]}
        for name, norm in (("before", block["attention_norm"]), ("after", block["feed_forward_norm"])):
            found |= {f"{prefix}layernorm_{name}.weight": norm["scale"], f"{prefix}layernorm_{name}.bias": norm["bias"]}
    return {name: np.asarray(leaf) for name, leaf in found.items()}
