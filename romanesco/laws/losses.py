"""The laws of advantages and losses, L1 and L2: against definitions, and values by hand. T time, B streams.

Each takes what it is about, by default ours.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from romanesco.agent.normalize import Normalizer
from romanesco.core.actions import Categorical
from romanesco.core.types import Output, Rollout, TimeStep
from romanesco.core.values import Point
from romanesco.laws.verdict import close
from romanesco.learn import gae, ppo
from romanesco.learn.ppo import Hyper

PLAIN = Normalizer(None, None)


def random_steps(seed: int, T: int, B: int, obs: PyTree[Array] = None) -> TimeStep:
    """T+1 steps of B streams with random rewards, terminations and truncations, in the order law C2 demands."""
    rng = np.random.default_rng(seed)
    last = rng.random((T + 1, B)) < 0.2
    first = np.concatenate([rng.random((1, B)) < 0.5, last[:-1]])
    last &= ~first
    first[1:] = last[:-1]
    discount = np.where(last & (rng.random(last.shape) < 0.5), 0.0, 1.0)
    reward = np.where(first, 0.0, rng.normal(size=first.shape))
    seen = jnp.zeros((T + 1, B, 1)) if obs is None else obs
    reward, discount = (jnp.asarray(x, jnp.float32) for x in (reward, discount))
    return TimeStep(seen, reward, discount, jnp.asarray(first), jnp.asarray(last))


def slow_advantages(rollout: Rollout, gamma: float, lam: float) -> Float[Array, "T B"]:
    """Sum over k >= t of (gamma lam)^(k-t) delta_k, up to the end of the episode; of a `last`, 0."""
    steps, value = jax.tree.map(lambda x: np.asarray(x, np.float64), (rollout.steps, rollout.value))
    T, B = len(value) - 1, value.shape[1]
    adv = np.zeros((T, B))
    for t, b in np.ndindex(T, B):
        weight = 1.0
        for k in range(t, T):
            if steps.last[k, b]:
                break
            after = gamma * steps.discount[k + 1, b] * value[k + 1, b]
            adv[t, b] += weight * (steps.reward[k + 1, b] + after - value[k, b])
            weight *= gamma * lam * steps.discount[k + 1, b]
    return adv  # type: ignore[return-value]


def l1_advantages(advantages: Callable = gae.advantages) -> None:
    """L1: generalized advantage estimation is its definition, with random terminations and truncations."""
    steps = random_steps(1, 40, 8)
    value = jax.random.normal(jax.random.key(1), (41, 8))
    rollout = Rollout(steps, jnp.zeros((40, 8), int), jnp.zeros((40, 8)), value, ())
    for gamma, lam in ((0.97, 0.9), (1.0, 1.0), (0.9, 0.0)):
        got, want = advantages(rollout, gamma, lam), slow_advantages(rollout, gamma, lam)
        close(np.asarray(got, np.float64), want, what=f"L1: advantages at gamma={gamma}, lam={lam}")


class Parrot(eqx.Module):
    """Says the log-probs and values that it is shown; its one parameter is added to the values."""

    shift: Float[Array, ""]

    def init_carry(self):
        return ()

    def step(self, carry, obs, first):
        return carry, Output(Categorical(obs["log_p"]), Point(obs["value"] + self.shift), obs["value"])

    def sequence(self, carry, obs, first):
        return self.step(carry, obs, first)


def spoken() -> tuple[Parrot, Rollout, Float[Array, "5 1"]]:
    """Five steps of one stream in which action 0 was taken with probability 1/2 and valued 0; the last is a `last`."""
    p = np.array([0.75, 0.75, 0.3, 0.3, 0.9, 0.5])
    value = np.array([0.5, -0.05, -0.5, -2.0, 7.0, 0.0])
    obs = {"log_p": np.log(np.stack([p, 1 - p], -1)), "value": value}
    last = np.arange(6) == 4
    flags = (jnp.asarray(x)[:, None] for x in (np.zeros(6, bool), last))
    obs = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32)[:, None], obs)
    steps = TimeStep(obs, jnp.zeros((6, 1)), jnp.ones((6, 1)), *flags)
    rollout = Rollout(steps, jnp.zeros((5, 1), jnp.int32), jnp.full((5, 1), np.log(0.5)), jnp.zeros((6, 1)), ())
    return Parrot(jnp.zeros(())), rollout, jnp.array([1.0, -1.0, 2.0, -2.0, 100.0])[:, None]


def l2_loss(loss: Callable = ppo.loss) -> None:
    """L2: every term of the loss against its value by hand; what happened at a `last` counts nowhere."""
    agent, rollout, adv = spoken()
    # ratio = p / .5                      1.5    1.5    .6     .6    | 1.8, not live
    # advantage                           1     -1      2     -2
    # ratio * advantage                   1.5   -1.5    1.2   -1.2
    # clipped to .8 .. 1.2, * advantage   1.2   -1.2    1.6   -1.6
    # min                                 1.2   -1.5    1.2   -1.6    sum -.7, policy loss .7 / 4
    # target = advantage + 0              1     -1      2     -2
    # value                                .5    -.05   -.5   -2
    # error = (value - target)^2 / 2       .125   .45125 3.125  0     sum 3.70125
    # held within .1 of 0                  .1    -.05   -.1    -.1
    # its error                            .405   .45125 2.205  1.805
    # max                                  .405   .45125 3.125  1.805 sum 5.78625
    # entropy: of .75, .562335; of .3, .610864                        mean .5866
    # kl: ratio - 1 - log ratio            .094535  (2x)  .110826 (2x)
    hp = Hyper(clip=0.2, value_clip=0.1, value_cost=0.5, entropy_cost=0.01, normalize_advantages=False)
    want = {
        "policy_loss": 0.175,
        "value_loss": 1.4465625,
        "entropy": 0.5865995,
        "approx_kl": 0.1026805,
        "clip_fraction": 1.0,
        "off_policy": 0.5,
    }
    total, terms = loss(agent, PLAIN, rollout, adv, hp)
    for name, x in want.items():
        close(terms[name], np.float32(x), atol=2e-6, rtol=1e-5, what=f"L2: {name}")
    close(total, np.float32(0.175 + 0.5 * 1.4465625 - 0.01 * 0.5865995), what="L2: the loss")

    free = Hyper(clip=float("inf"), normalize_advantages=False)
    terms = loss(agent, PLAIN, rollout, adv, free)[1]
    close(terms["policy_loss"], np.float32(0.0), what="L2: policy_loss without a clip")  # 1.5 - 1.5 + 1.2 - 1.2
    close(terms["value_loss"], np.float32(3.70125 / 4), what="L2: value_loss without a clip")

    # advantages 3, 1, 4, 0 have mean 2 and variance 2.5: normalized they are those above over sqrt 2.5
    terms = loss(agent, PLAIN, rollout, adv + 2.0, Hyper(clip=0.2))[1]
    close(terms["policy_loss"], np.float32(0.175 / 2.5**0.5), what="L2: policy_loss with normalized advantages")
