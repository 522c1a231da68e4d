"""Where and how a recipe computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qcade.types import ThreadCount


@dataclass(frozen=True)
class Compute:
    """Device, precision and threads of the computation."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps; auto is a CUDA GPU if there is one, else the CPU."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the networks; auto is bfloat16 if the hardware supports it correctly.
    Weights stay float32."""
    threads: ThreadCount = 0
    """CPU threads for the learner, and as many for the emulators; 0 for all cores."""
    graphs: bool = True
    """Whether a CUDA GPU runs updates and acting as CUDA graphs where possible."""
