import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.models.ebm.energy_mlp import EnergyMLP
from tests.initialised import initialised

FORMS = ("linear", "quadratic", "mlp")
POINTS = jnp.asarray(np.random.default_rng(0).standard_normal((50, 2), np.float32))


def energies_of(form: str, **fields):
    model = EnergyMLP(num_classes=3, form=form, **fields)
    variables = initialised(model, POINTS, seed=1)
    return jax.jit(lambda x: model.apply(variables, x, train=False)), variables


@pytest.mark.parametrize(
    ("form", "count"), [("linear", 3 * 3), ("quadratic", 3 * 6), ("mlp", 3 * 64 + 65 * 64 + 65 * 3)]
)
def test_each_class_has_its_energy_and_parameters(form: str, count: int) -> None:
    energy, variables = energies_of(form)
    assert energy(POINTS).shape == (50, 3)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == count


@pytest.mark.parametrize("form", FORMS)
def test_curvature_is_that_of_the_form(form: str) -> None:
    energy, _ = energies_of(form)
    found = np.asarray(jax.jit(jax.vmap(jax.hessian(lambda x: energy(x[None])[0, 0])))(POINTS))
    assert (np.abs(found).max() < 1e-9) == (form == "linear")
    assert (np.abs(found - found[0]).max() < 1e-6) == (form != "mlp")


def test_the_quadratic_form_is_every_product_once() -> None:
    energy, variables = energies_of("quadratic")
    kernel, bias = variables["params"]["energy"]["kernel"], variables["params"]["energy"]["bias"]
    x, y = np.asarray(POINTS).T
    np.testing.assert_allclose(energy(POINTS), np.stack([x, y, x * x, x * y, y * y], 1) @ kernel + bias, atol=1e-5)


def test_the_energy_of_a_perceptron_is_bounded() -> None:
    energy, variables = energies_of("mlp")
    bound = np.abs(variables["params"]["energy"]["kernel"]).sum(0) + np.abs(variables["params"]["energy"]["bias"])
    assert (np.abs(energy(1e3 * POINTS)) <= bound + 1e-4).all()


@pytest.mark.parametrize("form", FORMS)
def test_bfloat16_keeps_float32_parameters_and_energies(form: str) -> None:
    energy, variables = energies_of(form, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert energy(POINTS).dtype == jnp.float32
