"""The seeds of environments, each derived from the run's seed and the environment's number."""

from __future__ import annotations

import numpy as np

from qcade.types import IntArray

_LARGEST = 2**31 - 1


def environment_seeds(seed: int, environments: int) -> IntArray:
    """Derive seeds, int64 [E] in 1 .. 2**31 - 1; entry i depends on `seed` and i, not on E."""
    return np.array(
        [
            1 + int(np.random.SeedSequence((seed, i)).generate_state(1)[0]) % _LARGEST
            for i in range(environments)
        ],
        dtype=np.int64,
    )
