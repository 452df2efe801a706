"""Gymnasium environments that tests put on the host: sound ones and broken ones."""

import copy
import os
import time

import gymnasium
import numpy as np

SCRIPT = [(1.0, False, False), (2.0, True, False), (3.0, False, True), (4.0, True, True)]


class Scripted(gymnasium.Env):
    """Episodes of 2 steps whose ends follow SCRIPT in turn: none, terminated, truncated, both; the buffer is reused."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self):
        self.buffer, self.calls = np.zeros(2), 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.buffer[:] = self.calls, self.np_random.random()
        return self.buffer, {}

    def step(self, action):
        reward, terminated, truncated = SCRIPT[self.calls % len(SCRIPT)]
        self.calls += 1
        self.buffer[:] = self.calls, self.np_random.random()
        return self.buffer, reward, terminated, truncated, {}


def scripted() -> Scripted:
    return Scripted()


ONE = Scripted()


class Old:
    """The older form: four answers, the limit told in `info`, no seed."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self):
        self.t = 0
        return [0.0]

    def step(self, action):
        self.t += 1
        return [0.5], np.array([1.0]), self.t == 3, {"TimeLimit.truncated": True, "success": np.bool_(True)}


class Broken(gymnasium.Env):
    """Goes wrong at its 40th step, in the way that `how` names."""

    observation_space = gymnasium.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, how: str = "raises"):
        self.how, self.calls = how, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(3, np.float32), {}

    def step(self, action):
        self.calls, self.t = self.calls + 1, self.t + 1
        obs, reward = np.full(3, 0.5, np.float32), 1.0
        if self.calls == 40:
            match self.how:
                case "raises":
                    raise ZeroDivisionError("the physics exploded")
                case "shape":
                    obs = np.zeros(4, np.float32)
                case "nan reward":
                    reward = float("nan")
                case "nan obs":
                    obs[1] = np.nan
                case "hangs":
                    time.sleep(60)
                case "dies":
                    os._exit(7)
        return obs, reward, False, self.t == 10, {}


class Trees(gymnasium.Env):
    """Observations and actions of many kinds at once."""

    observation_space = gymnasium.spaces.Dict(
        {
            "place": gymnasium.spaces.Tuple(
                [gymnasium.spaces.Discrete(3, start=-1), gymnasium.spaces.Box(0, 255, (2, 2), np.uint8)]
            ),
            "bits": gymnasium.spaces.MultiBinary([2, 3]),
            "many": gymnasium.spaces.MultiDiscrete([[2, 3], [4, 2]]),
        }
    )
    action_space = gymnasium.spaces.MultiDiscrete([[2, 3], [4, 2]])

    def __init__(self):
        self.observation_space = copy.deepcopy(Trees.observation_space)  # it draws: each environment its own

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.t = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(np.asarray(action, np.int64)), action
        self.t += 1
        return self.observation_space.sample(), 0.5, self.t == 5, False, {}


class Parts(gymnasium.Env):
    """Episodes of one step whose action has parts of every kind; pays a share for each of those that are right."""

    observation_space = gymnasium.spaces.Dict({"x": gymnasium.spaces.Box(0, 1, (2,), np.float32)})
    action_space = gymnasium.spaces.Dict(
        {
            "turn": gymnasium.spaces.Discrete(3, start=-1),
            "keys": gymnasium.spaces.Tuple([gymnasium.spaces.MultiBinary(2), gymnasium.spaces.MultiDiscrete([2, 3])]),
            "throttle": gymnasium.spaces.Box(-1, 1, (1,), np.float32),
        }
    )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {"x": np.ones(2, np.float32)}, {}

    def step(self, action):
        assert self.action_space.contains(action), action
        bits, many = action["keys"]
        right = (action["turn"] == -1, bits[0] == 1, bits[1] == 0, many[1] == 2)
        reward = sum(map(float, right)) + 1 - abs(float(action["throttle"][0]) - 0.5)
        return {"x": np.ones(2, np.float32)}, reward, True, False, {}


for how in ("raises", "shape", "nan reward", "nan obs", "hangs", "dies"):
    gymnasium.register(f"Broken{how.title().replace(' ', '')}-v0", entry_point=Broken, kwargs={"how": how})
gymnasium.register("Scripted-v0", entry_point=Scripted)
