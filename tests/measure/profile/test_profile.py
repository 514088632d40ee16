"""Profile of a forward pass: rows and their sum, and a slow slot."""

import time

import pytest
import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec, preset
from dsx.errors import DsxError
from dsx.measure import Candidate
from dsx.measure.profile.profile import PLAIN, Breakdown, break_down
from dsx.nets.small_cnn import SmallCnn
from dsx.space.measure_settings import with_measure_settings
from tests.space.space_files import replaced, space

QUICK = replaced("measure: {batch: 1}", "measure: {batch: 4, budget_seconds: 0.1}")
SPIN_MS = 5.0
"""Many times the time of everything else."""


class Spin(nn.Module):
    """A module that takes time and returns its input."""

    def forward(self, x: Tensor) -> Tensor:
        end = time.perf_counter() + SPIN_MS / 1000
        while time.perf_counter() < end:
            pass
        return x


class Slow(SmallCnn):
    """A network that takes time outside of its slots, and that torch.fx cannot trace."""

    def __init__(self) -> None:
        super().__init__(width=4)
        self.spin = Spin()

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 1e9:
            return super().forward(x)
        return super().forward(self.spin(x))


def break_down_one(candidate: Candidate) -> Breakdown:
    (found,) = break_down([candidate])
    return found


def times(found: Breakdown) -> dict[str | None, float]:
    return {layer.slot: layer.ms.value for layer in found.layers}


@pytest.mark.timing
def test_only_the_slow_slot_takes_long() -> None:
    loaded = space(QUICK)
    design = loaded.design({"stages.0.conv1": ConvSpec(kernel_shape="cross")})
    candidate = Candidate(loaded, design)
    holder = candidate.deployed.network.get_submodule("stages.1")
    holder.conv1 = nn.Sequential(holder.get_submodule("conv1"), Spin())
    found = break_down_one(candidate)
    own = times(found)
    slow = own.pop("stages.1.conv1")
    assert slow >= SPIN_MS
    assert slow > 5 * max(own.values())
    assert found.ms == pytest.approx(slow + sum(own.values()))


@pytest.mark.timing
def test_time_outside_of_slots_is_the_last_row() -> None:
    text = QUICK.replace("small_cnn", f"{__name__}:Slow").replace("model_args: {width: 8}\n", "")
    loaded = space(text)
    candidate = Candidate(loaded, loaded.baseline)
    assert candidate.deployed.untraced is not None
    own = times(break_down_one(candidate))
    rest = own.pop(None)
    assert rest >= SPIN_MS
    assert rest > 5 * max(own.values())


def test_rows_have_the_slots_and_their_forms() -> None:
    loaded = space(QUICK)
    design = loaded.design(
        {
            "stages.0.conv1": preset("scc", groups=2, overlap=0.5),
            "stages.1.conv1": ConvSpec(binary_basis=4),
        }
    )
    candidates = [Candidate(loaded, one) for one in (design, loaded.baseline)]
    found, standing = break_down(candidates)
    slots = [slot.name for slot in loaded.analysis.slots]
    assert [layer.slot for layer in found.layers] == [*slots, None]
    assert [layer.slot for layer in standing.layers] == [*slots, None]
    forms = {layer.slot: layer.form for layer in found.layers}
    chosen = {name: choice.form for name, choice in candidates[0].deployed.choices.items()}
    assert forms == dict.fromkeys(slots, PLAIN) | {None: ""} | chosen
    assert {layer.form for layer in standing.layers} == {PLAIN, ""}
    for layer in (*found.layers, *standing.layers):
        assert 0 <= layer.ms.low <= layer.ms.value <= layer.ms.high
        assert layer.ms.value > 0
    assert found.passes >= 5
    assert {one.plain.value > 0 for one in (found, standing)} == {True}


def test_number_of_threads_is_restored() -> None:
    loaded = with_measure_settings(space(QUICK), threads=2)
    break_down_one(Candidate(loaded, loaded.baseline))
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"backend": "compile"}, r"in the backend compile \(allowed: eager\)"),
        ({"device": "cuda"}, r"on cuda \(allowed: cpu\)"),
    ],
)
def test_unsupported_settings_are_one_line(settings: dict[str, str], problem: str) -> None:
    loaded = with_measure_settings(space(QUICK), **settings)
    with pytest.raises(DsxError, match=f"{problem}$"):
        break_down([Candidate(loaded, loaded.baseline)])
