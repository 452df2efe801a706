"""Collectors, losses and builders that break one law each."""

import equinox as eqx
import jax
import jax.numpy as jnp

from romanesco.agent import agent, rollout
from romanesco.agent.normalize import Normalized
from romanesco.core.actions import enter
from romanesco.laws import collector, learner
from romanesco.learn import gae, ppo


def late_carry(key, env, actor, streams, horizon):
    """Replays from the memory after the first step."""
    after, seen, tally = rollout.collect(key, env, actor, streams, horizon)
    carry = jax.vmap(actor.step)(streams.carry, streams.ts.obs, streams.ts.first)[0]
    return after, eqx.tree_at(lambda r: r.carry, seen, carry), tally


def folded(key, env, actor, streams, horizon):
    """A bare reshape turns steps of one stream into streams."""
    after, seen, tally = rollout.collect(key, env, actor, streams, horizon)
    mix = lambda x: jnp.swapaxes(x, 0, 1).reshape(x.shape)
    parts = (seen.steps, seen.action, seen.log_prob, seen.value)
    return after, rollout.Rollout(*jax.tree.map(mix, parts), seen.carry), tally


def clipped_action(key, env, actor, streams, horizon):
    """Stores what the world received with the log-prob of what was sampled."""
    after, seen, tally = rollout.collect(key, env, actor, streams, horizon)
    return after, eqx.tree_at(lambda r: r.action, seen, enter(env.action_space, seen.action)), tally


def clipped_policy(key, env, actor, streams, horizon):
    """Stores what the world received with its own log-prob: a ratio of 1, and another distribution."""
    after, seen, tally = clipped_action(key, env, actor, streams, horizon)
    dist = ppo.replay(actor, seen).dist
    log_prob = jax.vmap(jax.vmap(lambda d, a: d.log_prob(a)))(dist, seen.action)
    return after, eqx.tree_at(lambda r: r.log_prob, seen, log_prob), tally


def restarting(key, env, actor, streams, horizon):
    """Begins every rollout with fresh episodes."""
    return rollout.collect(key, env, actor, rollout.start(key, env, actor, collector.STREAMS), horizon)


def previous_last(seen, gamma, lam):
    """Asks whether the step before ended."""
    last = jnp.roll(seen.steps.last, 1, axis=0)
    return gae.advantages(eqx.tree_at(lambda r: r.steps.last, seen, last), gamma, lam)


def confused_limit(seen, gamma, lam):
    """Takes a truncation for a termination."""
    discount = 1.0 - seen.steps.last
    return gae.advantages(eqx.tree_at(lambda r: r.steps.discount, seen, discount), gamma, lam)


def lenient_clip(actor, normalizer, seen, adv, hp, aux=()):
    """Clips values with min."""
    total, terms = ppo.loss(actor, normalizer, seen, adv, hp, aux)
    if hp.value_clip is None:
        return total, terms
    old, live = seen.value[:-1], 1.0 - seen.steps.last[:-1]
    value = ppo.replay(Normalized(normalizer, actor), seen).value.mean()
    near = old + jnp.clip(value - old, -hp.value_clip, hp.value_clip)
    error = jnp.minimum((value - adv - old) ** 2, (near - adv - old) ** 2) / 2
    error = jnp.sum(live * error) / live.sum()
    return total + hp.value_cost * (error - terms["value_loss"]), terms | {"value_loss": error}


def counts_the_dead(actor, normalizer, seen, adv, hp, aux=()):
    """Averages over steps whose action was ignored, too."""
    alive = jnp.zeros_like(seen.steps.last)
    return ppo.loss(actor, normalizer, eqx.tree_at(lambda r: r.steps.last, seen, alive), adv, hp, aux)


def shared_seeds(key, make_agent, setup, num_updates):
    """Every seed begins with the same key."""
    return learner.train(jax.random.key(0), make_agent, setup, num_updates)


def fixed_rate(key, now, seen, opt, hp, **more):
    """Does not read the learning rate."""
    return ppo.update(key, now, seen, opt, eqx.tree_at(lambda h: h.learning_rate, hp, jnp.float32(1e-3)), **more)


def unmasked(key, observation_space, action_space, **parts):
    """The actor never sees `allowed`."""

    class Blind(agent.Agent):
        def _speak(self, y, allowed):
            return super()._speak(y, None)

    made = agent.build(key, observation_space, action_space, **parts)
    blind = object.__new__(Blind)
    for name, part in vars(made).items():
        object.__setattr__(blind, name, part)
    return blind


def one_size(key, observation_space, action_space, **parts):
    """The actor has the critic's layers."""
    parts["actor_hidden"] = parts["critic_hidden"]
    return agent.build(key, observation_space, action_space, **parts)


BROKEN = [
    (restarting, collector.LAWS, "C2"),
    (late_carry, collector.LAWS, "M4"),
    (folded, collector.LAWS, "M4"),
    (clipped_action, collector.LAWS, "M4"),
    (clipped_policy, collector.LAWS, "Box"),
    (previous_last, learner.LAWS, "L1"),
    (confused_limit, learner.LAWS, "L1"),
    (lenient_clip, learner.LAWS, "L2"),
    (counts_the_dead, learner.LAWS, "L2"),
    (shared_seeds, learner.LAWS, "L4"),
    (fixed_rate, learner.LAWS, "L5"),
    (unmasked, learner.LAWS, "masks"),
    (one_size, learner.LAWS, "B1"),
]
