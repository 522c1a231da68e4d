"""What self-prediction cannot be added to is said in a sentence."""

from __future__ import annotations

import pytest
from torch import nn

from qcade.algorithms.self_prediction import SelfPredictiveHead
from qcade.networks.heads import ScalarHead
from qcade.networks.streams import Plain
from qcade.types import QcadeError


def test_streams_of_ones_own_need_a_projection() -> None:
    with pytest.raises(QcadeError, match=r"streams that have a `projection`.*ScalarHead has none"):
        SelfPredictiveHead(ScalarHead(nn.Linear(8, 3)), (2, 2, 2), actions=3)
    with pytest.raises(QcadeError, match="Identity has none"):
        SelfPredictiveHead(nn.Identity(), (2, 2, 2), actions=3)
    SelfPredictiveHead(ScalarHead(Plain(hidden=4).build(8, 3, 1)), (2, 2, 2), actions=3)
