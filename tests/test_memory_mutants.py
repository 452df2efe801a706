"""The laws of memories refuse what breaks them and let the sound cell pass."""

import pytest
from mutants.memory import BROKEN, Leaky

from romanesco.laws.memory import LAWS


@pytest.mark.parametrize("law", LAWS)
def test_sound_memory_passes(law):
    LAWS[law](Leaky.example)


@pytest.mark.parametrize(("mutant", "law"), BROKEN)
def test_mutant_is_caught(mutant, law):
    with pytest.raises(AssertionError, match=f"^{law}: "):
        LAWS[law](mutant.example)
