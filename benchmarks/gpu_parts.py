"""The parts of gpu.py: each measures one thing and returns plain figures."""

from __future__ import annotations

import dataclasses
import statistics
import time
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from qcade.agent.agent import Agent
from qcade.agent.exploration import LinearEpsilon
from qcade.compute.cores import available_cores
from qcade.compute.runners import MAX_STEPS_PER_GRAPH, GraphRunner
from qcade.doctor.measuring import measure_emulators, opened
from qcade.events import Advanced, Episode
from qcade.play.evaluation import agent_player, evaluate
from qcade.recipe import Compute, OnPolicyRecipe, Recipe, ReplayRecipe
from qcade.recipes import make_recipe
from qcade.training.loop import NO_INPUT, Runners, make_runners, run
from qcade.training.parts import Training
from qcade.training.snapshot import take_snapshot
from updates import filled

from trainings import make_next_updates, training_of

CHECKED = ("dqn", "rainbow", "pqn", "iqn", "qr-dqn", "spr", "bbf", "btr")
SOLVED, LATEST_GAMES = 18.0, 30
QUIET_EPSILON = 0.02
"""Games with more random actions do not count as solved or not."""
Returned = TypeVar("Returned")


@dataclass(frozen=True)
class Conditions:
    """What is the same for all parts."""

    game: str
    """What is played, Pong but for a try."""
    device: str
    """Where the networks compute."""
    precision: str
    """float32, bfloat16 or auto."""
    quick: bool
    """Whether this is only to see that everything runs."""

    @property
    def settling_updates(self) -> int:
        """Updates made, and not timed, before the clock starts: graphs are captured in them."""
        return 4 if self.quick else 64

    @property
    def profiled_rows(self) -> int:
        """Rows whose time is taken apart."""
        return 6 if self.quick else 40

    def compute(self, graphs: bool = True) -> Compute:
        """The recipe part."""
        threads = 1 if self.quick else 0
        precision: Any = self.precision
        return Compute(device=self.device, precision=precision, threads=threads, graphs=graphs)


def check(conditions: Conditions) -> list[dict[str, Any]]:
    """Compare replayed with called updates, and time both, for several recipes."""
    names = CHECKED[:3] if conditions.quick else CHECKED
    found = []
    for name in names:
        try:
            found.append(_checked(conditions, name))
        except Exception as error:  # one recipe that fails must not take the others along
            found.append({"recipe": name, "failed": f"{type(error).__name__}: {error}"})
    return found


def _checked(conditions: Conditions, name: str) -> dict[str, Any]:
    figures: dict[str, Any] = {"recipe": name}
    for words, graphs in (("captured", True), ("called", False)):
        recipe = dataclasses.replace(
            make_recipe(name, conditions.game), compute=conditions.compute(graphs)
        )
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            training = filled(recipe)
            runners = make_runners(training)
            milliseconds = _milliseconds_an_update(training, runners, 4 if conditions.quick else 64)
            runners.value.run([NO_INPUT])
        figures[f"{words}_ms"] = milliseconds
        if graphs:
            figures |= graphs_of(runners)
            figures["said"] = [str(warning.message) for warning in told]
        training.close()
    return figures


def graphs_of(runners: Runners) -> dict[str, Any]:
    """Say what became of the graphs of a training: none on a processor."""
    found = [runner for runner in runners if isinstance(runner, GraphRunner)]
    return {
        "graphs": sum(runner.captures for runner in found),
        "refused": any(runner.is_refused for runner in found),
        "disagreement": max((runner.largest_disagreement for runner in found), default=None),
    }


def _milliseconds_an_update(training: Training, runners: Runners, updates: int) -> float:
    """The median over runs, several updates at once where that can be."""
    for _ in range(3):
        _timed_updates(training, runners)
    times = []
    made = 0
    while made < updates:
        count, seconds = _timed_updates(training, runners)
        times.append(1e3 * seconds / count)
        made += count
    return statistics.median(times)


def _timed_updates(training: Training, runners: Runners) -> tuple[int, float]:
    """Make some updates; return how many, and their seconds."""
    synchronize(training.hardware.device)
    started = time.perf_counter()
    count = make_next_updates(training, runners, MAX_STEPS_PER_GRAPH)
    synchronize(training.hardware.device)
    return count, time.perf_counter() - started


def rates(conditions: Conditions, seconds: float) -> list[dict[str, Any]]:
    """Decisions a second of `dqn` and `pqn` with several numbers of games, and of games alone."""
    counts = (4, 8) if conditions.quick else (8, 32, 128, 256)
    found = []
    for count in counts:
        game = make_recipe("dqn", conditions.game).game
        with opened(game, count, _threads(conditions)) as environments:
            alone = measure_emulators(environments, count, seconds / 4)
        figures: dict[str, Any] = {"games": count, "emulators_alone": alone}
        for name in ("dqn", "pqn"):
            with training_of(_playing(conditions, name, count)) as training:
                runners = make_runners(training)
                rate = _rate(training, runners, conditions.settling_updates, seconds)
                figures[name] = rate | graphs_of(runners)
        found.append(figures)
    return found


def _threads(conditions: Conditions) -> int:
    return conditions.compute().threads or available_cores()


def _playing(conditions: Conditions, name: str, games: int) -> Recipe:
    """A recipe as it is at the end of its exploration, so that every row asks the network.

    Rollouts overlap, so that emulators and GPU need not wait for each other.
    """
    recipe = dataclasses.replace(
        make_recipe(name, conditions.game),
        environments=games,
        exploration=LinearEpsilon(start=0.01, end=0.01),
        compute=conditions.compute(),
        total_frames=2_000_000_000,
    )
    if isinstance(recipe, ReplayRecipe):
        start = (40 if conditions.quick else 4_000) + 40 * games
        updates = dataclasses.replace(
            recipe.updates, start_frames=start * recipe.game.frames_per_decision
        )
        replay = dataclasses.replace(recipe.replay, capacity=max(100_000, 8 * start))
        return dataclasses.replace(recipe, updates=updates, replay=replay)
    assert isinstance(recipe, OnPolicyRecipe)
    return dataclasses.replace(recipe, rollouts=dataclasses.replace(recipe.rollouts, overlap=True))


def _rate(
    training: Training, runners: Runners, settling_updates: int, seconds: float
) -> dict[str, Any]:
    started: tuple[float, int, int] | None = None
    for event in run(training, runners):
        if not isinstance(event, Advanced) or event.updates < settling_updates:
            continue
        now = time.perf_counter()
        if started is None:
            synchronize(training.hardware.device)
            started = (time.perf_counter(), training.clock.decisions, event.updates)
        elif now - started[0] >= seconds:
            break
    assert started is not None
    synchronize(training.hardware.device)
    passed = time.perf_counter() - started[0]
    return {
        "decisions_per_second": (training.clock.decisions - started[1]) / passed,
        "updates_per_second": (training.clock.updates - started[2]) / passed,
    }


class Stopwatch:
    """Adds up what the host spends in each of some functions."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, name: str, function: Callable[..., Returned]) -> Callable[..., Returned]:
        """The same function, timed."""

        def call(*arguments: Any) -> Returned:
            started = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                passed = time.perf_counter() - started
                self.seconds[name] = self.seconds.get(name, 0.0) + passed

        return call


class TimedEnvironments:
    """Environments whose `send` and `recv` are timed."""

    def __init__(self, environments: Any, watch: Stopwatch) -> None:
        self._environments = environments
        self.send = watch.timed("send", environments.send)
        self.recv = watch.timed("waiting for emulators", environments.recv)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._environments, name)


def limits(conditions: Conditions) -> list[dict[str, Any]]:
    """Where the host's time goes, and what the device is busy with, for `dqn` and `pqn`."""
    return [_limits(conditions, name) for name in ("dqn", "pqn")]


def _limits(conditions: Conditions, name: str) -> dict[str, Any]:
    with training_of(_playing(conditions, name, 8 if conditions.quick else 128)) as training:
        return {"recipe": name, **_shares(conditions, training)}


def _shares(conditions: Conditions, training: Training) -> dict[str, Any]:
    runners = make_runners(training)
    events = (e for e in run(training, runners) if isinstance(e, Advanced))
    next(e for e in events if e.updates >= conditions.settling_updates)
    watch, rows = Stopwatch(), conditions.profiled_rows
    _time_parts(training, runners, watch)
    started = time.perf_counter()
    for _ in range(rows):
        next(events)
    synchronize(training.hardware.device)
    whole = time.perf_counter() - started
    host = {name: seconds / whole for name, seconds in watch.seconds.items()}
    on_gpu = training.hardware.device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    with profile(activities=activities) as profiler:
        for _ in range(rows):
            next(events)
        synchronize(training.hardware.device)
    by = "self_cuda_time_total" if on_gpu else "self_cpu_time_total"
    table = profiler.key_averages().table(sort_by=by, row_limit=20, max_name_column_width=70)
    return {"ms_a_row": 1e3 * whole / rows, "share_of_host_time": host, "profile": table}


def _time_parts(training: Training, runners: Runners, watch: Stopwatch) -> None:
    """Let the parts that the loop calls be timed, none within another."""
    training.session.environments = TimedEnvironments(training.session.environments, watch)
    parts: list[tuple[str, Any, str]] = [
        ("acting, and waiting for the device", training.actor, "choose_by"),
        ("launching updates", training.source, "next_plans"),
        ("launching updates", training.learner, "set_learning_rate"),
        ("launching updates", runners.update, "run"),
        ("launching updates", training.metrics, "add"),
        ("launching updates", training.learner, "update_target"),
        ("taking in frames", training.session.episodes, "track"),
        ("taking in frames", training.ring, "append"),
    ]
    for name, part, function in parts:
        setattr(part, function, watch.timed(name, getattr(part, function)))


def learn_pong(conditions: Conditions, seconds: float) -> dict[str, Any]:
    """Train `sprint-gpu` until the latest games' mean is 18, or time is over; then evaluate."""
    recipe = dataclasses.replace(
        make_recipe("sprint-gpu", conditions.game), compute=conditions.compute()
    )
    with training_of(recipe) as training:
        weights, figures = _learn(training, seconds)
    agent = Agent(recipe, weights, training.actor.actions)
    evaluation = evaluate(
        agent_player(agent, 0.001, 7), recipe.game, 4 if conditions.quick else 24, 7
    )
    return figures | {"evaluation": evaluation.to_json()}


def _learn(training: Training, seconds: float) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Train until the mean is reached, or time is over; return the weights, and how it went."""
    runners = make_runners(training)
    scores: deque[float] = deque(maxlen=LATEST_GAMES)
    curve: list[dict[str, float]] = []
    started = time.perf_counter()
    solved: float | None = None
    for event in run(training, runners):
        passed = time.perf_counter() - started
        if isinstance(event, Episode) and event.epsilon <= QUIET_EPSILON:
            scores.append(event.score)
        if not isinstance(event, Advanced):
            continue
        if scores and (not curve or passed - curve[-1]["seconds"] >= 2.0):
            mean = statistics.fmean(scores)
            curve.append({"seconds": passed, "frames": event.frames, "mean": mean})
            if len(scores) == LATEST_GAMES and mean >= SOLVED:
                solved = passed
                break
        if passed >= seconds:
            break
    figures = {
        "recipe": training.recipe.name,
        "seconds": time.perf_counter() - started,
        "seconds_to_mean_18_of_30_training_games": solved,
        "frames": training.frames,
        "updates": training.clock.updates,
        "curve": curve,
        **graphs_of(runners),
    }
    return take_snapshot(training).weights, figures


def synchronize(device: torch.device) -> None:
    """Wait until the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
