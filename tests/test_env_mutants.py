"""Every law E1-E10 refuses the worlds that break it, in words that name the fault, and lets the sound one pass."""

import pytest
from mutants.environment import BROKEN, Mutant

from romanesco.laws.environment import LAWS


@pytest.mark.parametrize(("mutant", "law", "words"), BROKEN, ids=lambda x: getattr(x, "__name__", None))
def test_mutant_is_caught(mutant, law, words):
    with pytest.raises(AssertionError, match=f"{law}: .*{words}"):
        LAWS[law](mutant())


@pytest.mark.parametrize("law", LAWS)
def test_unbroken_world_passes(law):
    LAWS[law](Mutant())


def test_every_law_has_a_mutant():
    assert {law for _, law, _ in BROKEN} == set(LAWS)
