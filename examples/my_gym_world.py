"""A Gymnasium environment of your own, trained on as it is: reach a mark that is drawn anew in each episode."""

import gymnasium
import numpy as np

import romanesco as rm


class Reach(gymnasium.Env):
    """Step left or right along a line of 9 cells; +1 on the mark, which ends the episode; 30 steps at most."""

    observation_space = gymnasium.spaces.Box(0, 8, (2,), np.float32)  # cell, mark
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cell, self.t = 4, 0
        self.mark = int(self.np_random.choice([0, 8]))
        return self._seen(), {}

    def step(self, action):
        self.t += 1
        self.cell = int(np.clip(self.cell + 2 * int(action) - 1, 0, 8))
        there = self.cell == self.mark
        return self._seen(), float(there), there, self.t == 30, {"success": there}

    def _seen(self):
        return np.array([self.cell, self.mark], np.float32)


if __name__ == "__main__":
    run = rm.train(env=Reach, total_steps=30_000, name="reach")
    print(run.results["iqm"])
