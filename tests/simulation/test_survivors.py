"""The mutants that may survive are named as they are made now."""

from mutants import body_around, changed_code, mutants_of
from survivors import HINTS, KNOWN, why


def test_each_mutant_that_may_survive_is_one_that_there_is():
    made = {
        (mutant.module, mutant.source, mutant.change)
        for module in {module for module, _, _ in KNOWN}
        for mutant in mutants_of(module)
    }
    assert KNOWN.keys() <= made


def test_each_reason_says_of_which_kind_it_is():
    kinds = {reason.partition(": ")[0] for reason in [*KNOWN.values(), *HINTS.values()]}
    assert kinds == {"equivalent", "tuning", "accepted"}


def test_a_mutant_that_nobody_has_looked_at_has_no_reason():
    mutants = mutants_of("canopy_async._walk.key_cover")
    assert any(why(mutant) is None for mutant in mutants)
    assert any(why(mutant) for mutant in mutants)


def test_a_mutant_changes_the_code_of_one_function():
    mutants = [it for it in mutants_of("canopy_async._walk.span") if it.is_inside]
    for mutant in mutants:
        ((name, _),) = changed_code(mutant)
        assert name.partition(".")[0] == "Span"


def test_what_an_import_does_is_no_change_of_a_function():
    mutants = mutants_of("canopy_async._walk.bridge")
    (constant,) = (it for it in mutants if it.change == "40  →  41")
    assert changed_code(constant) is None


def test_a_mutant_of_an_inner_function_is_one_of_the_function_around_it():
    inner = [
        it
        for it in mutants_of("canopy_async._api.conversion")
        if it.change == "type(value) is not scalar  →  type(value) is scalar"
    ]
    (mutant,) = inner
    assert mutant.lines.start in body_around(mutant)
    ((name, line),) = changed_code(mutant)
    assert (name, line + 1) == ("_exactly", body_around(mutant).start)
