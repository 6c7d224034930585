"""The decoder for a GPU in Triton's interpreter, which takes an environment of its own.

test_decoder.py runs this file; in the same place it is compiled for GPUs that are not here.
"""

import pytest
import torch
from test_decoder import CASES, in_double, of_active, problem

from zbo.trainer import decoder, kernels
from zbo.trainer.kernels import decoder_gpu

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def untried():
    decoder._fused.cache_clear()


@pytest.mark.parametrize("tf32", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_fused_agrees_with_torch_in_double(case, tf32):
    """The interpreter computes TF32's products in float32, so both are held to the same."""
    arguments = problem(**CASES[case])
    active = arguments[2]
    found = of_active(decoder_gpu.decode_and_differentiate(*arguments, tf32), active)
    exact = of_active(decoder._with_torch(*in_double(arguments)), active)
    reference = of_active(decoder._with_torch(*arguments), active)
    for a, b, c in zip(found, reference, exact, strict=True):
        assert a.shape == c.shape
        ours, theirs = ((t - c).abs().max().item() for t in (a, b))
        assert ours <= 3e-6 * c.abs().max().item() + 3 * theirs


@pytest.mark.parametrize("case", ["plain", "sampled pruned gaussian"])
def test_slices_of_a_batch_add_up(case, monkeypatch):
    arguments = problem(**CASES[case])
    active = arguments[2]
    fused = decoder._fused(CPU, torch.float32, (64, 64, 32), *4 * [False])
    whole = of_active(decoder._in_slices(fused, *arguments), active)
    monkeypatch.setitem(decoder._SLICE_ROWS, "cuda", 2 * 117 * 3)  # two images of the five
    for a, b in zip(of_active(decoder._in_slices(fused, *arguments), active), whole, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * b.abs().max().item())


@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize("pruned, shared", [(False, False), (True, False), (True, True)])
def test_it_is_tried_before_it_is_used(gaussian, pruned, shared, monkeypatch, caplog):
    kind = torch.float32, (64, 64, 32), True, gaussian, pruned, shared
    assert decoder._fused(CPU, *kind) is not None
    assert not caplog.text

    right = decoder_gpu.decode_and_differentiate
    monkeypatch.setattr(
        decoder_gpu,
        "decode_and_differentiate",
        lambda *args, **kw: [1.1 * t for t in right(*args, **kw)],
    )
    decoder._fused.cache_clear()
    assert decoder._fused(CPU, *kind) is None
    assert "using torch, several times slower: its results are 0." in caplog.text


def test_what_it_does_not_fit_is_left_to_torch(monkeypatch, caplog):
    for widths in [(64, 48, 64), (64, 256, 64), (64, 64)]:
        assert decoder._fused(CPU, torch.float32, widths, *4 * [False]) is None
    assert decoder._fused(CPU, torch.float64, (64, 64, 64), *4 * [False]) is None
    monkeypatch.setenv("ZBO_KERNEL", "off")
    assert kernels.off()
    assert decoder._fused(CPU, torch.float32, (64, 64, 64), *4 * [False]) is None
    assert not caplog.text
