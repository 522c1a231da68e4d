"""Returns that look several decisions ahead in a rollout, as pure functions on tensors.

The return of decision t is r + discount * ((1 - trace) * v + trace * next return), where v is the
best value of the observation that followed. The trace is `trace_decay`, or 0 where decision t + 1
is not in the rollout or, because an episode opened, was ignored: then v alone is what follows, as
it is at a truncation. At a termination the discount is 0 and nothing follows. Decisions that were
ignored get numbers that mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from qcade.algorithms.losses import taken
from qcade.types import Rollout


def peng_returns(rollout: Rollout, trace_decay: float) -> Tensor:
    """Look ahead through whatever was played (Peng & Williams 1996): float32 [T, E]."""
    return _traced(rollout, trace_decay * rollout.is_transition[1:].float())


def watkins_returns(rollout: Rollout, trace_decay: float) -> Tensor:
    """Look ahead only as far as what was played was greedy (Watkins 1989): float32 [T, E]."""
    q_values, actions = rollout.q_values[1:-1], rollout.a_tm1[1:]
    chosen = taken(q_values.flatten(0, 1), actions.flatten()).view_as(actions)
    # Any of several best actions is greedy.
    follows = rollout.is_transition[1:] & (chosen >= q_values.amax(2))
    return _traced(rollout, trace_decay * follows.float())


def _traced(rollout: Rollout, traces: Tensor) -> Tensor:
    """Work backwards with the traces float32 [T - 1, E] into decisions 1 to T - 1."""
    best = rollout.q_values.amax(2)
    returns = torch.empty_like(rollout.r_t)
    ahead = best[-1]
    for t in reversed(range(len(returns))):
        returns[t] = rollout.r_t[t] + rollout.discount_t[t] * ahead
        if t:
            ahead = torch.lerp(best[t], returns[t], traces[t - 1])
    return returns


RETURNS: dict[str, Callable[[Rollout, float], Tensor]] = {
    "peng": peng_returns,
    "watkins": watkins_returns,
}
