"""Worlds: the registry of names, each imported when it is first used."""

from romanesco.core.registry import Registry

GAMES = ("repeat_previous", "repeat_first", "autoencode", "count_recall", "higher_lower", "concentration")

ENVS = Registry(
    "env",
    {
        "tmaze": "romanesco.envs.tmaze:tmaze",
        "tmaze_walk": "romanesco.envs.tmaze:tmaze_walk",
        "tmaze_endless": "romanesco.envs.corridors:tmaze_endless",
        "mysterypath": "romanesco.envs.mysterypath:mysterypath",
        **{f"probe{i}": f"romanesco.envs.probe:probe{i}" for i in range(1, 9)},
        "cartpole": "romanesco.envs.pure:cartpole",
        "acrobot": "romanesco.envs.pure:acrobot",
        "mountaincar": "romanesco.envs.pure:mountaincar",
        "pendulum": "romanesco.envs.pure:pendulum",
        "mountaincar_continuous": "romanesco.envs.pure:mountaincar_continuous",
        "craftax": "romanesco.envs.craftax:craftax",
        "lander": "romanesco.envs.gym:lander",
        "umbrella": "romanesco.envs.credit:umbrella",
        **{f"grid_{task}": f"romanesco.envs.rooms:grid_{task}" for task in ("rooms", "keys", "key_to_door", "abc")},
        **{f"popgym_{game}": f"romanesco.envs.popgym:{game}" for game in GAMES},
        "atari": "romanesco.envs.ale:atari",
        "memory_maze": "romanesco.envs.memory_maze:memory_maze",
        **{
            name: f"romanesco.envs.adapters:{name}" for name in ("navix", "xminigrid", "brax", "jumanji")
        },  # with an `id`
        "gymnax": "romanesco.envs.pure:gymnax_env",  # takes the `id` after `gymnax:`
        "gymnasium": "romanesco.envs.gym:gym",  # takes the `id` after `gymnasium:`
    },
)
