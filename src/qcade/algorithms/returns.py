"""Lambda-returns of a rollout, as pure functions on tensors.

The return of decision t is r + discount * ((1 - trace) * v + trace * next return), where v is the
greedy value of the next observation. The trace is `trace_decay`, or 0 if decision t + 1 is outside
the rollout or was ignored because an episode opened: then the return bootstraps from v alone, as it
does at a truncation. At a termination the discount is 0. The returns of ignored decisions are
meaningless.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from qcade.algorithms.losses import taken
from qcade.types import Rollout


def peng_returns(rollout: Rollout, trace_decay: float) -> Tensor:
    """Lambda-returns that continue past exploratory actions (Peng & Williams 1996): [T, E]."""
    return _traced(rollout, trace_decay * rollout.is_transition[1:].float())


def watkins_returns(rollout: Rollout, trace_decay: float) -> Tensor:
    """Lambda-returns that stop at the first exploratory action (Watkins 1989): [T, E]."""
    q_values, actions = rollout.q_values[1:-1], rollout.a_tm1[1:]
    chosen = taken(q_values.flatten(0, 1), actions.flatten()).view_as(actions)
    # If several actions are tied for the best, each of them is greedy.
    follows = rollout.is_transition[1:] & (chosen >= q_values.amax(2))
    return _traced(rollout, trace_decay * follows.float())


def _traced(rollout: Rollout, traces: Tensor) -> Tensor:
    """Compute returns backwards in time; `traces`, [T - 1, E], belong to decisions 1 to T - 1."""
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
