"""decoder: compiled and torch versions say the same; pruning gives nothing away."""

import importlib.util
import logging
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import on_gpu

from zbo.trainer import decoder, jrvae, kernels, training
from zbo.trainer.training import Problem, TrainingSettings

LIBRARY = kernels.load()
compiled = pytest.mark.skipif(LIBRARY is None, reason="no compiled decoder here")
SCRIPTS = Path(decoder.__file__).parents[2]


def problem(
    n=5, shape=(9, 13), classes=3, hidden=(64, 32), pruned=False, sigma=None, gain=2.0, shared=False
):
    """Arguments of decode_and_differentiate; 117 pixels: a whole tile and an odd rest."""
    generator = torch.Generator().manual_seed(0)
    settings = jrvae.ModelSettings(image_shape=shape, classes=classes, hidden_dim=hidden)
    net = jrvae.build(settings, 1).decoder
    linears = [net.coord_latent.fc_coord, *net.fc_layers[::2], net.out]
    params = [gain * p.detach() for layer in linears for p in (layer.weight, layer.bias)]
    pixels = shape[0] * shape[1]
    q = torch.softmax(torch.randn(n, classes, generator=generator), 1)
    active = None
    if pruned:
        active = torch.rand(n, classes, generator=generator) > 0.5
        active[0] = False  # an image without any: nothing must be read or left over
    images = torch.rand(n, pixels, generator=generator)
    coords = torch.randn(n, pixels, 2, generator=generator)
    latents = gain * torch.randn(n, classes, hidden[0], generator=generator)
    share = torch.arange(1.0, pixels + 1) / pixels if shared else None
    return images, share, active, sigma, coords, latents, q, params


def in_double(arguments):
    *tensors, params = arguments
    return *(t.double() if torch.is_tensor(t) and t.is_floating_point() else t for t in tensors), [
        p.double() for p in params
    ]


def of_active(result, active):
    """What the decoder returned, log p without what means nothing."""
    return [result[0] if active is None else result[0][active], *result[1:]]


CASES = {
    "plain": {},
    "one pixel row": {"shape": (1, 3)},
    "one image and class": {"n": 1, "classes": 1},
    "pruned": {"pruned": True},
    "gaussian": {"sigma": 0.1},
    "pruned gaussian": {"pruned": True, "sigma": 0.1},
    "sampled": {"shared": True},
    "sampled pruned gaussian": {"shared": True, "pruned": True, "sigma": 0.1},
    "wide": {"hidden": (128, 128), "classes": 10},
    "saturated": {"gain": 30.0},
    "faint": {"gain": 1e-3},
}


@compiled
@pytest.mark.parametrize("case", CASES)
def test_compiled_agrees_with_torch_in_double(case):
    arguments = problem(**CASES[case])
    active = arguments[2]
    found = of_active(decoder._compiled(*arguments), active)
    reference = of_active(decoder._with_torch(*arguments), active)
    exact = of_active(decoder._with_torch(*in_double(arguments)), active)
    for a, b, c in zip(found, reference, exact, strict=True):
        assert a.shape == c.shape
        ours, theirs = ((t - c).abs().max().item() for t in (a, b))
        assert ours <= 2e-6 * c.abs().max().item() + 3 * theirs


@compiled
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names processors of that kind")
@pytest.mark.parametrize("processor", ["x86-64", "haswell"])
def test_compiled_agrees_on_older_processors(tmp_path, processor):
    """The paths of SSE and AVX2, which a newer processor runs as well."""
    wrapper = tmp_path / "cc"
    if processor == "haswell" and "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor is older")
    compiler = kernels._compiler()
    named = processor.replace("-", "_") if "ziglang" in compiler else processor
    arguments = f'"${{@/-march=native/-march={named}}}"'
    wrapper.write_text(f"#!/bin/bash\nexec {shlex.join(compiler)} {arguments}\n")
    wrapper.chmod(0o755)
    names = [f"{__file__}::test_compiled_agrees_with_torch_in_double"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *names],
        env=os.environ | {"CC": str(wrapper), "ZBO_KERNEL_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=SCRIPTS.parent,
    )
    assert f"{len(CASES)} passed" in done.stdout, done.stdout
    assert list(tmp_path.glob("decoder-*.so"))


@compiled
def test_compiled_repeats_bit_for_bit_for_any_number_of_threads():
    arguments = problem(n=90, pruned=True)
    alone = decoder._compiled(*arguments)
    for threads in (1, 2, 3, 3, 7):
        again = decoder._compiled(*arguments, threads)
        assert all(torch.equal(a, b) for a, b in zip(alone, again, strict=True))


@compiled
@pytest.mark.parametrize(
    "hidden, device, dtype, version",
    [
        ((32, 32), "cpu", torch.float32, "_compiled"),
        ((32, 32), "cpu", torch.float64, "_with_torch"),
        ((42, 32), "cpu", torch.float32, "_with_torch"),
        ((32, 32, 32), "cpu", torch.float32, "_with_torch"),
        ((32,), "cpu", torch.float32, "_with_torch"),
    ],
)
def test_compiled_runs_exactly_where_it_can(hidden, device, dtype, version, monkeypatch):
    called = []
    for name in ("_compiled", "_with_torch"):
        monkeypatch.setattr(decoder, name, lambda *_, name=name: called.append(name))
    arguments = problem(hidden=hidden)
    decoder.decode_and_differentiate(
        *(in_double(arguments) if dtype == torch.float64 else arguments)
    )
    assert called == [version]


@pytest.mark.parametrize("hidden", [(24,), (16, 24), (16, 8, 24)])
@pytest.mark.parametrize("sigma", [None, 0.2])
@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_torch_gradient_is_autograds(hidden, sigma, pruned, shared):
    images, share, active, _, coords, latents, q, params = in_double(
        problem(hidden=hidden, pruned=pruned, shared=shared)
    )
    leaves = [t.requires_grad_() for t in (coords, latents, *params)]
    a = torch.tanh((coords @ params[0].T + params[1]).unsqueeze(1) + latents.unsqueeze(2))
    for w, b in zip(params[2:-2:2], params[3:-2:2], strict=True):
        a = torch.tanh(a @ w.T + b)
    out = (a @ params[-2].T + params[-1]).squeeze(-1)  # (n, K, P)
    x = images.unsqueeze(1).expand_as(out)
    if sigma is None:
        density = torch.distributions.Bernoulli(logits=out, validate_args=False)
    else:
        density = torch.distributions.Normal(torch.sigmoid(out), sigma)
    logp = density.log_prob(x)
    logp = (logp if share is None else logp * share).sum(-1)
    if pruned:
        logp = logp * active
    expected = torch.autograd.grad((q * logp).sum(), leaves)
    with torch.no_grad():
        found, *grads = decoder._with_torch(
            images, share, active, sigma, coords, latents, q, params
        )
    if pruned:
        found = found * active
    torch.testing.assert_close(found, logp.detach(), rtol=1e-10, atol=1e-10)
    for a, b in zip(grads, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_decoding_all_and_ignoring_the_skipped_is_the_same():
    """What a GPU does, whose captured steps cannot depend on how many are skipped."""
    images, share, active, *some, q, params = in_double(problem(pruned=True))
    skipped = decoder._with_torch(images, share, active, *some, q, params)
    ignored = decoder._with_torch(images, share, None, *some, torch.where(active, q, 0), params)
    torch.testing.assert_close(skipped[0][active], ignored[0][active])
    for a, b in zip(skipped[1:], ignored[1:], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_slices_do_not_show(monkeypatch):
    arguments = in_double(problem(pruned=True))
    whole = decoder._with_torch(*arguments)
    monkeypatch.setitem(decoder._SLICE_ROWS, "cpu", 1)
    for a, b in zip(decoder._with_torch(*arguments), whole, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.fixture
def batch():
    """A model whose classes differ, images, latents and probabilities from 0.9 to 1e-6."""
    model = jrvae.build(
        jrvae.ModelSettings(image_shape=(6, 5), classes=6, hidden_dim=(32, 32)), 0
    ).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.5 * torch.randn(p.shape, generator=generator).double())
    images = torch.rand(8, 30, generator=generator).double()
    z = torch.randn(8, 3, generator=generator).double()
    logits = 4 * torch.randn(8, 6, generator=generator).double()
    return model, images, z, logits


def reconstruct(model, images, z, q, threshold=0.0, last=None):
    """Reconstruction, Σ q log p, and the decoder's gradients by name."""
    made = Problem.of(model, TrainingSettings())
    found = decoder.reconstruct(
        made.network, made.gradient, made.transform, images, z, q.detach(), None, threshold, last
    )
    return found, (q * found.log_likelihood).sum(), made.gradient.flat


def test_pruning_decodes_what_exceeds_the_threshold_and_the_most_probable(batch):
    model, images, z, logits = batch
    q = torch.softmax(logits, 1)
    exact, total, _ = reconstruct(model, images, z, q)
    assert exact.decoded == 48
    for threshold in (1e-3, 0.05, 0.999):
        pruned, _, _ = reconstruct(model, images, z, q, threshold)
        kept = q > threshold
        kept[torch.arange(8), q.argmax(1)] = True
        assert pruned.decoded == kept.sum() < 48
        torch.testing.assert_close(pruned.log_likelihood[kept], exact.log_likelihood[kept])
        lowest = exact.log_likelihood.masked_fill(~kept, torch.inf).amin(1, keepdim=True)
        charged = torch.where(kept, exact.log_likelihood, lowest)
        torch.testing.assert_close(pruned.log_likelihood, charged)
    _, tiny, _ = reconstruct(model, images, z, q, 1e-12)
    torch.testing.assert_close(tiny, total)


def test_hiding_probability_in_skipped_classes_gains_nothing(batch):
    model, images, z, logits = batch
    q = torch.softmax(logits, 1)
    kept = q > 0.05
    slope = reconstruct(model, images, z, q, 0.05)[0].log_likelihood  # of the total, along q
    best_skipped = slope.masked_fill(kept, -torch.inf).amax(1)
    worst_kept = slope.masked_fill(~kept, torch.inf).amin(1)
    assert torch.all(best_skipped <= worst_kept)

    # Gradient ascent on the reconstruction alone hides no more than it does with all decoded.
    def ascend(logits, threshold, remember):
        last = torch.full_like(logits, torch.inf) if remember else None
        for _ in range(200):
            logits = logits.detach().requires_grad_()
            q = torch.softmax(logits, 1)
            now, total, _ = reconstruct(model, images, z, q, threshold, last)
            last = now.log_likelihood if remember else None
            logits = logits + 0.05 * torch.autograd.grad(total, logits)[0]
        return q.detach(), now, total

    exact, _, _ = ascend(logits, 0.0, False)
    ours, now, total = ascend(logits, 0.05, True)
    without_memory, _, _ = ascend(logits, 0.05, False)
    hidden = [torch.where(p > 0.05, 0, p).sum(1) for p in (exact, ours, without_memory)]
    assert now.decoded < 48
    assert torch.all(hidden[1] <= 1.01 * hidden[0])
    assert hidden[2].sum() > 1.5 * hidden[0].sum()  # what the memory is for
    assert total <= reconstruct(model, images, z, ours)[1] + 1e-9


def test_a_skipped_class_is_charged_what_it_last_reached(batch):
    model, images, z, logits = batch
    q = torch.softmax(logits, 1)
    kept = q > 0.05
    first = reconstruct(model, images, z, q, 0.05)[0].log_likelihood
    last = first - torch.arange(6)
    again = reconstruct(model, images, z, q, 0.05, last)[0].log_likelihood
    torch.testing.assert_close(again[kept], first[kept])
    torch.testing.assert_close(again[~kept], last[~kept])


def test_skipped_classes_pass_no_gradient_to_the_decoder(batch):
    model, images, z, logits = batch
    q = torch.softmax(logits, 1)
    kept = q > 0.3
    kept[torch.arange(8), q.argmax(1)] = True
    grads = []
    for weight, threshold in ((q, 0.3), (q * kept, 0.0)):
        found = reconstruct(model, images, z, weight, threshold)
        grads.append([found[2][name] for name, _ in model.named_parameters() if "decoder" in name])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def load_elsewhere(**environment):
    """Load the library in a process of its own: loaded or not, and what was logged."""
    code = (
        "import logging; logging.basicConfig(level='INFO');"
        "from zbo.trainer import kernels; kernels.load(); print(kernels.load() is not None)"
    )
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("ZBO_", "XDG_", "CC"))}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=keep | {"PYTHONPATH": str(SCRIPTS)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_without_compiler_or_turned_off_torch_is_used(tmp_path):
    quiet = load_elsewhere(ZBO_KERNEL="off").communicate()
    assert quiet[0].strip() == "False" and "turned off" in quiet[1]
    nowhere = {"PATH": str(tmp_path), "ZBO_KERNEL_CACHE": str(tmp_path), "HOME": str(tmp_path)}
    out, log = load_elsewhere(**nowhere).communicate()
    if importlib.util.find_spec("ziglang"):
        assert out.strip() == "True"
    else:
        assert out.strip() == "False"
        assert log.count("no compiled decoder") == 1 and "no C compiler: install gcc" in log


@compiled
def test_a_compiler_from_a_wheel_stands_in(tmp_path):
    """Here a package of its name that calls this machine's; where there is none, the true one."""
    if found := next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None):
        package = tmp_path / "ziglang"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(
            f"import os, sys\nos.environ['PATH'] = {os.environ['PATH']!r}\n"
            f"assert sys.argv.pop(1) == 'cc'\nos.execv({found!r}, [{found!r}, *sys.argv[1:]])\n"
        )
    path = f"{SCRIPTS}{os.pathsep}{tmp_path}"
    out, log = load_elsewhere(
        PATH="", PYTHONPATH=path, ZBO_KERNEL_CACHE=str(tmp_path / "cache"), HOME=str(tmp_path)
    ).communicate()
    assert out.strip() == "True", log


@compiled
def test_cache_is_shared_and_survives_what_goes_wrong(tmp_path):
    cache = tmp_path / "cache"
    together = [load_elsewhere(ZBO_KERNEL_CACHE=str(cache)) for _ in range(3)]
    assert [p.communicate()[0].strip() for p in together] == ["True"] * 3
    assert len(list(cache.iterdir())) == 1  # one library, nothing half written beside it
    # prebuilt, as in a container image: no compiler needed
    out, _ = load_elsewhere(PATH="", ZBO_KERNEL_CACHE=str(cache), HOME=str(tmp_path)).communicate()
    assert out.strip() == "True"
    # a folder that cannot be written, here because it is a file
    blocked = tmp_path / "file"
    blocked.write_text("")
    nowhere = {"ZBO_KERNEL_CACHE": str(blocked), "XDG_CACHE_HOME": str(blocked)}
    assert load_elsewhere(**nowhere).communicate()[0].strip() == "True"


def test_compiler_that_fails_is_no_error(tmp_path, monkeypatch, caplog):
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'no such processor' >&2; exit 1\n")
    broken.chmod(0o755)
    for name in ("ZBO_KERNEL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "empty"))
    monkeypatch.setenv("CC", str(broken))
    with caplog.at_level(logging.WARNING):
        assert kernels.load.__wrapped__() is None
    assert "no such processor" in caplog.text


def test_pyroved_needs_no_torchvision_and_leaves_no_stand_in():
    from zbo.trainer.pyroved import pyroved

    assert pyroved.__version__
    if importlib.util.find_spec("torchvision") is None:
        assert "torchvision" not in sys.modules
    from matplotlib import pyplot

    assert pyroved.utils.viz.plt.figure is pyplot.figure  # the stand-in gives what it stands for


@compiled
def test_training_agrees_between_compiled_and_torch(monkeypatch):
    images = np.random.default_rng(0).random((20, 6, 5), dtype=np.float32)
    losses = []
    for library in (LIBRARY, None):
        monkeypatch.setattr(kernels, "load", lambda library=library: library)
        model = jrvae.build(
            jrvae.ModelSettings(image_shape=(6, 5), classes=3, hidden_dim=(32, 64)), 0
        )
        settings = TrainingSettings(batch_size=8, prune_threshold=0.3)
        history = training.train(model, images, np.ones(4), np.ones(4), settings, 0)
        losses.append(history.loss)
    np.testing.assert_allclose(*losses, rtol=1e-4)


@on_gpu
@pytest.mark.parametrize("case", CASES)
def test_fused_on_a_gpu_agrees_with_double_and_repeats(case, caplog):
    arguments = problem(**CASES[case])
    active, params = arguments[2], arguments[-1]
    exact = of_active(decoder._with_torch(*in_double(arguments)), active)
    there = (
        *(t.cuda() if torch.is_tensor(t) else t for t in arguments[:-1]),
        [p.cuda() for p in params],
    )
    found = of_active(decoder.decode_and_differentiate(*there), there[2])
    again = of_active(decoder.decode_and_differentiate(*there), there[2])
    reference = of_active(decoder._with_torch(*there), there[2])
    for a, b, c, d in zip(found, reference, exact, again, strict=True):
        ours, theirs = ((t.cpu() - c).abs().max().item() for t in (a, b))
        assert ours <= 2e-5 * c.abs().max().item() + 3 * theirs
        assert torch.equal(a, d)
    if torch.cuda.get_device_capability()[0] in decoder._FUSED_ON:
        assert not caplog.text  # Triton it was


TRITON = importlib.util.find_spec("triton")
with_triton = pytest.mark.skipif(TRITON is None, reason="no Triton (CUDA builds of torch bring it)")


@with_triton
def test_the_gpu_decoder_in_tritons_interpreter():
    file = Path(__file__).with_name("interpreted_decoder.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file],
        env=os.environ | {"TRITON_INTERPRET": "1"},
        cwd=SCRIPTS.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


@with_triton
@pytest.mark.parametrize("capability, most_shared", [(80, 163), (89, 99), (90, 227), (120, 99)])
@pytest.mark.parametrize("tf32", [False, True])
def test_the_gpu_decoder_compiles_for_gpus_that_are_not_here(capability, most_shared, tf32):
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    from zbo.trainer.kernels import decoder_gpu

    kernel = decoder_gpu._decode
    constants = {**decoder_gpu.build(tf32), "H0": 128, "H1": 128, "H2": 128}
    warps = constants.pop("num_warps")
    constants |= {"GAUSSIAN": not tf32, "PRUNED": tf32, "SHARED": True}
    types = {"pixels": "i32", "classes": "i32", "sigma": "fp32", "active": "*i1"}
    signature = {
        name: "constexpr" if name in constants else types.get(name, "*fp32")
        for name in kernel.arg_names
    }
    source = ASTSource(kernel, signature, constants)
    built = compile(source, GPUTarget("cuda", capability, 32), {"num_warps": warps})
    assert built.asm["cubin"]
    assert built.metadata.shared <= most_shared * 1024
    products = re.findall(r"(?:wgmma\.mma_async|mma\.sync)\S*tf32", built.asm["ptx"])
    assert products, "no tensor cores"
