"""Every registered memory, alone and stacked, obeys the laws of memories."""

import functools

import jax
import pytest

from romanesco.core.types import Memory
from romanesco.laws.memory import LAWS
from romanesco.memory import MEMORIES, AGaLiTe, GaLiTe, Glimpse, GTrXL, MinGRU, Stack, Window


def stacked(cell, **settings):
    def example(key, T):
        k_stack, k_x = jax.random.split(key)
        stack = Stack.of(cell, layers=2, size=6, key=k_stack, **settings)
        return stack, jax.random.normal(k_x, (T, 6))

    return example


def phased(key, T):
    """The basis whose phase restarts with the episode."""
    _, xs = AGaLiTe.example(key, T)
    return AGaLiTe(6, heads=2, head_size=4, eta=2, basis="reference", channels=5, key=key), xs


def published(key, T):
    """The decay that no chunk can factor."""
    _, xs = GaLiTe.example(key, T)
    return GaLiTe(6, heads=2, head_size=4, eta=2, decay="reference", key=key), xs


EXAMPLES = {
    **{name: MEMORIES[name].example for name in MEMORIES},
    "agalite-reference": phased,
    "stack-of-agalite": stacked(AGaLiTe, heads=2, head_size=4, eta=2, ffn=7),
    "stack-of-window": stacked(Window, heads=2, window=5),
    "stack-of-mingru": stacked(MinGRU),
    "stack-of-gtrxl": stacked(GTrXL, heads=2, head_size=4, window=5),
    "galite-reference": published,
    "glimpse-before": Glimpse.example,
    "glimpse-after": functools.partial(Glimpse.example, when="after"),
}

pytestmark = pytest.mark.filterwarnings("ignore:basis=reference")


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_law(name, law):
    LAWS[law](EXAMPLES[name])


@pytest.mark.parametrize("name", EXAMPLES)
def test_speaks_the_protocol(name):
    memory, xs = EXAMPLES[name](jax.random.key(0), 3)
    assert isinstance(memory, Memory)
    assert memory.step(memory.init_carry(), xs[0], jax.numpy.array(True))[1].shape == (memory.size_out,)
