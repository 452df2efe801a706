"""Worlds on the host: the laws, what an environment may be, and what happens when it breaks."""

import functools
import os
import signal
import subprocess
import sys
import warnings

import cloudpickle
import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from worlds_on_host import SCRIPT, Broken, Old, Parts, Scripted, Trees

from romanesco.agent.host import begin, collect_host
from romanesco.core.errors import BadInput, HostFault
from romanesco.core.spaces import Box, Discrete, MultiDiscrete, contains, describe, from_json, to_json
from romanesco.envs import ENVS
from romanesco.envs.gym import given, gym
from romanesco.envs.host import Host
from romanesco.envs.probe import probe8
from romanesco.envs.pure import cartpole
from romanesco.envs.table import ROWS
from romanesco.envs.tidy import Tidy
from romanesco.envs.tmaze import tmaze
from romanesco.lab.doctor import EXTRAS
from romanesco.laws.check import _case
from romanesco.laws.collector import fresh
from romanesco.laws.host import LAWS, c1_collectors

SETTINGS = [
    {}, {"stack": 2}, {"no_velocity": True}, {"rescale_actions": True}, {"stack": 3, "rescale_actions": True},
    {"sticky": 0.3, "action_delay": 2, "obs_delay": 1, "obs_dropout": 0.2, "obs_noise": 0.1, "show_previous": True,
     "reward_delay": 3, "reward_scale": 0.1, "reward_clip": 0.2, "action_repeat": 2},
]  # fmt: skip


def keys(n, seed=0):
    return jax.random.split(jax.random.key(seed), n)


@pytest.mark.parametrize("memory", ["none", "gru", "agalite"])
def test_c1_host_collector_is_the_device_collector(memory):
    c1_collectors(tmaze(corridor_length=3, max_steps=5), lambda env: fresh(jax.random.key(7), env, memory))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_c1_under_every_transform(settings):
    world = probe8(bound=0.1) if "rescale_actions" in settings else cartpole()
    c1_collectors(world, lambda env: fresh(jax.random.key(7), env, "gru"), **settings)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.kind == "host"])
def test_row_is_true(name):
    row = ROWS[name]
    pytest.importorskip(EXTRAS[row.extra][0], reason=f"{name} needs the extra `{row.extra}`")
    env = ENVS[name]()
    assert (row.observation, row.actions) == (describe(env.observation_space), describe(env.action_space))
    assert (row.limit, row.threshold) == (env.max_steps, env.threshold)
    assert name != "lander" or len(env.feature_names) == env.observation_space.shape[0]


def test_the_lander_draws_its_gravity_for_each_episode():
    pytest.importorskip("Box2D", reason="LunarLander needs the extra `box2d`")
    world = ENVS["lander"](randomize={"gravity": [-11.0, -2.0]}, context=True, max_steps=5, no_velocity=True)
    env, shown, ts = world.streams(2), [], None
    env.reset(keys(2))
    for _ in range(18):
        ts = env.step(keys(2), np.zeros(2, np.int32))
        gravity = np.array([one.env.env.unwrapped.gravity for one in env.vector.envs])
        np.testing.assert_allclose(ts.obs["context"][:, 0], (gravity + 11) / 9 * 2 - 1, atol=1e-5)
        shown.append(gravity)
    assert len(np.unique(shown)) == 8 and np.min(shown) >= -11 and np.max(shown) <= -2
    assert set(world.params) == {"gravity", "wind_power", "turbulence_power"} and world.feature_names is None
    with pytest.raises(BadInput, match=r"randomize.wind: no such parameter; did you mean `wind_power`"):
        ENVS["lander"](randomize={"wind": [0, 1]})


def of(make):
    return lambda n, vectorization: given(make, num_envs=n, vectorization=vectorization)


@pytest.mark.parametrize("make", [Scripted, Trees, Parts], ids=["scripted", "trees", "parts"])
@pytest.mark.parametrize("law", LAWS)
def test_law(law, make):
    LAWS[law](of(make))


@pytest.mark.parametrize("law", ["E1", "E2", "H4"])
def test_law_on_a_native_vector_environment(law):
    LAWS[law](lambda n, vectorization: gym("CartPole-v1", num_envs=n, vectorization="native"))


@pytest.mark.parametrize("name", ["Scripted", "scripted", "ONE"])
def test_check_finds_the_host_in_a_class_a_function_and_an_object(name):
    kind, laws, make = _case(f"worlds_on_host:{name}")
    assert kind.endswith("environment on the host") and laws is LAWS
    assert make(2, "sync").streams(2).num_envs == 2


def test_h2_each_way_to_end():
    env = given(Scripted).streams(1)
    ts = env.reset(keys(1))
    seen, calls = [], 0
    for _ in range(12):
        ended = bool(ts.last[0])
        ts = env.step(keys(1), np.zeros(1, np.int32))
        if ended:
            assert ts.first[0] and ts.reward[0] == 0 and ts.discount[0] == 1 and not ts.last[0]
            continue
        reward, terminated, truncated = SCRIPT[calls % len(SCRIPT)]
        calls += 1
        assert (ts.reward[0], ts.discount[0], ts.last[0]) == (
            reward,
            0.0 if terminated else 1.0,
            terminated or truncated,
        )
        seen.append(float(env.metrics()["return"][0]))
    assert seen[:3] == [1.0, 3.0, 3.0]  # the sum runs on to the first end and begins again after it


def test_a_repeated_action_sums_rewards_and_stops_at_an_end():
    world = given(Scripted, action_repeat=2)
    env, told = world.streams(1), []
    env.reset(keys(1))
    for _ in range(5):
        ts = env.step(keys(1), np.zeros(1, np.int32))
        if not ts.first[0]:
            told.append((float(ts.reward[0]), float(ts.discount[0]), float(env.metrics()["length"][0])))
    assert told == [(3, 0, 2), (3, 1, 1), (4, 0, 1)]
    assert gym("Acrobot-v1", action_repeat=3).max_steps == 167
    with pytest.raises(BadInput, match="action_repeat=0"):
        given(Scripted, action_repeat=0)


def test_h3_a_same_step_vector_environment_becomes_the_same_stream():
    asked = {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}
    vector = gymnasium.make_vec("Scripted-v0", num_envs=2, vectorization_mode="sync", vector_kwargs=asked)
    ways = [given(vector, num_envs=2), given(gymnasium.make("Scripted-v0"), num_envs=2), gym("Scripted-v0", num_envs=2)]
    streams = [world.streams(2) for world in ways]
    for env in streams:
        env.reset(keys(2))
    for _ in range(10):
        first, *others = [env.step(keys(2), np.zeros(2, np.int32)) for env in streams]
        for other in others:
            jax.tree.map(np.testing.assert_array_equal, first, other)
    with pytest.raises(BadInput, match="NEXT_STEP"):
        Host(vector)


def test_spaces_become_ours_and_survive_json():
    env = given(Trees).streams(1)
    space = env.observation_space
    assert space["place"][0] == Discrete(3, -1) and space["bits"] == MultiDiscrete([[2, 2, 2]] * 2)
    assert env.action_space == MultiDiscrete([[2, 3], [4, 2]])
    box = Box((2,), np.float32, [-np.inf, 0.1], 5)
    for one in (space, env.action_space, box):
        assert from_json(to_json(one)) == one
    assert contains(box, np.array([3, 0.5], np.float32))


def test_a_mask_of_actions_is_of_booleans_and_obeyed():
    class Masked(Scripted):
        observation_space = gymnasium.spaces.Dict(
            {"x": Scripted.observation_space, "allowed": gymnasium.spaces.MultiBinary(2)}
        )

        def reset(self, **told):
            obs, info = super().reset(**told)
            return {"x": obs, "allowed": np.array([0, 1], np.int8)}, info

        def step(self, action):
            assert action == 1
            obs, *rest = super().step(action)
            return {"x": obs, "allowed": np.array([0, 1], np.int8)}, *rest

    world = given(Masked, num_envs=3)
    assert world.observation_space["allowed"] == Box((2,), bool, False, True)
    assert from_json(to_json(world.observation_space)) == world.observation_space
    actor, env = fresh(jax.random.key(0), world, "none"), world.streams(3)
    streams = begin(jax.random.key(1), world, env, actor)
    _, rollout, _ = collect_host(jax.random.key(2), world, env, actor, streams, 8)
    assert rollout.steps.obs["allowed"].dtype == bool and (rollout.action == 1).all()


@pytest.mark.parametrize("kind", ["Text", "Graph", "Sequence"])
def test_a_space_that_nothing_reads_is_named_with_its_place(kind):
    class Odd(Scripted):
        observation_space = gymnasium.spaces.Dict(
            {
                "x": {
                    "Text": gymnasium.spaces.Text(3),
                    "Graph": gymnasium.spaces.Graph(gymnasium.spaces.Discrete(2), None),
                    "Sequence": gymnasium.spaces.Sequence(gymnasium.spaces.Discrete(2)),
                }[kind]
            }
        )

    with pytest.raises(BadInput, match=rf"observation\['x'\].*{kind}.*Dict and Tuple"):
        given(Odd)


def test_the_older_form_is_understood():
    env = given(Old, num_envs=2).streams(2)
    env.reset(keys(2))
    for _ in range(3):
        ts = env.step(keys(2), np.zeros(2, np.int32))
    assert ts.last.all() and (ts.discount == 1).all() and ts.obs.dtype == np.float32
    assert env.metrics()["success"].tolist() == [1.0, 1.0] and env.metrics()["return"].tolist() == [3.0, 3.0]


def test_what_an_episode_tells_ends_with_it():
    class Tells(Scripted):
        """Episodes of one step; only the second one is a success, and only that one says so."""

        def step(self, action):
            obs, *_ = super().step(action)
            return obs, 1.0, True, False, {"success": True} if self.calls == 2 else {}

    class Late(Tells):
        def step(self, action):
            self.calls += 1  # its second episode is the other's third
            return super().step(action)

    env = Host(SyncVectorEnv([functools.partial(Tidy, make, i) for i, make in enumerate((Tells, Late))]))
    env.reset(keys(2))
    told = []
    for _ in range(4):
        assert env.step(keys(2), np.zeros(2, np.int32)).last.all()
        told.append(env.metrics().get("success", np.zeros(2)).tolist())
        env.step(keys(2), np.zeros(2, np.int32))
    assert told == [[0, 1], [1, 0], [0, 0], [0, 0]]


class Shown(Scripted):
    """Shows what it is told, in bytes."""

    observation_space = gymnasium.spaces.Box(0, 255, (2,), np.uint8)

    def __init__(self, *shown):
        super().__init__()
        self.shown = list(shown)

    def reset(self, **told):
        return self.shown.pop(0), super().reset(**told)[1]

    def step(self, action):
        return self.shown.pop(0), *super().step(action)[1:]


def test_an_observation_that_its_space_cannot_hold_is_a_fault():
    for wrong in (np.array([0.5, 0.0]), np.array([300, 0]), [-1, 0]):
        env = given(functools.partial(Shown, [0.0, 255.0], wrong)).streams(1)
        assert env.reset(keys(1)).obs.tolist() == [[0, 255]]
        with pytest.raises(HostFault, match=r"observation of \w+ whose numbers are none of its space's uint8"):
            env.step(keys(1), np.zeros(1, np.int32))


@pytest.mark.parametrize("success", ["yes", None, [True, False]])
def test_a_success_that_is_no_number_is_named(success):
    class Odd(Scripted):
        def step(self, action):
            return *super().step(action)[:-1], {"success": success}

    env = given(Odd).streams(1)
    env.reset(keys(1))
    with pytest.raises(HostFault, match=r"info\['success'\] is .* where a number is needed"):
        env.step(keys(1), np.zeros(1, np.int32))


@pytest.mark.parametrize(
    ("how", "said"),
    [("raises", "environment [01] broke at its step 40: ZeroDivisionError: the physics exploded .*worlds_on_host.py"),
     ("shape", r"observation of shape \(4,\), where its space says \(3,\)"),
     ("nan reward", "environment 0 gave nan in reward"), ("nan obs", r"environment 0 gave nan in observation\[1\]")],
)  # fmt: skip
@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_a_fault_says_where(how, said, vectorization):
    env = given(functools.partial(Broken, how), num_envs=2, vectorization=vectorization).streams(2)
    env.reset(keys(2))
    with pytest.raises(HostFault, match=said), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(60):
            env.step(keys(2), np.zeros(2, np.int32))
    env.close()


@pytest.mark.parametrize(("how", "vectorization"), [("hangs", "sync"), ("hangs", "async"), ("dies", "async")])
def test_silence_and_death_are_faults(how, vectorization):
    make = functools.partial(Broken, how)
    env = given(make, num_envs=2, vectorization=vectorization, timeout=1.5).streams(2)
    env.reset(keys(2))
    with pytest.raises(HostFault, match=r"env.timeout=1.5 s" if how == "hangs" else "died"):
        for _ in range(60):
            env.step(keys(2), np.zeros(2, np.int32))
    env.close()


def test_workers_do_not_hear_what_asks_a_run_to_end():
    env = given(Scripted, num_envs=2, vectorization="async").streams(2)
    for worker, number in zip(env.vector.processes, (signal.SIGINT, signal.SIGTERM), strict=True):
        os.kill(worker.pid, number)
    env.reset(keys(2))
    env.step(keys(2), np.zeros(2, np.int32))
    env.close()


@pytest.mark.slow
def test_workers_end_with_what_started_them():
    code = "import romanesco as rm\n"
    code += "make = lambda: rm.make('gymnasium:CartPole-v1', num_envs=1, vectorization='async')\n"
    code += "dropped = make().vector.processes\nopen = make()\nprint(dropped[0].is_alive())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")


def test_workers_import_no_jax(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("romanesco.envs.gym.AsyncVectorEnv", lambda made, **_: seen.extend(made) or SyncVectorEnv(made))
    gym("CartPole-v1", vectorization="async", num_envs=1).streams(1).close()
    (tmp_path / "maker").write_bytes(cloudpickle.dumps(seen[0]))  # as a worker receives it
    code = "import pickle, sys; pickle.load(open('maker', 'rb'))().reset(); print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize(
    ("action", "said"),
    [([0, 2], "stream 1: action 2"), ([0], r"shape \(1,\)"), ([0.0, 1.0], "float64"), ([-1, 0], "stream 0: action -1")],
)
def test_a_foreign_action_never_reaches_the_world(action, said):
    env = given(Scripted, num_envs=2).streams(2)
    env.reset(keys(2))
    with pytest.raises(BadInput, match=said):
        env.step(keys(2), np.array(action))


def test_every_part_of_an_action_is_checked():
    env = given(Parts, num_envs=2).streams(2)
    env.reset(keys(2))
    bits, many = np.zeros((2, 2), int), np.ones((2, 2), int)
    good = {"turn": np.array([-1, 1]), "keys": (bits, many), "throttle": np.ones((2, 1))}
    paid = env.step(keys(2), good).reward
    np.testing.assert_allclose(paid, [1 + 0 + 1 + 0 + 0.5, 0 + 0 + 1 + 0 + 0.5])
    with pytest.raises(BadInput, match=r"stream 1: action 2 is not in Discrete\(3, start=-1\)"):
        env.step(keys(2), good | {"turn": np.array([0, 2])})


@pytest.mark.parametrize(
    ("id", "said"),
    [("CartPole-v11", "CartPole-v1"), ("no_such_module:X-v0", "cannot import no_such_module")],
)
def test_an_unknown_id_is_named(id, said):
    with pytest.raises(BadInput, match=said):
        gym(id)


def test_an_object_that_cannot_be_copied_asks_for_a_factory():
    class Held(Scripted):
        def __deepcopy__(self, memo):
            raise TypeError("a handle")

    with pytest.raises(BadInput, match="give a factory"):
        given(Held())


def test_an_object_is_copied_with_what_was_done_to_it():
    class Sevenfold(gymnasium.RewardWrapper):
        def reward(self, reward):
            return 7 * float(reward)

    heavy = gymnasium.make("CartPole-v1")
    heavy.unwrapped.gravity = 99.0  # pyright: ignore[reportAttributeAccessIssue]
    assert given(heavy).streams(1).vector.envs[0].env.unwrapped.gravity == 99
    assert given(heavy).max_steps == 500
    env = given(Sevenfold(gymnasium.make("CartPole-v1"))).streams(1)
    env.reset(keys(1))
    assert env.step(keys(1), np.zeros(1, np.int32)).reward == [7.0]


def test_a_vector_environment_keeps_its_wrappers_and_its_limit():
    class Hundred(gymnasium.RewardWrapper):
        def reward(self, reward):
            return 100.0

    vector = gymnasium.make_vec("CartPole-v1", num_envs=1, vectorization_mode="sync", wrappers=[Hundred])
    env = given(vector, max_steps=3).streams(1)
    env.reset(keys(1))
    steps = [env.step(keys(1), np.zeros(1, np.int32)) for _ in range(3)]
    assert [float(ts.reward[0]) for ts in steps] == [100.0] * 3
    assert [bool(ts.last[0]) for ts in steps] == [False, False, True] and steps[-1].discount == [1.0]
    with pytest.raises(BadInput, match="TransformReward: a wrapper of a vector environment"):
        given(gymnasium.wrappers.vector.TransformReward(vector, lambda r: r * 7))
    with pytest.raises(BadInput, match="the factory makes a SyncVectorEnv"):
        given(lambda: gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync"))


def test_wind_needs_wind():
    pytest.importorskip("Box2D", reason="the lander needs the extra `box2d`")
    for settings in ({"wind_power": 3.0}, {"randomize": {"turbulence_power": [0, 1]}}):
        with pytest.raises(BadInput, match=r"env\.\w+_power: there is no wind without env.enable_wind=true"):
            ENVS["lander"](**settings)
        ENVS["lander"](enable_wind=True, **settings)


def test_a_missing_library_names_its_extra():
    class Needs(Scripted):
        def __init__(self):
            raise gymnasium.error.DependencyNotInstalled("Box2D is not installed")

    with pytest.raises(BadInput, match=r'DependencyNotInstalled.*pip install -e "\.\[box2d\]"'):
        given(Needs)
