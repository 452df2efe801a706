"""The command line: groups, sweeps, spellings, types and bounds; errors name field, value and remedy."""

import pytest
from configs import GRU, MLP, one, refused, written

from romanesco.core.errors import BadInput
from romanesco.lab.compose import resolve


def test_a_group_chosen_on_the_command_line_drops_the_preset_s_values_and_says_so():
    config = one("memory=agalite", preset="quickstart")
    assert (config.memory.layers, config.memory.heads) == (4, 4)
    assert any("memory.layers=1" in note and "memory.heads=2" in note for note in config.notes)


def test_values_beside_the_choice_stay():
    assert one("memory.units=5", "memory=gru").memory.units == 5


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("memory=gruu", ("`gru`", "lstm")),
        ("env=CartPole-v2", ("`CartPole-v1`",)),
        ("algorithm=pppo", ("`ppo`",)),
        ("env.coridor_length=3", ("no key `env.coridor_length`", "`env.corridor_length`", "env.cue")),
        ("memory.units=3", ("no key `memory.units`", "memory=lstm, gru")),
        ("log=x", ("section", "log.every")),
        ("agent.gama=1", ("no key `agent.gama`", "agent.act")),
    ],
)
def test_unknown_names_get_the_nearest_and_those_of_the_place(said, words):
    message = refused(said, preset="quickstart")
    assert all(word in message for word in words), message


def test_aliases_and_identifiers_of_gymnax_are_environments():
    assert one("env=MountainCar-v0", preset=None).env.name == "mountaincar"
    for spelled in ("env=gymnax:Breakout-MinAtar", "env=minatar/breakout"):
        assert (env := one(spelled, preset=None).env).name == "gymnax" and env.id == "Breakout-MinAtar"
    assert "env.id" in refused("env=gymnax", preset=None)


def test_a_sweep_is_the_product_of_its_choices_in_order():
    swept = resolve(MLP, ["algorithm.learning_rate=1e-3,3e-4", "seed=range(0,3)", "memory=choice(none,gru)"])
    got = [(c.algorithm.learning_rate, c.seed, c.memory.name) for c in swept]
    assert got == [(rate, seed, m) for rate in (1e-3, 3e-4) for seed in (0, 1, 2) for m in ("none", "gru")]


def test_presets_are_swept_too():
    assert [c.memory.name for c in resolve(f"{MLP},{GRU}")] == ["none", "gru"]


def test_lists_are_values_and_lists_of_lists_sweeps():
    assert one("agent.actor_hidden=[8,9]").agent.actor_hidden == [8, 9]
    assert [c.agent.actor_hidden for c in resolve(MLP, ["agent.actor_hidden=[8],[]"])] == [[8], []]
    groups = [c.encoder.tokens for c in resolve("cartpole/attention", ["encoder.tokens=[[0,2],[1,3]],[]"])]
    assert groups == [[[0, 2], [1, 3]], []]


@pytest.mark.parametrize("said", ["[0,2]", "[[0,-1]]", "[[[0]]]", "0"])
def test_lists_of_lists_say_what_they_are(said):
    with pytest.raises(BadInput, match=r"a list such as \[\[0,2\],\[1\]\], each an integer of at least 0"):
        resolve("cartpole/attention", [f"encoder.tokens={said}"])


@pytest.mark.parametrize("said", ["seed=interval(0,1)", "seed=glob(*)", "seed=range(3,1)", "seed=range(0,1e9)"])
def test_other_sweeps_are_refused(said):
    assert "seed" in refused(said)


@pytest.mark.parametrize(
    ("said", "fixed"),
    [
        (["--learning-rate", "3e-4"], "algorithm.learning_rate=3e-4"),
        (["--algorithm.gamma=0.9", "seeds=1"], "algorithm.gamma=0.9 seeds=1"),
        (["--exp-name", "x", "--timesteps", "5", "--seed", "1"], "name=x total_steps=5 seed=1"),
        (["--env", "cartpole", "--updates=3"], "env=cartpole updates=3"),
        (["ppo.clip_ratio=.2", "seeds=1"], "algorithm.clip=.2 seeds=1"),
        (["task.corridor_len=9"], "env.corridor_length=9"),
        (["task.env_name=tmaze"], "env=tmaze"),
        (["+cartpole=gru"], "romanesco train cartpole/gru"),
        (["+tmaze=agalite"], "romanesco train tmaze/agalite"),
        (["+tmaze_walk=agalite"], "romanesco train env=tmaze_walk memory=agalite"),
        (["+seeds=3"], "write seeds=3"),
    ],
)
def test_spellings_of_others_are_answered_with_the_same_command_in_ours(said, fixed):
    assert fixed in refused(*said)


@pytest.mark.parametrize(
    "said",
    ["~memory", "hydra.run.dir=x", "+hydra.x=1", "hydra/launcher=x", "env._target_=os.system", "memory={_target_:x}",
     "name=${oc.env:HOME}", "name=${hydra:runtime}", "name='${oc.env:HOME}'", "name=${a.${b}}"],
)  # fmt: skip
def test_what_could_run_code_or_read_the_environment_is_refused(said):
    refused(said)


def test_a_resolver_is_refused_in_files_too(tmp_path):
    assert "resolver" in refused(config_file=written(tmp_path, "root: ${oc.env:HOME}"))


def test_other_keys_may_be_named_and_are_converted():
    config = one("num_envs=${seeds}", "name=s${seed}", "seeds=16")
    assert (config.num_envs, config.name) == (16, "s0")


@pytest.mark.parametrize("said", [["seeds=${seed}", "seed=${seeds}"], ["num_envs=${device}"], ["num_envs=${nothing}"]])
def test_references_that_lead_nowhere_are_named(said):
    assert said[-1].split("=")[0] in refused(*said)


@pytest.mark.parametrize(
    "value", ["a=b", "old runs/lr=1e-3", "old runs/räum", "[x", "x{y", "it's", "f(x)", "[a]", "1e3"]
)
def test_values_that_the_grammar_refuses_are_quoted_for_the_user(value):
    assert one(f"root={value}").root == value


def test_quoted_values_lose_their_quotes():
    assert one("root='old runs/lr=1e-3'").root == "old runs/lr=1e-3"
    assert one('root="a,b"').root == "a,b"


def test_a_list_that_needs_quotes_is_answered_with_them():
    assert "\"root='rä','b'\"" in refused("root=rä,b")


@pytest.mark.parametrize("said", ["name=lr=1e-3", "name=a/b", "name=..", "name=", "name=räum"])
def test_names_are_plain(said):
    message = refused(said)
    assert message.startswith("name=") and "mismatched" not in message


def test_a_word_without_a_value_is_answered():
    assert "key=value" in refused("seeds") and "key=value" in refused("tmaze/agalite")


@pytest.mark.parametrize("text", ["1e4", "10_000", "10000", "1e+4", "'10000'", "10000.0"])
def test_integers_in_all_spellings(text):
    total = one(f"total_steps={text}").total_steps
    assert total == 10000 and isinstance(total, int)


@pytest.mark.parametrize("text", ["3e-4", "'3e-4'", "0.0003", ".0003", "3E-4"])
def test_numbers_in_all_spellings(text):
    assert one(f"algorithm.learning_rate={text}").algorithm.learning_rate == 3e-4


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("num_envs=abc", "an integer of at least 1"),
        ("num_envs=1.5", "an integer"),
        ("num_envs=true", "an integer"),
        ("total_steps=0", "at least 1"),
        ("total_steps=1e300", "an integer"),
        ("eval.episodes=-5", "at least 0"),
        ("algorithm.learning_rate=fast", "a number above 0"),
        ("algorithm.gamma=1.1", "at most 1"),
        ("algorithm.clip=nan", "a number above 0"),
        ("algorithm.gamma=inf", "at most 1"),
        ("algorithm.normalize=obss", "did you mean `obs`?"),
        ("algorithm.anneal=[clipp]", "did you mean `clip`?"),
        ("log.sinks=jsonl", "a list such as [jsonl,tensorboard]"),
        ("agent.actor_hidden=[64,0]", "at least 1"),
        ("log.git_diff=maybe", "true or false"),
        ("precision=float16", "float32, tf32, bfloat16"),
        ("log.every=0", "at least 1"),
        ("log.every=0%", "0%"),
        ("eval.every=101%", "100%"),
        ("devices=some", "auto"),
        ("algorithm.shuffle_groups=auto8", "auto"),
    ],
)
def test_each_field_has_type_bounds_and_choices(said, words):
    message = refused(said)
    assert said.split("=")[0] in message and words in message, message


def test_null_is_a_value_where_a_field_may_be_empty():
    assert one("name=null", "env.max_steps=null").name is None
    assert "seeds" in refused("seeds=null")
