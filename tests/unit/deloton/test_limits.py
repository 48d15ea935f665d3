"""A rider's limits: by age and policy, by what was proven, and their own."""

import pytest

from deloton.rules.heart_rate import (
    OWN_LIMIT,
    SUDDEN,
    AlertLevel,
    LimitPolicy,
    MaximumPolicy,
    OwnLimits,
    Proof,
    expected_maximum_bpm,
    limits_of,
)

# At 60 a maximum of 166 bpm is expected.
SIXTY = LimitPolicy()


@pytest.mark.parametrize("policy", MaximumPolicy)
@pytest.mark.parametrize("age", range(5, 111))
def test_limits_lie_so_many_standard_errors_above_the_expected_maximum(
    policy: MaximumPolicy, age: int
) -> None:
    low, high, critical = limits_of(age, LimitPolicy(maximum=policy))
    maximum_bpm = expected_maximum_bpm(age, policy)
    assert (low.level, high.level, critical.level) == tuple(AlertLevel)
    assert low.bpm == 50
    assert high.bpm == round(maximum_bpm + 0.5 * 10.8)
    assert critical.bpm == round(maximum_bpm + 2.75 * 10.8)
    assert low.bpm < high.bpm < critical.bpm
    assert f"at the age of {age}" in high.rule


@pytest.mark.parametrize("age", [None, -3, 0, 4, 111, 900])
def test_an_unknown_or_impossible_age_is_taken_as_the_default_and_says_so(age: int | None) -> None:
    _, high, critical = limits_of(age, LimitPolicy())
    assert (high.bpm, critical.bpm) == (191, 215)
    assert "expected at 40, as your age is not known" in high.rule


def test_children_have_the_formula_that_fits_them_whatever_the_policy() -> None:
    for policy in MaximumPolicy:
        assert expected_maximum_bpm(10, policy) == pytest.approx(201)
        assert "208 − 0.7 × age, Tanaka et al. 2001" in limits_of(17, LimitPolicy(policy))[1].rule
    assert expected_maximum_bpm(18) == pytest.approx(211 - 0.64 * 18)


@pytest.mark.parametrize(
    ("level", "beyond"),
    [
        (AlertLevel.LOW, {49: True, 50: False, 51: False}),
        (AlertLevel.HIGH, {139: False, 140: True, 141: True}),
        (AlertLevel.CRITICAL, {159: False, 160: True, 161: True}),
    ],
)
def test_low_is_passed_below_its_limit_and_the_others_at_theirs(
    level: AlertLevel, beyond: dict[int, bool]
) -> None:
    limits = limits_of(60, LimitPolicy(), OwnLimits(50, 140, 160))
    [limit] = [each for each in limits if each.level is level]
    assert {bpm: limit.is_passed_by(bpm) for bpm in beyond} == beyond


@pytest.mark.parametrize(
    ("proof", "high", "critical"),
    [
        (None, 171, 196),
        (Proof(120, 2), 171, 196),
        (Proof(120, 3), 161, 196),
        (Proof(146, 3), 161, 196),
        (Proof(150, 2), 171, 196),
        (Proof(150, 3), 165, 196),
        (Proof(160, 1), 175, 196),
        (Proof(176, 1), 191, 196),
        (Proof(177, 1), 192, 197),
        (Proof(180, 1), 195, 200),
        (Proof(190, 1), 198, 204),
        (Proof(230, 20), 198, 204),
    ],
)
def test_what_a_heart_has_held_moves_the_limits_within_bounds(
    proof: Proof | None, high: float, critical: float
) -> None:
    assert [limit.bpm for limit in limits_of(60, SIXTY, None, proof)] == [50, high, critical]


def test_no_proof_puts_high_above_critical() -> None:
    for age in (None, *range(5, 111)):
        for bpm in range(40, 240):
            for rides in (1, 3):
                _, high, critical = limits_of(age, SIXTY, None, Proof(bpm, rides))
                assert high.bpm < critical.bpm


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (OwnLimits(), (50, 171, 196)),
        (OwnLimits(low_bpm=42), (42, 171, 196)),
        (OwnLimits(high_bpm=130), (50, 130, 196)),
        (OwnLimits(high_bpm=200), (50, 200, 200)),
        (OwnLimits(critical_bpm=140), (50, 140, 140)),
        (OwnLimits(critical_bpm=180), (50, 171, 180)),
        (OwnLimits(45, 120, 135), (45, 120, 135)),
    ],
)
def test_own_limits_win_and_the_policys_give_way(
    own: OwnLimits, expected: tuple[float, float, float]
) -> None:
    assert tuple(limit.bpm for limit in limits_of(60, LimitPolicy(), own)) == expected


@pytest.mark.parametrize(
    ("own", "whose"),
    [
        (OwnLimits(), ()),
        (OwnLimits(low_bpm=42), ("low",)),
        (OwnLimits(high_bpm=130), ("high",)),
        (OwnLimits(high_bpm=200), ("high", "critical")),
        (OwnLimits(critical_bpm=140), ("high", "critical")),
        (OwnLimits(critical_bpm=180), ("critical",)),
    ],
)
def test_a_limit_says_whose_it_is_and_keeps_its_level(
    own: OwnLimits, whose: tuple[str, ...]
) -> None:
    limits = limits_of(60, LimitPolicy(), own)
    assert tuple(limit.level for limit in limits) == tuple(AlertLevel)
    assert tuple(each.level for each in limits if each.rule == OWN_LIMIT) == whose


@pytest.mark.parametrize(
    ("own", "high", "critical"),
    [
        (OwnLimits(), 133, 171),
        (OwnLimits(high_bpm=150), 150, 150),
        (OwnLimits(critical_bpm=180), 133, 180),
        (OwnLimits(critical_bpm=120), 120, 120),
        (OwnLimits(high_bpm=140, critical_bpm=160), 140, 160),
    ],
)
def test_a_jump_counts_from_lower_on_unless_the_rider_has_own_limits(
    own: OwnLimits, high: float, critical: float
) -> None:
    limits = limits_of(60, LimitPolicy(), own)
    assert [limit.after_a_jump().bpm for limit in limits] == [50, high, critical]


def test_the_limit_after_a_jump_says_so() -> None:
    high = limits_of(60, LimitPolicy())[1]
    assert high.after_a_jump().rule == SUDDEN
    assert high.after_a_jump().level is AlertLevel.HIGH


NES_AT_40 = "the 185 bpm expected at the age of 40 (211 − 0.64 × age, Nes et al. 2013)"
TANAKA_AT_60 = "the 166 bpm expected at the age of 60 (208 − 0.7 × age, Tanaka et al. 2001)"
HELD_180 = "the 180 bpm that your heart held in an earlier ride"


@pytest.mark.parametrize(
    ("age", "proof", "high", "critical"),
    [
        (40, None, f"6 bpm more than {NES_AT_40}", f"30 bpm more than {NES_AT_40}"),
        (
            60,
            Proof(120, 3),
            f"5 bpm less than {TANAKA_AT_60}",
            f"30 bpm more than {TANAKA_AT_60}",
        ),
        (60, Proof(180, 1), f"15 bpm more than {HELD_180}", f"20 bpm more than {HELD_180}"),
    ],
)
def test_a_rule_is_told_in_words_with_its_source(
    age: int, proof: Proof | None, high: str, critical: str
) -> None:
    low, *others = limits_of(age, LimitPolicy(), None, proof)
    assert low.rule == "the same for every rider; below 50 bpm is bradycardia (ACC/AHA/HRS 2018)"
    assert [limit.rule for limit in others] == [high, critical]


def test_a_limit_that_is_what_is_expected_says_no_more() -> None:
    high = limits_of(60, LimitPolicy(high_errors=0.0))[1]
    assert high.rule == TANAKA_AT_60
