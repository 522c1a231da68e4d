"""The sum tree against plain lists, on numbers whose sums are exact."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qcade.replay.sum_tree import BRANCHING, LARGEST, SumTree
from qcade.types import FloatArray

# One level, two and three, full ones and ones with a single child too many.
SIZES = [1, 5, BRANCHING, BRANCHING + 1, BRANCHING**2, BRANCHING**2 + 1, 40_000]


def doubles(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def tree_of(*values: float) -> SumTree:
    tree = SumTree(len(values))
    tree.load(doubles(*values))
    return tree


def changes_of(size: int, seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """A few and many leaves by turns, some of them twice, half of them to 0; whole eighths."""
    chance = np.random.default_rng(seed)
    changes = []
    for count in (size, 1, 7, 2 * size, 32, 300):
        leaves = chance.integers(size, size=count)
        values = chance.integers(1, 800, size=count) / 8 * chance.integers(2, size=count)
        changes.append((torch.from_numpy(leaves), torch.from_numpy(values)))
    return changes


def change(model: FloatArray, leaves: torch.Tensor, values: torch.Tensor) -> None:
    model[leaves.numpy()] = 0.0
    for leaf, value in zip(leaves.tolist(), values.tolist(), strict=True):
        model[leaf] = max(model[leaf], value)


def test_a_target_finds_the_leaf_whose_share_of_the_total_it_falls_into() -> None:
    tree = tree_of(1.0, 0.0, 2.0, 5.0, 0.0)
    assert tree.total == 8.0
    found = tree.find(doubles(0.0, 0.999, 1.0, 2.999, 3.0, 7.999, 8.0))
    assert found.tolist() == [0, 0, 2, 2, 3, 3, 3]
    assert found.dtype == torch.int64
    assert tree.values(torch.tensor([3, 0, 1])).tolist() == [5.0, 1.0, 0.0]


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_is_where_the_running_sum_of_a_plain_list_says(size: int) -> None:
    tree, model = SumTree(size), np.zeros(size, np.float32)
    for leaves, values in changes_of(size, seed=size):
        tree.set(leaves, values)
        change(model, leaves, values)
        assert tree.leaves().tolist() == model.tolist()
        sums = model.cumsum(dtype=np.float64)
        assert tree.total == sums[-1]
        weighty = np.flatnonzero(model)
        if len(weighty):
            targets = np.concatenate(
                ((sums - model)[weighty], sums[weighty] - 0.125, (sums - model / 2)[weighty])
            )
            found = tree.find(torch.from_numpy(targets))
            np.testing.assert_array_equal(found.numpy(), np.tile(weighty, 3))


@pytest.mark.parametrize("values", list(itertools.permutations([2.0, 7.0, 1.0])))
def test_of_several_values_for_one_leaf_the_largest_counts(values: tuple[float, ...]) -> None:
    tree = tree_of(3.0, 3.0, 3.0, 9.0)
    tree.set(torch.tensor([3, 1, 3, 3]), doubles(values[0], 4.0, *values[1:]))
    assert tree.leaves().tolist() == [3.0, 4.0, 3.0, 7.0]
    assert tree.total == 17.0


awkward_weights = st.one_of(
    st.just(0.0), st.floats(0.0, 1e-9), st.floats(0.0, 100.0), st.floats(0.0, 1e12)
)


@settings(max_examples=200, deadline=None)
@given(
    weights=st.lists(awkward_weights, min_size=1, max_size=300).filter(any),
    shares=st.lists(st.floats(0.0, 1.0), max_size=8),
)
def test_a_leaf_without_weight_is_never_found(weights: list[float], shares: list[float]) -> None:
    tree = tree_of(*weights)
    ends = [0.0, 5e-324, 0.5, 1 - 2**-53, 1.0]
    found = tree.find(doubles(*shares, *ends) * tree.total)
    assert all(weights[leaf] > 0 for leaf in found.tolist())
    assert found[len(shares)] == [weight > 0 for weight in weights].index(True)


@pytest.mark.parametrize("size", [130, 40_000])
def test_a_tree_follows_from_its_leaves_alone(size: int) -> None:
    chance = np.random.default_rng(size)
    tree, again = SumTree(size), SumTree(size)
    for count in (size, 1, 20, 3, 500):
        leaves = torch.from_numpy(chance.integers(size, size=count))
        tree.set(leaves, torch.from_numpy(chance.gamma(0.2, size=count)))
    again.load(torch.ones(size, dtype=torch.float64))
    again.load(tree.leaves())
    assert torch.equal(again.leaves(), tree.leaves())
    assert torch.equal(again.total, tree.total)
    targets = torch.from_numpy(chance.random(20_000)) * tree.total
    assert torch.equal(again.find(targets), tree.find(targets))


def test_weights_are_rounded_up_to_units_that_a_million_leaves_make_no_coarser_than_1e_7() -> None:
    tree = SumTree(10**6)
    assert tree.unit == 2.0**-26
    tree.set(torch.tensor([0, 1, 2]), doubles(1e-300, 1.0, 1.0 + 2.0**-30))
    assert tree.values(torch.tensor([0, 1, 2])).tolist() == [2.0**-26, 1.0, 1.0 + 2.0**-26]


@pytest.mark.parametrize("size", [1, 4, 130, 2**15])
def test_the_largest_weights_do_not_overflow_the_total(size: int) -> None:
    tree = SumTree(size)
    tree.load(torch.full((size,), 1e300, dtype=torch.float64))
    assert tree.total == size * LARGEST
    assert tree.find(tree.total[None] * 0.999999).tolist() == [int(size * 0.999999)]
    assert tree.find(tree.total[None]).tolist() == [size - 1]


def test_weights_below_zero_and_infinite_ones_become_the_nearest_that_there_is() -> None:
    assert tree_of(-3.0, float("inf"), 1.0).leaves().tolist() == [0.0, LARGEST, 1.0]


def test_saved_leaves_are_a_copy() -> None:
    tree = tree_of(1.0, 2.0)
    saved = tree.leaves()
    tree.set(torch.tensor([0]), doubles(9.0))
    assert saved.tolist() == [1.0, 2.0]
