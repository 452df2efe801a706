"""Checkpoints survive bit for bit (K1), any death (K3), any damage (K4) and a full disk (K5)."""

import errno
import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.core.errors import BadInput
from romanesco.lab.checkpoint import Damaged, clean, restore, save, save_best, steps, verify
from romanesco.lab.disk import Disk, DiskFull
from romanesco.lab.rows import Jsonl, rewind


def state(n=0):
    """A small state of every kind of leaf; `n` tells one from another."""
    x = np.arange(24, dtype=np.float32).reshape(4, 6) + n
    return {
        "learner": [jnp.asarray(x), jnp.full((), n, jnp.int32), jnp.asarray(x, jnp.bfloat16)],
        "bits": (jnp.arange(5) % 2 == 0, jnp.arange(3, dtype=jnp.uint8), jnp.arange(3, dtype=jnp.uint32) + n),
        "key": jax.random.key(n),
        "keys": jax.random.split(jax.random.key(n, impl="rbg"), 3),
        "empty": jnp.zeros((0, 3)),
        "none": None,
    }


def bits(tree):
    """Everything that makes two trees the same, NaN payloads and key implementations included."""

    def one(x):
        if isinstance(x, jax.Array) and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            return str(jax.random.key_impl(x)), np.asarray(jax.random.key_data(x)).tobytes()
        x = np.asarray(x)
        return x.dtype.name, x.shape, x.tobytes(order="C")

    leaves, structure = jax.tree.flatten(tree)
    return structure, [one(x) for x in leaves]


def files(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


# K1: bit for bit


def test_every_kind_of_leaf_survives(tmp_path):
    save(tmp_path, 7, state(3), {"update": 5, "time": 0.1})
    tree, counters, step, notes = restore(tmp_path, state(0))
    assert bits(tree) == bits(state(3))
    assert (counters, step, notes) == ({"update": 5, "time": 0.1, "offsets": {}}, 7, [])


@pytest.mark.parametrize(
    "layout",
    [lambda x: x.T, lambda x: x[::2, ::-1], np.asfortranarray, lambda x: x[0, 0], lambda x: x.astype(">f4")],
    ids=["transposed", "strided", "fortran", "0-d", "big-endian"],
)
def test_layout_in_memory_does_not_matter(tmp_path, layout):
    x = np.asarray(layout(np.arange(24, dtype=np.float32).reshape(4, 6)))
    save(tmp_path, 1, {"x": x}, {})
    tree, *_ = restore(tmp_path, {"x": x})
    assert tree["x"].shape == x.shape and tree["x"].dtype.name == x.dtype.name
    np.testing.assert_array_equal(tree["x"], x)


def test_special_floats_keep_their_bits(tmp_path):
    x = jax.lax.bitcast_convert_type(jnp.array([0x7FC12345, 0xFF800000, 0x80000000, 1], jnp.uint32), jnp.float32)
    save(tmp_path, 1, x, {})
    assert bits(restore(tmp_path, jnp.zeros(4))[0]) == bits(x)


def test_restored_key_draws_the_same_numbers(tmp_path):
    save(tmp_path, 1, state(3), {})
    key = restore(tmp_path, jax.eval_shape(state))[0]["key"]
    assert jax.random.uniform(key) == jax.random.uniform(jax.random.key(3))


def test_restored_arrays_can_be_donated(tmp_path):
    save(tmp_path, 1, jnp.ones(3), {})
    x = restore(tmp_path, jnp.ones(3))[0]
    jax.block_until_ready(jax.jit(lambda x: x + 1, donate_argnums=0)(x))
    assert x.is_deleted()


def test_other_leaves_are_refused_by_path(tmp_path):
    with pytest.raises(TypeError, match=r"\['rate'\] is a float"):
        save(tmp_path, 1, {"rate": 0.1}, {})


def test_structure_differences_are_listed_path_by_path(tmp_path):
    save(tmp_path, 1, {"a": jnp.ones(3), "b": jnp.ones(2), "c": jnp.ones(1), "k": jax.random.key(0)}, {})
    like = {"a": jnp.ones(4), "b": jnp.ones(2, jnp.int32), "d": jnp.ones(1), "k": jax.random.key(0, impl="rbg")}
    with pytest.raises(BadInput) as refusal:
        restore(tmp_path, like)
    for words in ("['a']: saved float32[3], asked for float32[4]", "['b']: saved float32[2], asked for int32[2]"):
        assert words in str(refusal.value)
    for words in ("['c']: float32[1] is only in the checkpoint", "['d']: float32[1] is missing", "key rbg"):
        assert words in str(refusal.value)
    assert steps(tmp_path) == [1]  # a question of the asker, not damage


# K3: killed after any operation


class Killed(BaseException):
    """The process is gone: no handler may run."""


class Mortal(Disk):
    """Lives for `n` operations, then dies: in the midst of a write, of which half arrives."""

    def __init__(self, n):
        self.left = n

    def _spend(self):
        self.left -= 1
        if self.left < 0:
            raise Killed

    def mkdir(self, path):
        self._spend()
        super().mkdir(path)

    def write(self, path, data):
        try:
            self._spend()
        except Killed:
            super().write(path, data[: len(data) // 2])
            raise
        super().write(path, data)

    def sync(self, path):
        self._spend()
        super().sync(path)

    def rename(self, old, new):
        self._spend()
        super().rename(old, new)

    def remove(self, path):
        self._spend()
        super().remove(path)


class Forgetful(Mortal):
    """Loses the power with the last operation: what was written and not synced is empty."""

    def __init__(self, n):
        super().__init__(n)
        self.unsynced = set()

    def _spend(self):
        try:
            super()._spend()
        except Killed:
            for path in [p for p in self.unsynced if p.is_file()]:
                path.write_bytes(b"")
            raise

    def write(self, path, data):
        self.unsynced.add(path)
        super().write(path, data)

    def sync(self, path):
        super().sync(path)
        self.unsynced.discard(path)

    def rename(self, old, new):
        super().rename(old, new)
        self.unsynced = {new / p.relative_to(old) if p.is_relative_to(old) else p for p in self.unsynced}


@pytest.mark.parametrize("kind", [Mortal, Forgetful])
def test_killed_after_any_operation_the_last_or_the_new_one_loads(tmp_path, kind):
    deaths = 0
    for n in range(100):
        folder = tmp_path / str(n)
        for step in (1, 2, 3):
            save(folder, step, state(step), {}, keep=2)
        try:
            save(folder, 4, state(4), {}, keep=2, disk=kind(n))
        except Killed:
            deaths += 1
            clean(folder)
            tree, _, step, notes = restore(folder, state())
            announced = json.loads((folder / "latest.json").read_text())
            assert step in (3, 4) and step >= announced["step"] and not notes
            assert bits(tree) == bits(state(step or 0))
            save(folder, 5, state(5), {}, keep=2)
            assert restore(folder, state())[2] == 5
            assert not [name for name in files(folder) if name.endswith((".tmp", ".old"))]
        else:
            break
    assert deaths > 12 and steps(folder) == [3, 4]


def test_killed_while_the_best_is_replaced_one_of_both_loads(tmp_path):
    deaths = 0
    for n in range(100):
        folder = tmp_path / str(n)
        save_best(folder, state(1), {"steps": [1]})
        try:
            save_best(folder, state(2), {"steps": [2]}, disk=Mortal(n))
        except Killed:
            deaths += 1
            reader, *_ = restore(folder, state(), checkpoint="best", mark=False)
            clean(folder)
            tree, counters, _, notes = restore(folder, state(), checkpoint="best")
            assert bits(tree) == bits(reader) == bits(state(counters["steps"][0])) and not notes
        else:
            break
    assert deaths > 12 and restore(folder, state(), checkpoint="best")[1]["steps"] == [2]


# K4: damage


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


DAMAGES = {
    "flipped": flip,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "emptied": lambda path: path.write_bytes(b""),
    "deleted": Path.unlink,
}


@pytest.mark.parametrize("name", ["state.0.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_detected_and_the_older_one_used(tmp_path, name, damage):
    for step in (1, 2):
        save(tmp_path, step, state(step), {"step": step})
    DAMAGES[damage](tmp_path / "checkpoints" / "2" / name)
    tree, counters, step, notes = restore(tmp_path, state())
    assert (step, counters["step"], len(notes)) == (1, 1, 1) and name in notes[0]
    assert bits(tree) == bits(state(1))
    assert (tmp_path / "checkpoints" / "2.corrupt").is_dir() and steps(tmp_path) == [1]


def test_any_flipped_byte_of_the_manifest_is_detected(tmp_path):
    path = save(tmp_path, 1, jnp.ones(1), {}) / "manifest.json"
    sound = path.read_bytes()
    for i in range(len(sound)):
        path.write_bytes(sound[:i] + bytes([sound[i] ^ 1]) + sound[i + 1 :])
        with pytest.raises(Damaged):
            verify(path.parent)


@pytest.mark.parametrize("name", ["latest.json", "best.json"])
def test_announcements_are_not_needed(tmp_path, name):
    save(tmp_path, 1, state(1), {})
    save_best(tmp_path, state(1), {})
    (tmp_path / name).unlink()
    assert restore(tmp_path, state())[2] == 1 and restore(tmp_path, state(), checkpoint="best")[3] == []


def test_strict_stops_at_damage(tmp_path):
    for step in (1, 2):
        save(tmp_path, step, state(step), {})
    flip(tmp_path / "checkpoints" / "2" / "state.json")
    with pytest.raises(BadInput, match=r"state\.json does not match"):
        restore(tmp_path, state(), strict=True)


def test_a_reader_leaves_the_damaged_folder_where_it_is(tmp_path):
    for step in (1, 2):
        save(tmp_path, step, state(step), {})
    flip(tmp_path / "checkpoints" / "2" / "state.json")
    assert restore(tmp_path, state(), mark=False)[2] == 1 and steps(tmp_path) == [1, 2]


def test_nothing_left_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match=r"no checkpoint that can be loaded.*nothing was saved"):
        restore(tmp_path, state())
    flip(save(tmp_path, 1, state(1), {}) / "state.json")
    with pytest.raises(BadInput, match="is damaged"):
        restore(tmp_path, state())


def test_a_newer_format_names_both_versions(tmp_path, monkeypatch):
    monkeypatch.setattr("romanesco.lab.checkpoint.VERSION", 9)
    save(tmp_path, 1, state(1), {})
    monkeypatch.undo()
    with pytest.raises(BadInput, match=r"format 9.*up to 1"):
        restore(tmp_path, state())


# Pruning


def test_the_newest_stay_and_the_best(tmp_path):
    save_best(tmp_path, state(0), {})
    for step in (1, 2, 3, 10):
        save(tmp_path, step, state(step), {}, keep=2)
    assert steps(tmp_path) == [3, 10]
    assert bits(restore(tmp_path, state(), checkpoint="best")[0]) == bits(state(0))
    assert restore(tmp_path, state(), checkpoint=3)[2] == 3


def test_the_only_sound_one_is_never_pruned(tmp_path):
    class Lying(Disk):
        def write(self, path, data):
            super().write(path, data[:-1] if path.name == "state.0.safetensors" else data)

    save(tmp_path, 1, state(1), {}, keep=1)
    save(tmp_path, 2, state(2), {}, keep=1, disk=Lying())
    assert restore(tmp_path, state())[2] == 1


def test_the_same_step_can_be_saved_again(tmp_path):
    for n in (1, 2):
        save(tmp_path, 5, state(n), {"n": n})
    assert restore(tmp_path, state())[1]["n"] == 2 and steps(tmp_path) == [5]


def test_groups_of_seeds_do_not_meet(tmp_path):
    save(tmp_path, 5, state(1), {})
    save(tmp_path, 3, state(2), {}, group="g1")
    assert restore(tmp_path, state())[2] == 5 and restore(tmp_path, state(), group="g1")[2] == 3


# K5: a full disk


class Full(Disk):
    """Has room for `n` writes; of the next, half arrives."""

    def __init__(self, n):
        self.left = n

    def write(self, path, data):
        self.left -= 1
        if self.left < 0:
            super().write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        super().write(path, data)


@pytest.mark.parametrize("n", range(4))
def test_a_full_disk_leaves_the_previous_one(tmp_path, n):
    save(tmp_path, 1, state(1), {})
    with pytest.raises(DiskFull, match="no room"):
        save(tmp_path, 2, state(2), {}, disk=Full(n))
    tree, _, step, notes = restore(tmp_path, state())
    assert step == (1 if n < 3 else 2) and not notes  # the fourth write is only the announcement
    assert bits(tree) == bits(state(step or 0))
    assert not [name for name in files(tmp_path) if name.endswith(".tmp")]


# Logs and checkpoints


def test_rows_past_the_checkpoint_go_stale(tmp_path):
    log = Jsonl(tmp_path / "metrics.jsonl")
    log.write([{"step": 1, "seed": 0}])
    save(tmp_path, 1, state(1), {})
    log.write([{"step": 2, "seed": 0}, {"step": 3, "seed": 0}])
    log.close()
    offset = restore(tmp_path, state())[1]["offsets"]["metrics.jsonl"]
    rewind(tmp_path / "metrics.jsonl", offset)
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "seed": 0}\n'
    assert (tmp_path / "metrics.stale.jsonl").read_text() == '{"step": 2, "seed": 0}\n{"step": 3, "seed": 0}\n'
