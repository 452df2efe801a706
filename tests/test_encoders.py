"""Encoders: what becomes of every kind of observation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.agent import ENCODERS
from romanesco.agent.agent import blank, build, seen
from romanesco.agent.encoders.image import Cnn
from romanesco.agent.encoders.vector import Identity, Mlp, flat_size, flatten
from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete, MultiDiscrete
from romanesco.memory import Feedforward

KEY = jax.random.key(0)
FLOATS, BYTES = Box((2, 2)), Box((2, 2), np.uint8, 0, 255)

KINDS = {
    "discrete": (Discrete(3), 1, [0, 1, 0]),
    "discrete from 5": (Discrete(3, start=5), 5, [1, 0, 0]),
    "discrete below 0": (Discrete(3, start=-1), 1, [0, 0, 1]),
    "many choices": (Discrete(5000), 4000, [4000]),
    "multidiscrete": (MultiDiscrete((2, 3)), [1, 2], [0, 1, 0, 0, 1]),
    "square multidiscrete": (MultiDiscrete(((2, 2), (1, 3))), [[0, 1], [0, 1]], [1, 0, 0, 1, 1, 0, 1, 0]),
    "many choices, twice": (MultiDiscrete((2, 5000)), [1, 4000], [1, 4000]),
    "floats": (FLOATS, [[1.5, -2], [0, 3]], [1.5, -2, 0, 3]),
    "bytes": (BYTES, [[255, 0], [51, 102]], [1, 0, 0.2, 0.4]),
    "a number": (Box(()), 2.5, [2.5]),
    "integers": (Box((2,), np.int32, -9, 9), [-3, 4], [-3, 4]),
    "bits": (Box((2,), bool, False, True), [True, False], [1, 0]),
}


def leaf(space, x):
    return jnp.asarray(x, space.dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_flatten(kind):
    space, obs, want = KINDS[kind]
    got = flatten(space, leaf(space, obs))
    assert got.dtype == jnp.float32 and flat_size(space) == len(want)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_flatten_goes_through_trees_in_the_order_of_their_keys():
    space = {"b": Discrete(2), "a": (FLOATS, {"z": BYTES})}
    obs = {"b": jnp.int32(1), "a": (jnp.ones((2, 2)), {"z": leaf(BYTES, np.full((2, 2), 51))})}
    np.testing.assert_allclose(flatten(space, obs), [1] * 4 + [0.2] * 4 + [0, 1], rtol=1e-6)
    assert flat_size(space) == 10


@pytest.mark.parametrize("name", ["identity", "linear", "mlp"])
def test_vector_encoders_read_every_kind(name):
    space = {k: s for k, (s, *_) in KINDS.items()}
    encoder = ENCODERS[name](space, key=KEY)
    y = encoder({k: leaf(s, x) for k, (s, x, _) in KINDS.items()})
    assert y.ndim == 1 and jnp.isfinite(y).all()
    hash(jax.tree.structure(encoder))  # a static part of every program that holds it


def test_mlp_without_a_layer_is_refused():
    with pytest.raises(BadInput, match=r"encoder\.hidden=\[\]"):
        Mlp(FLOATS, hidden=(), key=KEY)


def test_identity_has_no_parameters():
    assert not jax.tree.leaves(Identity(FLOATS, key=KEY))


# Images


def image(*shape):
    return Box(shape, np.uint8, 0, 255)


def sizes(encoder):
    return [x.shape for x in jax.tree.leaves(encoder)]


def test_channels_may_come_first_or_last():
    last, first = (Cnn(image(*shape), width=16, key=KEY) for shape in ((84, 84, 3), (3, 84, 84)))
    assert sizes(last) == sizes(first)
    x = jax.random.randint(KEY, (84, 84, 3), 0, 256).astype(jnp.uint8)
    np.testing.assert_allclose(last(x), first(jnp.transpose(x, (2, 0, 1))), rtol=1e-6)


@pytest.mark.parametrize("shape", [(84, 84, 4), (4, 84, 84), (4, 84, 84, 1), (2, 84, 84, 2)])
def test_four_planes_are_four_channels(shape):
    assert sizes(Cnn(image(*shape), width=16, key=KEY)) == sizes(Cnn(image(84, 84, 4), width=16, key=KEY))


def test_a_stack_joins_the_channels():
    """Frame k, channel c becomes plane 2 k + c."""
    stacked, flat = Cnn(image(2, 40, 40, 2), width=8, key=KEY), Cnn(image(4, 40, 40), width=8, key=KEY)
    x = jax.random.randint(KEY, (2, 40, 40, 2), 0, 256).astype(jnp.uint8)
    planes = jnp.stack([x[k, :, :, c] for k in range(2) for c in range(2)])
    np.testing.assert_allclose(stacked(x), flat(planes), rtol=1e-6)


def test_sides_are_kept_apart():
    """64 x 40 is not 40 x 64."""
    assert sizes(Cnn(image(64, 40, 3), width=8, key=KEY))[-2:] == [(8, 64 * 4 * 1), (8,)]
    x = jnp.zeros((64, 40, 3), jnp.uint8)
    tall, wide = (Cnn(image(*shape), width=8, key=KEY) for shape in ((64, 40, 3), (3, 64, 40)))
    np.testing.assert_allclose(tall(x), wide(jnp.transpose(x, (2, 0, 1))), rtol=1e-6)


def test_bytes_are_divided_by_255_and_floats_are_not():
    bytes_, floats = Cnn(image(36, 36, 1), width=8, key=KEY), Cnn(Box((36, 36, 1)), width=8, key=KEY)
    x = jax.random.randint(KEY, (36, 36, 1), 0, 256)
    np.testing.assert_allclose(bytes_(x.astype(jnp.uint8)), floats(x.astype(jnp.float32) / 255), rtol=1e-5, atol=1e-6)
    as_they_are = Cnn(image(36, 36, 1), width=8, scale=False, key=KEY)
    np.testing.assert_allclose(as_they_are(x.astype(jnp.uint8)), floats(x.astype(jnp.float32)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(35, 84, 3), (3, 84, 35), (4, 35, 35, 1), (7, 7, 3)])
def test_an_image_that_is_too_small_is_refused(shape):
    with pytest.raises(BadInput, match="36 x 36"):
        Cnn(image(*shape), key=KEY)


@pytest.mark.parametrize("space", [Box((84, 84)), Discrete(3), {"a": image(84, 84, 3)}])
def test_what_is_no_image_is_refused(space):
    with pytest.raises(BadInput, match="cnn reads images"):
        Cnn(space, key=KEY)


# What the agent hands to them


def test_allowed_is_taken_out():
    mask = Box((2,), bool, False, True)
    assert seen({"allowed": mask, "x": FLOATS}) == FLOATS
    assert seen({"allowed": mask, "x": FLOATS, "y": BYTES}) == {"x": FLOATS, "y": BYTES}
    assert seen({"x": FLOATS}) == {"x": FLOATS}


@pytest.mark.parametrize(
    "space", [FLOATS, (FLOATS, BYTES), {"allowed": Box((2,), bool, False, True), "x": image(36, 36, 1)}]
)
def test_an_agent_is_built_for_the_space(space):
    name = "cnn" if isinstance(space, dict) else "linear"
    agent = build(KEY, space, Discrete(2), encoder=ENCODERS[name], memory=Feedforward)
    obs = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), blank(space))
    _, said = agent.step(agent.init_carry(), obs, jnp.array(True))
    assert said.dist.logits.shape == (2,) and said.value.mean().shape == ()
