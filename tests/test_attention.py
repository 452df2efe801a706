"""Attention: its laws over all encoders that attend, its parts against their definitions, and what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mutants.attention import BROKEN, BROKEN_ATTEND

from romanesco.agent import ENCODERS
from romanesco.agent.agent import blank
from romanesco.agent.encoders.attention import Attention, Entities, Patches
from romanesco.agent.encoders.cross import Cross, CrossTokens
from romanesco.core.attention import Block, MultiHead, Pool, attend
from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete
from romanesco.core.tokens import FeatureTokens, FrameTokens, PatchTokens, sinusoids
from romanesco.lab.options import GROUPS, Attends
from romanesco.laws.attention import ATTEND, LAWS

KEY = jax.random.key(0)
VECTOR, FRAMES = Box((4,)), Box((3, 4))


def variant(space, **settings):
    def example(key):
        k_encoder, k_obs = jax.random.split(key)
        encoder = Attention(space, width=8, heads=2, key=k_encoder, **settings)
        return encoder, jax.random.normal(k_obs, space.shape)

    return example


EXAMPLES = {
    **{name: ENCODERS[name].example for name, option in GROUPS["encoder"].items() if issubclass(option, Attends)},
    "mean of features": variant(VECTOR, pool="mean"),
    "summary of frames": variant(FRAMES, pool="summary"),
}


@pytest.mark.parametrize("law", ATTEND)
def test_law_of_attend(law):
    ATTEND[law](attend)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_law_of_encoders(name, law):
    LAWS[law](EXAMPLES[name])


@pytest.mark.parametrize(("mutant", "law"), BROKEN_ATTEND)
def test_a_broken_attend_is_caught(mutant, law):
    with pytest.raises(AssertionError, match=f"^{law}: "):
        ATTEND[law](mutant)


@pytest.mark.parametrize(("mutant", "law"), BROKEN)
def test_a_broken_encoder_is_caught(mutant, law):
    with pytest.raises(AssertionError, match=f"^{law}: "):
        LAWS[law](mutant)


# The parts are their definitions


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def affine(layer, x):
    bias = 0 if layer.bias is None else np.asarray(layer.bias)
    return x @ np.asarray(layer.weight).T + bias


def norm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)


def gelu(x):
    return x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2


def read(queries, keys, values, heads):
    """softmax attention of rows, head by head."""
    out = np.zeros((len(queries), values.shape[1]))
    for part in np.split(np.arange(values.shape[1]), heads):
        for i in range(len(queries)):
            grown = np.exp(keys[:, part] @ queries[i, part] / np.sqrt(len(part)))
            out[i, part] = grown @ values[:, part] / grown.sum()
    return out


@pytest.mark.parametrize("cross", [False, True])
def test_block_is_its_formula(float64, cross):
    block = Block(6, 2, ratio=3, cross=cross, key=KEY)
    x, source = jax.random.normal(KEY, (3, 6)), jax.random.normal(jax.random.key(1), (5, 6))
    m, e = block.attention, norm(np.asarray(x))
    other = norm(np.asarray(source)) if cross else e
    h = np.asarray(x) + affine(m.leave, read(affine(m.query, e), affine(m.key, other), affine(m.value, other), 2))
    want = h + affine(block.down, gelu(affine(block.up, norm(h))))
    got = jax.jit(lambda *x: block(x[0], None, *x[1:])[0])(x, *([source] if cross else []))
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11)


def test_pool_is_its_formula(float64):
    pool, x = Pool(6, 2, key=KEY), jax.random.normal(KEY, (4, 6))
    e = norm(np.asarray(x))
    want = read(np.asarray(pool.query).reshape(1, 6), affine(pool.key, e), affine(pool.value, e), 2)[0]
    np.testing.assert_allclose(pool(x)[0], want, rtol=1e-9, atol=1e-11)


def test_feature_tokens_are_their_formula(float64):
    tokens = FeatureTokens(4, 3, key=KEY)
    tokens = eqx.tree_at(lambda t: t.bias, tokens, jax.random.normal(KEY, (4, 3)))
    x = np.array([0.5, -1, 2, 0])
    want = [x[i] * tokens.weight[i] + tokens.bias[i] + tokens.identity[i] for i in range(4)]
    np.testing.assert_allclose(tokens(jnp.asarray(x)), want)


def test_a_group_of_features_is_one_token(float64):
    tokens = FeatureTokens(4, 3, groups=[[3, 1], [0, 2, 1]], key=KEY)
    x, w = np.array([0.5, -1, 2, 3]), np.asarray(tokens.weight)
    want = [x[3] * w[0] + x[1] * w[1], x[0] * w[2] + x[2] * w[3] + x[1] * w[4]]
    np.testing.assert_allclose(tokens(jnp.asarray(x)), np.stack(want) + tokens.identity)


@pytest.mark.parametrize("position", ["learned", "sinusoidal"])
def test_frames_have_places(float64, position):
    tokens = FrameTokens((3, 4), 6, position=position, key=KEY)
    x = np.arange(12.0).reshape(3, 4)
    places = tokens.position if position == "learned" else sinusoids(3, 6)
    np.testing.assert_allclose(tokens(jnp.asarray(x)), affine(tokens.layer, x) + places, rtol=1e-6)
    assert np.ptp(tokens(jnp.zeros((3, 4))), axis=0).all()


def test_sinusoids_are_their_formula():
    want = [[np.sin(p), np.sin(p / 100), np.cos(p), np.cos(p / 100)] for p in range(3)]
    np.testing.assert_allclose(sinusoids(3, 4), want, rtol=1e-6)


def test_patches_are_squares_row_by_row():
    tokens = PatchTokens((4, 6, 2), 5, side=2, key=KEY)
    image = jax.random.normal(KEY, (4, 6, 2))
    got = tokens(image).reshape(2, 3, 5)
    for i in range(2):
        for j in range(3):
            patch = np.asarray(image)[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].reshape(-1)
            want = affine(tokens.layer, patch) + tokens.row[i, 0] + tokens.column[j]
            np.testing.assert_allclose(got[i, j], want, rtol=1e-5, atol=1e-6)


def test_bytes_are_divided_by_255():
    tokens = PatchTokens((2, 2, 1), 5, key=KEY)
    grey = jnp.full((2, 2, 1), 51, jnp.uint8)
    np.testing.assert_allclose(tokens(grey), tokens(jnp.full((2, 2, 1), 0.2)), rtol=1e-6)


def test_dead_entities_are_absent():
    """The same parameters over a world without the dead one."""
    encoder, obs = Entities.example(KEY)
    space = {"entities": Box((3, 3)), "alive": Box((3,), bool, False, True), "self": Box((2,))}
    small = jax.eval_shape(lambda: Entities(space, width=8, heads=2, key=KEY))
    fewer = jax.tree.unflatten(jax.tree.structure(small), jax.tree.leaves(encoder))
    there = np.asarray(obs["alive"])
    rest = {"entities": obs["entities"][there], "alive": obs["alive"][there], "self": obs["self"]}
    (y, maps), (want, want_maps) = (
        jax.jit(lambda e, o: e.explain(o))(e, o) for e, o in ((encoder, obs), (fewer, rest))
    )
    np.testing.assert_allclose(y, want, rtol=1e-5)
    np.testing.assert_allclose(maps["pool"][..., [0, 2, 3, 4]], want_maps["pool"], rtol=1e-5)


def test_modalities_are_told_apart_by_their_names():
    """Two of one shape with one content are two tokens each."""
    tokens = CrossTokens({"a": Box((2,)), "b": Box((2,))}, 5, patch=1, key=KEY)
    b = eqx.tree_at(lambda t: t.parts["b"], tokens, tokens.parts["a"])
    got = b({"b": jnp.ones(2), "a": jnp.ones(2)})
    np.testing.assert_allclose(got[2:] - got[:2], jnp.stack([tokens.names["b"] - tokens.names["a"]] * 2), rtol=1e-5)


def test_every_kind_of_modality_has_its_tokens():
    space = {"x": Box((3,)), "past": Box((2, 4)), "eye": Box((4, 4, 1), np.uint8, 0, 255), "n": Discrete(3),
             "t": (Box(()), Discrete(2))}  # fmt: skip
    tokens = jax.eval_shape(lambda: CrossTokens(space, 5, patch=2, key=KEY))
    assert {name: part.count for name, part in tokens.parts.items()} == {"x": 3, "past": 2, "eye": 4, "n": 1, "t": 1}
    got = jax.eval_shape(lambda tokens, obs: tokens(obs), tokens, blank(space))
    assert got.shape == (tokens.count, 5)


# Controls


def of(control, **settings):
    return Attention(VECTOR, control=control, key=KEY, **{"width": 8, "heads": 2, **settings})


def size(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


def test_uniform_attention_is_the_mean_of_values(float64):
    """A7, in a layer."""
    layer, x = MultiHead(6, 2, scores="uniform", key=KEY), jax.random.normal(KEY, (4, 6))
    want = affine(layer.leave, affine(layer.value, np.asarray(x)).mean(0))
    np.testing.assert_allclose(layer(x, x)[0], np.broadcast_to(want, (4, 6)), rtol=1e-9)
    assert layer.query is None and layer.key is None


def test_frozen_queries_and_keys_act_and_never_learn():
    frozen, learned = of("frozen_qk"), of("none")
    run = jax.jit(jax.value_and_grad(lambda e: (e(jnp.arange(4.0)) ** 2).sum()))
    y, slopes = run(frozen)
    assert y == run(learned)[0]
    slopes = jax.tree_util.tree_leaves_with_path(slopes)
    still = {jax.tree_util.keystr(path) for path, g in slopes if not g.any()}
    scores = {path for path in map(lambda s: jax.tree_util.keystr(s[0]), slopes) if ".query" in path or ".key" in path}
    assert still == scores


def test_without_residuals_a_block_replaces_its_tokens():
    """Uniform weights make all its outputs one."""
    block = Block(6, 2, scores="uniform", residual=False, key=KEY)
    assert np.ptp(jax.jit(lambda b, x: b(x)[0])(block, jax.random.normal(KEY, (4, 6))), axis=0).max() < 1e-6


@pytest.mark.parametrize(
    "settings", [{"width": 64}, {"layers": 2, "width": 128, "heads": 8}, {"width": 64, "pool": "mean"}]
)
def test_matched_layers_have_as_many_parameters(settings):
    build = lambda control: jax.eval_shape(lambda: of(control, **settings))
    assert abs(size(build("mlp_matched")) / size(build("none")) - 1) < 0.02
    assert not hasattr(build("mlp_matched").reader, "blocks")


# What is refused


@pytest.mark.parametrize(
    ("space", "settings", "message"),
    [
        (Box((1,)), {}, "tokens=1: weights would be constant 1, query and key would get no gradient; give two"),
        (Box((1, 4)), {}, "tokens=1: "),
        (VECTOR, {"tokens": [[0, 1, 2, 3]]}, "tokens=1: "),
        (VECTOR, {"heads": 5}, "heads=5 does not divide encoder.width=64; allowed: 1, 2, 4, 8"),
        (VECTOR, {"layers": 0}, "layers=0: at least 1"),
        (VECTOR, {"pool": "sumary"}, "pool=sumary; did you mean `summary`"),
        (VECTOR, {"control": "unifrom"}, "control=unifrom; did you mean `uniform`"),
        (VECTOR, {"pool": "before", "control": "mlp_matched"}, "pool=before leaves them to a memory; pool=attention"),
        (VECTOR, {"tokens": [[0, 4], [1, 2, 3]]}, r"tokens=\[\[0,4\],\[1,2,3\]\]: no feature 4"),
        (VECTOR, {"tokens": [[0, 1], [3]]}, r"leaves out features \[2\]"),
        (VECTOR, {"tokens": [[0, 1, 2, 3], []]}, "a token is a list of one or more"),
        (FRAMES, {"tokens": [[0], [1]]}, "groups the features of a vector"),
        (Discrete(4), {}, r"reads a vector \[F\] or frames \[k F\], not Discrete\(4\); use"),
        (Box((8, 8, 3)), {}, "use encoder=patches for images"),
    ],
)
def test_bad_settings_are_named(space, settings, message):
    with pytest.raises(BadInput, match=message):
        Attention(space, key=KEY, **settings)


ENTITIES = {"entities": Box((3, 2)), "alive": Box((3,), bool, False, True)}


@pytest.mark.parametrize(
    ("encoder", "space", "settings", "message"),
    [
        (Patches, Box((8, 12, 3)), {}, "encoder.patch=8 must divide an image of 8 x 12; allowed: 1, 2, 4"),
        (Patches, Box((8, 8, 3)), {}, "tokens=1: "),
        (Patches, VECTOR, {}, r"reads images \[h w c\]"),
        (Entities, {"entities": Box((3, 2))}, {}, r"reads \{entities \[N E\], alive \[N\], self"),
        (Entities, ENTITIES | {"goal": VECTOR}, {}, "use encoder=cross for other dicts"),
        (Entities, ENTITIES | {"alive": Box((2,))}, {}, "encoder=entities reads"),
        (Entities, {"entities": Box((1, 2)), "alive": Box((1,))}, {}, "tokens=1: "),
        (Cross, VECTOR, {}, "reads a dict of modalities"),
        (Cross, ENTITIES, {"queries": 1}, "queries=1: at least 2"),
        (Cross, {"x": Discrete(3)}, {}, "tokens=1: "),
    ],
)
def test_bad_settings_of_other_encoders_are_named(encoder, space, settings, message):
    with pytest.raises(BadInput, match=message):
        encoder(space, key=KEY, **settings)


def test_a_width_that_cannot_be_matched_is_named():
    with pytest.raises(BadInput, match="parameters are to be matched within 2%, the nearest over 64 flattened tokens"):
        Patches(Box((8, 8, 1)), width=8, heads=2, patch=1, control="mlp_matched", key=KEY)


def test_an_observation_of_another_size_is_named():
    with pytest.raises(BadInput, match=r"observation=\(5,\): the encoder was built for \(4,\)"):
        of("none")(jnp.zeros(5))
