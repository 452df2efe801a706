"""One episode of a game of popgym 1.0.7, as arrays. `python tests/popgym_games.py` records `tests/popgym.npz`.

popgym is a dependency of nothing here: `pip install --no-deps popgym==1.0.7`.
"""

import importlib
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("popgym.npz")
LEVELS = ("easy", "medium", "hard")
NAMES = {
    "repeat_previous": "RepeatPrevious",
    "repeat_first": "RepeatFirst",
    "autoencode": "Autoencode",
    "count_recall": "CountRecall",
    "higher_lower": "HigherLower",
    "concentration": "Concentration",
}


def _wise(env, game):
    """A right action, where the game's insides tell one; None elsewhere."""
    if game == "count_recall":
        return env.counts[env.query]
    if game == "concentration":
        kinds, up = env.deck_idx_type[env.deck.idx], set(env.deck["face_up_idx"])
        turned = env.deck["in_play_idx"]
        free = [i for i in range(len(kinds)) if i not in up and i not in turned]
        return next((i for i in free if not turned or kinds[i] == kinds[turned[0]]), free[0])
    return None


def played(game, level, seed=0):
    """-> cards in the order of the deal, those asked about, actions, and what was seen, paid and ended."""
    env = getattr(importlib.import_module(f"popgym.envs.{game}"), NAMES[game] + level.title())()
    draw = np.random.default_rng(seed)
    obs, _ = env.reset(seed=seed)
    if game == "count_recall":
        cards, queries = env.value_deck.idx[::-1], env.query_deck.idx[::-1]
    else:
        cards, queries = env.deck.idx[:: 1 if game == "concentration" else -1], []
    seen, told, actions = [np.copy(obs)], [], []
    while not told or not (told[-1][1] or told[-1][2]):
        wise = _wise(env, game)
        action = int(env.action_space.n * draw.random()) if wise is None or draw.random() < 0.2 else int(wise)
        obs, *said, _ = env.step(action)
        actions.append(action)
        told.append(said)
        seen.append(np.copy(obs))
    reward, terminated, truncated = (np.array(x) for x in zip(*told, strict=True))
    return {
        "cards": np.array(cards, np.int16), "queries": np.array(queries, np.int16),
        "action": np.array(actions, np.int16), "obs": np.array(seen, np.int16), "reward": reward.astype(np.float32),
        "terminated": terminated, "truncated": truncated,
    }  # fmt: skip


def recorded(game, level):
    """The same, from the file."""
    with np.load(FILE) as file:
        start = f"{game}/{level}/"
        return {name.removeprefix(start): file[name] for name in file.files if name.startswith(start)}


if __name__ == "__main__":
    rows = {(game, level): played(game, level) for game in NAMES for level in LEVELS}
    np.savez_compressed(FILE, **{f"{g}/{k}/{name}": x for (g, k), row in rows.items() for name, x in row.items()})
