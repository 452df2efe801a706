"""Mystery Path beside what tests/parity holds against memory-gym: its settings, its symbols, its limit, its picture."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import romanesco.envs.mysterypath as module
from romanesco.core.errors import BadInput
from romanesco.envs.mysterypath import mysterypath
from romanesco.laws.environment import LAWS

GREEN, BLUE = (0, 255, 0), (0, 0, 255)


@functools.cache
def played(variant, easy, limit=20, T=45, B=4):
    """Symbols under random actions, with the state and the picture at each step: [T B ...]."""
    env = mysterypath(variant=variant, easy=easy, max_steps=limit)
    pixels = mysterypath(variant=variant, easy=easy, obs="pixels").dynamics

    @jax.jit
    def play(key):
        def tick(states, key):
            k_act, k_env = jax.random.split(key)
            actions = jax.random.randint(k_act, (B,), 0, env.action_space.n)
            states, ts = jax.vmap(env.step)(jax.random.split(k_env, B), states, actions)
            return states, (states, ts, jax.vmap(lambda s: pixels.observe(key, s))(states.s))

        states, _ = jax.vmap(env.reset)(jax.random.split(key, B))
        return jax.lax.scan(tick, states, jax.random.split(key, T))[1]

    return env, *jax.tree.map(np.asarray, play(jax.random.key(0)))


@pytest.mark.parametrize(("variant", "easy"), [("grid", True), ("continuous", False)])
def test_symbols_say_what_the_state_is(variant, easy):
    env, states, ts, _ = played(variant, easy)
    named = dict(zip(env.feature_names, np.moveaxis(ts.obs, -1, 0), strict=True))
    s = states.s
    x, y = np.moveaxis(s.at, -1, 0)
    for i, j in np.ndindex(7, 7):
        np.testing.assert_array_equal(named[f"tile_{i}_{j}"], (x // 12 == i) & (y // 12 == j))
        if easy:
            np.testing.assert_array_equal(named[f"start_{i}_{j}"], s.maze.start == 7 * i + j)
            np.testing.assert_array_equal(named[f"goal_{i}_{j}"], s.maze.goal == 7 * i + j)
    for eighth in range(0, 8, 2 if variant == "grid" else 1):
        np.testing.assert_array_equal(named[f"heading_{45 * eighth}"], s.heading == eighth)
    np.testing.assert_array_equal(named["fallen"], s.fallen)
    if variant == "continuous":
        np.testing.assert_allclose([named["x"], named["y"]], [x / 84, y / 84], rtol=1e-6)
    assert s.fallen.any() and len(named) == {"grid": 152, "continuous": 60}[variant]


@pytest.mark.parametrize(("variant", "easy"), [("grid", True), ("continuous", False)])
def test_every_episode_shows_its_ends_or_none_does(variant, easy):
    """Options that hold for the first episode only were a fault of published code."""
    _, _, ts, images = played(variant, easy)
    assert ts.first.any(0).all()
    for color in (GREEN, BLUE):
        assert ((images == color).all(-1).any((2, 3)) == easy).all()


def test_a_fall_loses_an_action_and_leads_back():
    _, states, ts, _ = played("grid", True)
    s, inside = states.s, ~ts.first[1:]
    fell = s.fallen[:-1] & inside
    back = np.stack([s.maze.start // 7, s.maze.start % 7], -1) * 12 + 6
    assert fell.any()
    np.testing.assert_array_equal(s.at[1:][fell], back[1:][fell])
    np.testing.assert_array_equal(s.heading[1:][fell], s.heading[:-1][fell])
    np.testing.assert_array_equal((s.falls[1:] - s.falls[:-1])[inside], s.fallen[1:][inside])


@pytest.mark.parametrize("terminal", [False, True])
def test_the_limit_truncates_unless_told_to_terminate(terminal):
    env, states, _, _ = played("grid", True)
    t, b = np.argwhere((states.t == env.max_steps - 1) & ~states.ended)[0]
    model = mysterypath(max_steps=env.max_steps, limit_is_terminal=terminal).model()
    state = jax.tree.map(lambda x: jnp.asarray(x[t, b]), states)
    _, ts = jax.jit(lambda state: model.step(jax.random.key(0), state, jnp.int32(0)))(state)
    assert ts.last and ts.discount == (0 if terminal else 1)


def test_the_picture_shows_the_path_upright():
    env = mysterypath()
    state, _ = jax.jit(lambda env, key: env.reset(key))(env, jax.random.key(1))
    image, path = np.asarray(env.render(state)), np.asarray(state.s.maze.path).reshape(7, 7)
    assert image.shape == (336, 336, 3)
    corners = image[2::48, 2::48]  # [row, column], where no walker reaches
    assert ((corners > 0).any(-1) == path.T).all()


@pytest.mark.parametrize("law", ["E7", "E8", "E10"])
def test_images_obey_the_laws_of_programs(law):
    """Those of numbers hold of what is drawn, as the registry's tests show."""
    LAWS[law](mysterypath(variant="continuous", obs="pixels", easy=False, max_steps=7))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "gird"}, "variant=gird: allowed are grid, continuous; did you mean `grid`"),
        ({"obs": "pixel"}, "obs=pixel: allowed are symbolic, pixels; did you mean `pixels`"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(BadInput, match=message):
        mysterypath(**settings)


def test_sprites_keep_zero_for_the_ground():
    """A color of value 1 would be read as black."""
    drawn = module.load_file(module.Path(module.__file__).with_name("mysterypath.safetensors"))
    assert module.OPAQUE_ZERO not in drawn["walker"] and module.OPAQUE_ZERO not in drawn["cross"]
    assert jnp.asarray(module.overlays()).shape == (16, 156, 468)
