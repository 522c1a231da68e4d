"""A ring of single uint8 frames, from which stacks and n-step transitions are gathered by index.

A row holds one time step of E environments: the action that led to it, frame, reward, discount and
first. Rows are counted from the start of the run; the ring keeps the newest ones.

The stack rule, for actor and learner alike: an observation is a frame and the S - 1 frames before
it in the same episode; if the episode is shorter than that, its first frame is repeated.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from qcade.compute.transfer import put
from qcade.replay.storage import (
    GROUP_ROWS,
    FrameStorage,
    StorageKind,
    bytes_per_frame,
    make_storage,
)
from qcade.types import Batch, Future, IntArray, TimeStep


class FrameRing:
    """The newest `rows` rows of E frames, all on one device except compressed frames."""

    def __init__(
        self,
        rows: int,
        environments: int,
        height: int,
        width: int,
        stack: int,
        device: torch.device | str = "cpu",
        storage: StorageKind = "raw",
    ) -> None:
        self.rows, self.environments, self.stack = rows, environments, stack
        self.height, self.width = height, width
        self.device = torch.device(device)
        size = rows * environments
        self.storage = storage
        self._frames: FrameStorage = make_storage(
            storage, rows, environments, height * width, self.device
        )
        self._actions = torch.zeros(size, dtype=torch.int64, device=device)
        self._rewards = torch.zeros(size, dtype=torch.float32, device=device)
        self._discounts = torch.zeros(size, dtype=torch.float32, device=device)
        self._firsts = torch.zeros(size, dtype=torch.bool, device=device)
        # A copy on the host for samplers, so that they need not wait for a GPU.
        self._host_firsts = self._firsts
        if self.device.type != "cpu":
            self._host_firsts = torch.zeros(size, dtype=torch.bool)
        self._every_environment = torch.arange(environments, device=device)
        # On the device, so that captured graphs can read it.
        self._newest_row = torch.zeros((), dtype=torch.int64, device=device)
        self.start_at(0, opening_row=0)

    @property
    def frame_bytes(self) -> int:
        """Memory used by the frames now, in bytes."""
        return self._frames.nbytes

    def start_at(self, next_row: int, opening_row: int) -> None:
        """Empty the ring and start at `next_row`; all environments were reset at `opening_row`."""
        self.appended_rows = self._first_kept_row = next_row
        self._newest_row.fill_(next_row - 1)
        self.opening_row = opening_row

    @property
    def is_empty(self) -> bool:
        """Whether no row was appended since `start_at`."""
        return self.appended_rows == self._first_kept_row

    def append(self, step: TimeStep, actions: IntArray) -> None:
        """Append one row: a time step, and the actions, int64 [E], that led to it."""
        place = self.appended_rows % self.rows
        slots = slice(place * self.environments, (place + 1) * self.environments)
        self._frames.write(place, torch.from_numpy(step.frame).view(self.environments, -1))
        put(self._actions[slots], torch.from_numpy(actions))
        put(self._rewards[slots], torch.from_numpy(step.reward))
        put(self._discounts[slots], torch.from_numpy(step.discount))
        put(self._firsts[slots], torch.from_numpy(step.first))
        self._host_firsts[slots] = torch.from_numpy(step.first)
        self._advance(1)

    @property
    def oldest_row(self) -> int:
        """The oldest row in the ring."""
        return max(self._first_kept_row, self.appended_rows - self.rows)

    def read_rows(self, first: int, until: int) -> dict[str, Tensor]:
        """Copy rows [first, until) to the host, by name: [rows, E, ...] each."""
        rows = torch.arange(first, until, device=self.device)[:, None]
        slots = self._slots(rows, self._every_environment)
        read = {name: part[slots].cpu() for name, part in self._parts().items()}
        frames = self._frames.read(slots.flatten()).cpu()
        return {"frames": frames.view(*slots.shape, -1), **read}

    def append_rows(self, rows: dict[str, Tensor]) -> None:
        """Append rows that `read_rows` returned."""
        count = len(rows["frames"])
        numbers = torch.arange(count, device=self.device)[:, None] + self.appended_rows
        slots = self._slots(numbers, self._every_environment)
        for name, part in self._parts().items():
            part[slots] = rows[name].to(self.device)
        self._host_firsts[slots.cpu()] = rows["firsts"]
        for number, frames in enumerate(rows["frames"], self.appended_rows):
            self._frames.write(number % self.rows, frames)
        self._advance(count)

    def _advance(self, rows: int) -> None:
        self.appended_rows += rows
        self._newest_row.fill_(self.appended_rows - 1)

    def _parts(self) -> dict[str, Tensor]:
        return {
            "actions": self._actions,
            "rewards": self._rewards,
            "discounts": self._discounts,
            "firsts": self._firsts,
        }

    def steps(self, first: int, until: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The decisions taken at rows [first, until): actions, rewards, discounts, is_transition.

        [T, E] each: int64, float32, float32, and bool, which is false if an episode opened instead.
        """
        rows = torch.arange(first + 1, until + 1, device=self.device)[:, None]
        slots = self._slots(rows, self._every_environment)
        return (
            self._actions[slots],
            self._rewards[slots],
            self._discounts[slots],
            ~self._firsts[slots],
        )

    def action_at(self, row: Tensor, environment: Tensor) -> Tensor:
        """The actions that led to rows: int64 [B] and [B] -> int64 [B]."""
        return self._actions[self._slots(row, environment)]

    def newest(self) -> Tensor:
        """The observations of the newest row: uint8 [E, S, H, W]."""
        row = self._newest_row.expand(self.environments)
        return self.observations(row, self._every_environment)

    def startable_rows(self, n_step: int) -> tuple[int, int]:
        """Rows [low, high) whose stack and whose next n rows are in the ring.

        Rows among them that are the last of an episode cannot start a transition; see `is_start`.
        """
        oldest = max(self.opening_row, self.oldest_row)
        # All episodes open at the opening row, so no stack reaches back beyond it.
        low = oldest if oldest == self.opening_row else oldest + self.stack - 1
        return low, self.appended_rows - n_step

    def is_start(self, row: Tensor, environment: Tensor) -> Tensor:
        """Whether a transition starts at a row: false if the next row opens another episode.

        int64 [B] and [B] -> bool [B], on the host or on the device as `row` is.
        """
        firsts = self._host_firsts if row.device.type == "cpu" else self._firsts
        return ~firsts[self._slots(row + 1, environment)]

    def observations(self, row: Tensor, environment: Tensor) -> Tensor:
        """Gather stacks by the stack rule: int64 [B] and [B] -> uint8 [B, S, H, W]."""
        lag = torch.zeros_like(row)
        in_episode = torch.ones_like(row)
        lags = [lag]
        for _ in range(self.stack - 1):
            in_episode = in_episode * ~self._firsts[self._slots(row - lag, environment)]
            lag = lag + in_episode
            lags.append(lag)
        slots = self._slots(row[:, None] - torch.stack(lags[::-1], 1), environment[:, None])
        frames = self._frames.read(slots.flatten())
        return frames.view(-1, self.stack, self.height, self.width)

    def gather(
        self,
        row: Tensor,
        environment: Tensor,
        n_step: int,
        gamma: float | Tensor,
        future_steps: int = 0,
    ) -> Batch:
        """Gather the n-step transitions that start at rows; int64 [B] each, gamma 0-d.

        Transitions that reach the end of an episode are shorter: after a termination there is no
        bootstrapping; after a truncation it is from the last frame, with a lower power of gamma.
        With `future_steps`, the batch includes the next `future_steps` steps.
        """
        reward = torch.zeros(row.shape, device=self.device)
        discount = torch.ones(row.shape, device=self.device)
        inside = torch.ones_like(row, dtype=torch.bool)
        last = row
        for k in range(1, n_step + 1):
            slots = self._slots(row + k, environment)
            inside = inside & ~self._firsts[slots]
            reward = reward + inside * discount * self._rewards[slots]
            discount = torch.where(inside, discount * gamma * self._discounts[slots], discount)
            last = last + inside
        both = self.observations(torch.cat((row, last)), environment.repeat(2))
        s_tm1, s_t = both.chunk(2)
        a_tm1 = self._actions[self._slots(row + 1, environment)]
        future = self.gather_future(row, environment, future_steps) if future_steps else None
        return Batch(s_tm1, a_tm1, reward, discount, s_t, future)

    def gather_future(self, row: Tensor, environment: Tensor, steps: int) -> Future:
        """Gather the next K = `steps` steps after each row: int64 [B] and [B].

        Steps are `inside` up to the episode's last frame, the first discount of 0 (such as a lost
        life) or the newest row, which is used in place of later rows.
        """
        rows = row[:, None] + torch.arange(1, steps + 1, device=self.device)
        known = torch.minimum(rows, self._newest_row)
        slots = self._slots(known, environment[:, None])
        inside = ~self._firsts[slots] & (rows <= self._newest_row)
        inside[:, 1:] &= self._discounts[slots[:, :-1]] != 0
        frames = self.observations(known.flatten(), environment.repeat_interleave(steps))
        return Future(
            self._actions[slots],
            frames.view(-1, steps, self.stack, self.height, self.width),
            inside.cumprod(1).bool(),
        )

    def _slots(self, row: Tensor, environment: Tensor) -> Tensor:
        return (row % self.rows) * self.environments + environment


def ring_bytes(
    rows: int, environments: int, height: int, width: int, storage: StorageKind = "raw"
) -> int:
    """Predict the memory of a ring in bytes: exact for raw, an upper estimate if compressed."""
    other_bytes = 8 + 4 + 4 + 1
    pixels = height * width
    open_group = environments * GROUP_ROWS * pixels if storage == "compressed" else 0
    return rows * environments * (bytes_per_frame(storage, pixels) + other_bytes) + open_group


def no_actions(environments: int) -> IntArray:
    """Placeholder actions of a first row, which are never read: int64 [E] of zeros."""
    return np.zeros(environments, dtype=np.int64)
