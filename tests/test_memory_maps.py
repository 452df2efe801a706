"""A memory's `explain`: its laws over all that have one, planted faults, and weights against their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mutants.explain import BROKEN, Shown

from romanesco.laws.explain import FIRST, LAWS, T, look
from romanesco.laws.verdict import close
from romanesco.memory import MEMORIES, AGaLiTe, GaLiTe, GTrXL, Stack
from romanesco.memory.unrolled import unrolled

pytestmark = pytest.mark.filterwarnings("ignore:basis=reference")


def narrow(cell, **settings):
    """One value channel a head: where channels differ, A8 holds these to their read-outs."""

    def example(key, T):
        k_cell, k_x = jax.random.split(key)
        settings_ = {"heads": 2, "head_size": 1, "eta": 3, "feature_map": "softplus", **settings}
        return cell(6, key=k_cell, **settings_), 2 * jax.random.normal(k_x, (T, 6))

    return example


def stack(key, T):
    k_stack, k_x = jax.random.split(key)
    made = Stack.of(GTrXL, layers=2, size=6, heads=2, head_size=4, window=9, key=k_stack)
    return made, jax.random.normal(k_x, (T, 6))


EXAMPLES = {
    **{name: MEMORIES[name].example for name in MEMORIES if hasattr(MEMORIES[name], "explain")},
    "agalite-narrow": narrow(AGaLiTe),
    "agalite-reference": narrow(AGaLiTe, basis="reference", channels=5),
    "galite-narrow": narrow(GaLiTe),
    "galite-reference": narrow(GaLiTe, decay="reference"),
    "stack-of-gtrxl": stack,
}


def test_the_memories_that_explain():
    assert {"agalite", "galite", "gsa", "mlstm", "gated_deltanet", "gtrxl", "window"} <= set(EXAMPLES)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_law(name, law):
    LAWS[law](EXAMPLES[name])


@pytest.mark.parametrize("law", LAWS)
def test_a_sound_explanation_passes(law):
    LAWS[law](Shown.example)


@pytest.mark.parametrize(("mutant", "law"), BROKEN)
def test_a_broken_explanation_is_caught(mutant, law):
    with pytest.raises(AssertionError, match=f"^{law}: "):
        LAWS[law](mutant.example)


def test_a_softmax_window_sees_its_last_steps():
    cell, xs = GTrXL.example(jax.random.key(0), T)
    weights = look(cell, cell.init_carry(), xs, jnp.asarray(FIRST))[0][2]["attention"]
    age, episode = np.arange(T)[:, None] - np.arange(T), np.cumsum(FIRST)
    seen = (age >= 0) & (age < cell.window) & (episode[:, None] == episode)
    np.testing.assert_array_equal(weights > 0, np.broadcast_to(seen, (2, T, T)))


def test_weights_unrolled_are_those_of_a_linear_map():
    """Of read-outs with known weights for each channel, whose carry adds what it holds: their mean over channels."""
    weights = jax.random.normal(jax.random.key(0), (2, 5, 5, 3))  # [H t j d]
    values = jax.random.normal(jax.random.key(1), (5, 2, 3))
    held = jnp.zeros((5, 2, 3)).at[:2].set(jax.random.normal(jax.random.key(2), (2, 2, 3)))
    read = lambda carry, values: (carry, jnp.einsum("htjd,jhd->thd", weights, values) + carry)
    carry, a, maps = jax.jit(lambda *x: unrolled(read, *x))(held, 0 * held, values)
    close((carry, a), read(held, values), what="carry and read-outs")
    share = (held * a).sum(-1) / (a**2).sum(-1)
    wanted = {"signed": weights.mean(-1), "before": share.T, "values": values, "read": a}
    close(maps, {k: jnp.swapaxes(x, 0, 1) if k in ("values", "read") else x for k, x in wanted.items()}, what="maps")
