"""A loss term of your own: it joins the loss of every minibatch, and its metrics the log."""

import jax.numpy as jnp

import romanesco as rm


def small_features(agent, said, rollout, hp):
    """Penalizes large features: the mean square of `said.y` [T B D], what the heads read.

    `said` is the agent's replay of the minibatch (`said.dist`, `said.value`, `said.y`); `rollout` holds what was
    recorded, `hp` the hyperparameters. -> a scalar that joins the loss, and metrics, logged as `train/...`.
    """
    size = jnp.square(said.y).mean()
    return 1e-3 * size, {"feature_size": size}


if __name__ == "__main__":
    run = rm.train("cartpole/gru", aux=[small_features], total_steps=50_000, seeds=1, name="small_features")
    print(run.results["iqm"])
