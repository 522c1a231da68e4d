"""Going on from a snapshot on another machine than the one it was taken on."""

from __future__ import annotations

import torch

from qcade.training.state import Training

from small_training import played, small_recipe


def test_noise_goes_on_from_a_seed_where_another_kind_of_device_drew_it() -> None:
    recipe = small_recipe("rainbow")
    training = played(recipe)
    training.update_all_due()
    snapshot = training.snapshot()
    # As a CUDA GPU's generator says where it is.
    snapshot.learning["random.noise"] = torch.arange(16, dtype=torch.uint8)
    one, other = (Training(recipe, snapshot) for _ in range(2))
    states = [each.noise.get_state() for each in (one, other, training, Training(recipe))]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
    assert not torch.equal(states[0], states[3])
    assert torch.equal(one.actor.generator.get_state(), training.actor.generator.get_state())
