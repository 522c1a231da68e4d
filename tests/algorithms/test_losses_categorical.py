"""Losses of categorical distributions against tables and a naive model of the projection."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qcade.algorithms.losses_categorical import (
    categorical_projection,
    categorical_target,
    cross_entropy,
    divergence,
    evenly_spaced,
    gaussian_bins,
)
from qcade.types import DoubleArray, QcadeError

ATOMS = torch.tensor([-1.0, 0.0, 1.0, 2.0])


def naive_projection(
    locations: DoubleArray, probabilities: DoubleArray, atoms: DoubleArray
) -> DoubleArray:
    """One row at a time, in words: clip, find the neighbours, share."""
    step, shares = atoms[1] - atoms[0], np.zeros(len(atoms))
    for location, probability in zip(locations, probabilities, strict=True):
        place = (min(max(location, atoms[0]), atoms[-1]) - atoms[0]) / step
        low = min(int(place), len(atoms) - 2)
        shares[low] += probability * (low + 1 - place)
        shares[low + 1] += probability * (place - low)
    return shares


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        # Between two atoms, the nearer gets more.
        (0.25, [0.0, 0.75, 0.25, 0.0]),
        (-0.5, [0.5, 0.5, 0.0, 0.0]),
        # At an atom, all of it: nothing is lost where neighbours would coincide.
        (0.0, [0.0, 1.0, 0.0, 0.0]),
        (-1.0, [1.0, 0.0, 0.0, 0.0]),
        (2.0, [0.0, 0.0, 0.0, 1.0]),
        # Beyond the atoms, the outermost.
        (-7.0, [1.0, 0.0, 0.0, 0.0]),
        (2.001, [0.0, 0.0, 0.0, 1.0]),
    ],
)
def test_projection_of_one_return_by_hand(location: float, expected: list[float]) -> None:
    shares = categorical_projection(torch.tensor([[location]]), torch.ones(1, 1), ATOMS)
    assert shares.tolist() == [expected]


def test_projection_adds_up_what_several_returns_leave_at_an_atom() -> None:
    locations = torch.tensor([[0.5, 1.0, 9.0], [-9.0, -0.75, 0.0]])
    probabilities = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
    assert categorical_projection(locations, probabilities, ATOMS).tolist() == [
        [0.0, 0.25, 0.5, 0.25],
        [0.625, 0.375, 0.0, 0.0],
    ]


@pytest.mark.parametrize("r", [0.0, 0.4, -0.4, 1.0, -1.0, 10.0, -10.0, 9.6, 1e6, -1e6])
@pytest.mark.parametrize("discount", [0.0, 1.0])
def test_no_mass_is_lost_with_the_published_atoms(r: float, discount: float) -> None:
    # A termination with a return of 0 falls exactly on the atom in the middle, and so on.
    goal = categorical_target(
        torch.tensor([r]), torch.tensor([discount]), torch.zeros(1, 51), evenly_spaced(-10, 10, 51)
    )
    assert float(goal.double().sum()) == pytest.approx(1.0, abs=1e-6)
    assert float(goal.min()) >= 0.0


@st.composite
def distributions(draw: st.DrawFn) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Locations and probabilities of a distribution, and atoms."""
    count, low = draw(st.integers(2, 12)), draw(st.floats(-20, 10))
    atoms = np.linspace(low, low + draw(st.floats(0.5, 30)), count)
    size = draw(st.integers(1, 8))
    some = st.one_of(st.floats(-50, 50), st.sampled_from(list(atoms)))
    locations = np.array(draw(st.lists(some, min_size=size, max_size=size)))
    weights = np.array(draw(st.lists(st.floats(0.01, 1), min_size=size, max_size=size)))
    return locations, weights / weights.sum(), atoms


@settings(max_examples=150, deadline=None)
@given(distributions())
def test_projection_is_the_naive_one_and_keeps_mass_and_the_mean_inside(
    drawn: tuple[DoubleArray, DoubleArray, DoubleArray],
) -> None:
    locations, probabilities, atoms = drawn
    rows = [torch.as_tensor(part)[None] for part in (locations, probabilities)]
    shares = categorical_projection(rows[0], rows[1], torch.as_tensor(atoms))[0].numpy()
    np.testing.assert_allclose(shares, naive_projection(*drawn), atol=1e-9)
    assert shares.sum() == pytest.approx(1.0)
    inside = np.clip(locations, atoms[0], atoms[-1])
    assert shares @ atoms == pytest.approx(probabilities @ inside, abs=1e-8)


def test_goal_of_a_sure_return_is_a_scalar_goal_spread_over_two_atoms() -> None:
    generator = torch.Generator().manual_seed(1)
    r_t, discount_t = torch.randn(50, generator=generator), torch.rand(50, generator=generator)
    atoms = evenly_spaced(-10, 10, 51)
    sure = torch.randint(51, (50,), generator=generator)
    logits = torch.where(torch.arange(51) == sure[:, None], 0.0, -200.0)
    goal = categorical_target(r_t, discount_t, logits, atoms)
    expected = (r_t + discount_t * atoms[sure]).clamp(-10, 10)
    torch.testing.assert_close((goal * atoms).sum(1), expected, rtol=1e-4, atol=1e-4)
    assert int((goal > 1e-4).sum(1).max()) == 2


def test_goal_shifts_and_shrinks_each_row_by_its_own_reward_and_discount() -> None:
    logits = torch.tensor([[0.0, -200.0, -200.0, -200.0], [-200.0, -200.0, -200.0, 0.0]])
    goal = categorical_target(torch.tensor([1.0, 0.5]), torch.tensor([1.0, 0.5]), logits, ATOMS)
    # -1 becomes 1 - 1 = 0, and 2 becomes 0.5 + 1 = 1.5.
    assert goal.tolist() == [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]


def test_cross_entropy_and_divergence_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)], [5.0, 5.0], [0.0, math.log(3.0)]])
    goal = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]])
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    expected = [math.log(4), math.log(2), entropy]
    assert cross_entropy(goal, logits).tolist() == pytest.approx(expected)
    # A sure goal has no entropy; a goal that is met leaves no divergence.
    assert divergence(goal, logits).tolist() == pytest.approx([math.log(4), 0.0, 0.0], abs=1e-6)
    assert float(divergence(goal, logits).min()) >= 0.0


def test_cross_entropy_stays_finite_where_the_goal_is_thought_impossible() -> None:
    logits = torch.tensor([[0.0, -300.0]], requires_grad=True)
    loss = cross_entropy(torch.tensor([[0.0, 1.0]]), logits)
    assert loss.tolist() == [300.0]
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert gradient.tolist() == [[1.0, -1.0]]


def test_gaussian_bins_by_hand() -> None:
    # Normal distribution around 0.5 of deviation 1, cut off at -1.5 and 2.5: the table of the
    # normal distribution says 0.4772 within two deviations on either side, 0.3413 within one.
    edges = torch.tensor([-1.5, -0.5, 0.5, 1.5, 2.5])
    (shares,) = gaussian_bins(torch.tensor([0.5]), edges, 1.0).tolist()
    outer, inner = (0.4772 - 0.3413) / 0.9545, 0.3413 / 0.9545
    assert shares == pytest.approx([outer, inner, inner, outer], abs=1e-4)


def test_gaussian_bins_of_a_tiny_deviation_are_one_bin_or_the_two_beside_an_edge() -> None:
    edges = torch.tensor([0.0, 1.0, 2.0, 3.0])
    values = torch.tensor([0.5, 1.1, 2.0, 2.9, 0.0, 3.0])
    assert gaussian_bins(values, edges, 1e-4).tolist() == [
        [1.0, 0.0, 0.0],
        [0.0, 1.0, 0.0],
        [0.0, 0.5, 0.5],
        [0.0, 0.0, 1.0],
        [1.0, 0.0, 0.0],
        [0.0, 0.0, 1.0],
    ]


def test_gaussian_bins_add_up_to_one_even_for_values_far_outside() -> None:
    edges = evenly_spaced(-10, 10, 52)
    values = torch.tensor([-1e6, -11.0, -10.0, -9.9, 0.0, 3.3, 9.9, 10.0, 1e6])
    shares = gaussian_bins(values, edges, 0.75 * 20 / 51)
    assert shares.shape == (9, 51)
    torch.testing.assert_close(shares.sum(1), torch.ones(9))
    torch.testing.assert_close(shares[0], shares[2])
    assert shares[-1].argmax() == 50


def test_gaussian_bins_keep_the_mean_away_from_the_edges() -> None:
    edges = evenly_spaced(-10, 10, 52)
    values = torch.linspace(-7, 7, 200)
    shares = gaussian_bins(values, edges, 0.75 * 20 / 51)
    means = (shares * (edges[1:] + edges[:-1]) / 2).sum(1)
    torch.testing.assert_close(means, values, rtol=0.0, atol=2e-4)
    # The deviation is the one that was asked for, plus what bins add: width**2 / 12.
    spread = (shares * ((edges[1:] + edges[:-1]) / 2 - means[:, None]).square()).sum(1)
    expected = (0.75**2 + 1 / 12) * (20 / 51) ** 2
    torch.testing.assert_close(spread, torch.full_like(spread, expected), rtol=0.01, atol=0.0)


def test_evenly_spaced_returns_reach_from_the_lowest_to_the_highest() -> None:
    assert evenly_spaced(-10, 10, 5).tolist() == [-10.0, -5.0, 0.0, 5.0, 10.0]


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (-math.inf, 1.0)])
def test_returns_that_span_no_range_are_refused_by_name(low: float, high: float) -> None:
    with pytest.raises(QcadeError, match="v_min"):
        evenly_spaced(low, high, 5)
