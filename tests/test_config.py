"""The configuration: precedence, files, and numbers that depend on one another."""

import pytest
from configs import GRU, MLP, one, refused, written

from romanesco.lab.sizes import shuffle_groups


def test_defaults_then_preset_then_file_then_command_line(tmp_path):
    file = written(tmp_path, "algorithm: {gamma: 0.5, lam: 0.6}")
    config = one("algorithm.lam=0.7", config_file=file)
    a = config.algorithm
    assert (a.value_cost, a.epochs, a.gamma, a.lam) == (0.5, 20, 0.5, 0.7)


def test_keywords_come_last_and_keep_their_types():
    config = one("seeds=3", "name=x", fields={"seeds": 4, "memory": "lstm", "encoder": {"name": "linear", "width": 8}})
    assert (config.seeds, config.memory.name, config.encoder.width) == (4, "lstm", 8)


def test_of_one_key_said_twice_the_last_counts():
    assert one("seeds=3", "seeds=4,5", "seeds=6").seeds == 6


def test_a_file_may_name_its_preset_and_the_command_line_another(tmp_path):
    file = written(tmp_path, f"preset: {GRU}\nseeds: 2")
    assert one(preset=None, config_file=file).memory.name == "gru"
    assert one(preset=MLP, config_file=file).memory.name == "none"


def test_a_string_chooses_an_option_and_a_mapping_sets_values(tmp_path):
    assert one(config_file=written(tmp_path, "memory: gru")).memory.name == "gru"
    assert one(config_file=written(tmp_path, "memory: {layers: 3}")).memory.layers == 3
    assert one(config_file=written(tmp_path, "memory: {name: lstm, units: 7}")).memory.units == 7


def test_without_a_preset_an_environment_is_needed():
    assert one("env=CartPole-v1", preset=None).env.name == "cartpole"
    message = refused(preset=None)
    assert "env" in message and "quickstart" in message


def test_an_environment_object_needs_no_name_and_drops_the_settings_of_the_preset_s():
    assert one(preset=None, objects=frozenset({"env"})).env.name == "object"
    config = one("env.stack=2", preset="quickstart", objects=frozenset({"env"}))
    assert config.env.stack == 2 and any("env.corridor_length=20" in note for note in config.notes)
    assert "object" in refused("env=object")


NUMBERS = f"""preset: {MLP}
total_steps: 1e4
num_envs: !!float 8
algorithm:
  learning_rate: 1e-4
  gamma: .99
  horizon: '32'
  clip: 2E-1
eval:
  every: 5_000
"""


def test_numbers_in_a_file_are_numbers(tmp_path):
    config = one(preset=None, config_file=written(tmp_path, NUMBERS))
    a = config.algorithm
    assert (config.total_steps, config.num_envs, config.eval.every, a.horizon) == (10000, 8, 5000, 32)
    assert (a.learning_rate, a.gamma, a.clip) == (1e-4, 0.99, 0.2)


def test_a_file_saved_on_windows_is_the_same(tmp_path):
    windows = b"\xef\xbb\xbf" + NUMBERS.replace("\n", "\r\n").encode()
    (tmp_path / "w").mkdir()
    plain, other = written(tmp_path, NUMBERS), written(tmp_path / "w", windows)
    assert one(preset=None, config_file=plain) == one(preset=None, config_file=other)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("seeds: [1", "line"),
        ("- 1", "mapping"),
        ("seeds: 1\nseeds: 2", "twice"),
        ("seeds: !!python/object/apply:os.system [ls]", "tag"),
        (b"name: r\xe4um", "UTF-8"),
        ("#" * 10**6 + "\n", "larger"),
        ("sedes: 2", "`seeds`"),
        ("env: {name: cartpole, gravty: 2}", "`env.gravity`"),
        ("algorithm: {learning_rate: fast}", "algorithm.learning_rate=fast"),
        ("memory: [gru]", "memory"),
        ("seeds: &a [*a]", "seeds=[[...]]"),
        ("name: !!timestamp x", "tag"),
        ("preset: [a]", "preset"),
    ],
)
def test_bad_files_are_answered_in_one_line(tmp_path, text, word):
    assert word in refused(config_file=written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    assert "nowhere.yaml" in refused(config_file=tmp_path / "nowhere.yaml")


def test_texts_stay_texts(tmp_path):
    assert one(config_file=written(tmp_path, "root: 2020-01-01")).root == "2020-01-01"
    assert "root" in refused(config_file=written(tmp_path, "root: 1e3"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cartpol/mlp", ("`cartpole/mlp`",)),
        ("cartpole/lstm", ("cartpole/gru, cartpole/mlp", "memory=lstm")),
        ("cartpole", ("env=cartpole", "cartpole/gru")),
    ],
)
def test_unknown_presets_get_the_nearest(name, words):
    message = refused(preset=name)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("said", "preset", "words"),
    [
        (
            ("num_envs=1", "algorithm.minibatches=4"),
            GRU,
            ("num_envs=1", "minibatches=4", "horizon=32", "multiple of 4"),
        ),
        (("algorithm.minibatches=3",), MLP, ("256 samples", "1, 2, 4, 8", "multiple of 3")),
        (("num_envs=1", "algorithm.horizon=4", "algorithm.minibatches=4"), MLP, ("of one step each", "fewer minib")),
        (("algorithm.shuffle_groups=3",), MLP, ("num_envs=8", "1, 2, 4, 8")),
        (
            ("algorithm.shuffle_groups=8", "algorithm.minibatches=2"),
            GRU,
            ("shuffle_groups=8", "minibatches allowed: 1"),
        ),
        (("memory=window", "memory.heads=3"), "quickstart", ("width 32", "1, 2, 4, 8, 16, 32")),
        (("env.corridor_length=300", "env.position_bits=8"), "quickstart", ("256", "position_bits=9")),
        (("env.start_distance=20",), "quickstart", ("corridor_length=20",)),
        (("total_steps=7", "updates=7"), MLP, ("updates=1", "one of the two")),
        (("env.init_low=0",), "mountaincar/mlp", ("init_high=-0.4",)),
        (("encoder.heads=5",), "cartpole/attention", ("encoder.width=64", "1, 2, 4, 8, 16, 32, 64")),
        (
            ("encoder=attention", "encoder.pool=before", "algorithm.minibatches=16"),
            MLP,
            ("num_envs=8 streams (encoder.pool=before keeps", "1, 2, 4, 8"),
        ),
        (("encoder=mlp", "encoder.hidden=[]"), MLP, ("encoder=identity",)),
    ],
)
def test_numbers_that_do_not_fit_are_refused_with_those_that_do(said, preset, words):
    message = refused(*said, preset=preset)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("streams", "minibatches", "memory", "groups"),
    [(64, 4, "gru", 8), (8, 4, "gru", 2), (8, 1, "gru", 8), (12, 3, "gru", 4), (6, 2, "gru", 1), (3, 4, "none", 1)],
)
def test_shuffle_groups_are_the_largest_power_of_two_that_divides(streams, minibatches, memory, groups):
    config = one(f"num_envs={streams}", f"algorithm.minibatches={minibatches}", f"memory={memory}")
    assert config.algorithm.shuffle_groups == groups == shuffle_groups(config)


def test_another_memory_takes_fewer_of_the_preset_s_minibatches_but_never_of_the_user_s():
    config = one("memory=gru", preset="acrobot/mlp")
    assert config.algorithm.minibatches == 16 and any("minibatches=64" in note for note in config.notes)
    assert "minibatches=64" in refused("memory=gru", "algorithm.minibatches=64", preset="acrobot/mlp")


def test_position_bits_follow_the_corridor():
    bits = lambda length: one(f"env.corridor_length={length}", preset="quickstart").env.position_bits
    assert (bits(20), bits(256), bits(257), bits(1000)) == (8, 8, 9, 10)


def test_a_budget_is_rounded_up_to_whole_updates_and_that_is_said():
    config = one("total_steps=10000")
    assert (config.total_steps, config.updates, config.final_step) == (10000, 40, 10240)
    assert any("10240" in note and "40 updates" in note for note in config.notes)
    assert one("total_steps=100").updates == 1


def test_updates_are_another_way_to_say_the_budget():
    assert one("updates=7").total_steps == 7 * 256
    assert one("updates=7", "num_envs=16").total_steps == 7 * 512


def test_the_later_of_updates_and_total_steps_counts(tmp_path):
    assert one("total_steps=512", config_file=written(tmp_path, "updates: 9")).updates == 2
    assert one("updates=9", config_file=written(tmp_path, "total_steps: 512")).total_steps == 9 * 256


def test_more_than_ten_million_steps_are_one_seed_unless_seeds_are_said():
    assert one("total_steps=1e8").seeds == 1
    assert one("total_steps=1e8", "seeds=2").seeds == 2


def test_intervals_become_env_steps():
    config = one("total_steps=10000", "log.every=2.5%", "eval.every=never", "checkpoint.every=3000")
    assert (config.log.every, config.eval.every, config.checkpoint.every) == (250, 0, 3000)


def test_evaluations_are_met_at_the_first_update_boundary():
    config = one("total_steps=10000", "eval.every=1000")
    targets = config.eval_targets()
    assert targets == [0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40]
    assert one("total_steps=1000", "eval.every=1").eval_targets() == [0, 1, 2, 3, 4]
    assert one("total_steps=1000", "eval.every=100%").eval_targets() == [0, 4]
    assert one("eval.every=0").eval_targets() == []


def test_what_weakens_a_memory_is_noted():
    assert any("rank 1" in note for note in one("memory=agalite", "memory.basis=reference", "memory.channels=2").notes)
    for memory in ("window", "gtrxl"):
        assert any("horizon=32" in note for note in one(f"memory={memory}", "encoder=linear").notes)


def test_every_key_that_is_not_handed_on_whole_is_read_somewhere():
    """Environments, memories, encoders and heads get their whole group; every other key needs a reader of its own."""
    import pathlib
    import re

    from romanesco.lab.config import ROOT, SECTIONS
    from romanesco.lab.fields import settings
    from romanesco.lab.options import GROUPS

    root = pathlib.Path(__file__).parent.parent / "romanesco"
    readers = ("run", "loop", "devices", "group", "build", "jobs", "initial")
    files = [*(root / "lab" / f"{name}.py" for name in readers), root / "api.py"]
    code = "\n".join(path.read_text() for path in files)
    keys = [*ROOT, *(f"{s}.{k}" for s, cls in SECTIONS.items() if s != "agent" for k in settings(cls))]
    keys += [f"algorithm.{k}" for k in settings(GROUPS["algorithm"]["ppo"])]
    settled = {"updates", "total_steps"}  # a run sees them as num_updates
    unread = [key for key in keys if key not in settled and not re.search(rf"\.{key.rpartition('.')[2]}\b", code)]
    assert not unread
