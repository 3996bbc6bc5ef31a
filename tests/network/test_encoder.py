"""The encoder against VGG-19 written out plainly, and what it promises about borders, taps and depth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

import plain
from impasto import losses
from impasto.errors import OptionError, WeightsError
from impasto.layers import CONVOLUTIONS, NAMES, scale_of
from impasto.network.encoder import Encoder, reflected
from impasto.network.weights.known import TORCHVISION, Preprocessing
from impasto.network.weights.loading import Weights, load


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], rtol: float = 2e-5) -> None:
    for name, maps in found.items():
        assert maps.shape == expected[name].shape, name
        worst = (maps - expected[name]).abs().max() / expected[name].abs().max().clamp_min(1e-6)
        assert worst < rtol, f"{name}: {worst:.1e}"


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("border", [0, 16, 32])
def test_every_layer_equals_the_plain_network(border: int, pooling: str) -> None:
    weights, picture = plain.weights(), plain.picture(53, 38)
    found = Encoder(weights, border=border, pooling=pooling)(picture, NAMES)
    assert set(found) == set(NAMES)
    assert_same(found, plain.features(weights.tensors, picture, average=pooling == "average", border=border))


def test_low_rank_equals_the_product_of_its_kernels() -> None:
    generator = torch.Generator().manual_seed(5)
    low, full = {}, plain.tensors()
    for name in CONVOLUTIONS[1:]:
        out, into = full[f"{name}.weight"].shape[:2]
        down = torch.randn(3, into, 3, 3, generator=generator) / (3 * into**0.5)
        up = torch.randn(out, 3, 1, 1, generator=generator)
        low |= {f"{name}.down.weight": down, f"{name}.up.weight": up, f"{name}.bias": full[f"{name}.bias"]}
        full[f"{name}.weight"] = torch.einsum("or,rikl->oikl", up[:, :, 0, 0], down)
    low |= {key: full[key] for key in ("conv1_1.weight", "conv1_1.bias")}
    picture = plain.picture(33, 40)
    encoder = Encoder(Weights(low, plain.CAFFE, "low", "", {}), border=0)
    assert_same(encoder(picture, NAMES), plain.features(full, picture), rtol=1e-4)


@pytest.mark.parametrize("border", [16, 48])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (15, 17), (16, 31), (33, 95)])
def test_maps_have_the_picture_s_size_over_the_scale(size: tuple[int, int], border: int) -> None:
    found = Encoder(plain.weights(), border=border)(torch.rand(3, *size), NAMES)
    for name, maps in found.items():
        scale = scale_of(name)
        assert maps.shape[1:] == (max(1, size[0] // scale), max(1, size[1] // scale)), name


def test_the_border_is_what_lies_around_not_what_lies_elsewhere() -> None:
    """A flat picture has flat maps with a border, and a frame without."""
    flat, weights = torch.full((3, 48, 48), 0.8), plain.weights()
    bordered = Encoder(weights, border=16)(flat, ["relu2_2"])["relu2_2"]
    bare = Encoder(weights, border=0)(flat, ["relu2_2"])["relu2_2"]
    assert (bordered - bordered[:, :1, :1]).abs().max() < 1e-3 * bordered.abs().max()
    assert (bare - bordered).abs().max() > 0.05 * bordered.abs().max()
    assert torch.allclose(bare[:, 5:-5, 5:-5], bordered[:, 5:-5, 5:-5], rtol=1e-4, atol=1e-2)


def test_a_convolution_s_tap_is_taken_before_its_relu() -> None:
    encoder, picture = Encoder(plain.weights()), plain.picture(32, 32)
    both = encoder(picture, ["conv2_1", "relu2_1", "relu3_1"])
    assert both["conv2_1"].min() < 0
    assert torch.equal(both["conv2_1"].clamp(min=0), both["relu2_1"])
    assert torch.equal(encoder(picture, ["conv2_1"])["conv2_1"], both["conv2_1"])
    assert torch.equal(encoder(picture, ["relu2_1"])["relu2_1"], both["relu2_1"])


def test_pixels_are_prepared_as_the_weights_say() -> None:
    # conv1_1 hands its input through: (255·1 − 123.68, 255·0 − 116.779, 255·0.5 − 103.939)
    identity = torch.zeros(3, 3, 3, 3)
    identity[range(3), range(3), 1, 1] = 1
    net = {"conv1_1.weight": identity, "conv1_1.bias": torch.zeros(3)}
    picture = torch.tensor([1.0, 0, 0.5]).view(3, 1, 1).expand(3, 2, 2)

    def seen(preprocessing: Preprocessing) -> list[float]:
        maps = Encoder(Weights(net, preprocessing, "identity", "", {}), border=0)(picture, ["conv1_1"])["conv1_1"]
        return maps[:, 1, 1].tolist()

    assert seen(plain.CAFFE) == pytest.approx([131.32, -116.779, 23.561], abs=1e-3)
    # (1 − 0.485)/0.229, (0 − 0.456)/0.224, (0.5 − 0.406)/0.225
    assert seen(TORCHVISION) == pytest.approx([2.24891, -2.03571, 0.41778], abs=1e-4)


def test_grey_is_the_same_as_three_equal_channels() -> None:
    grey = plain.picture(20, 24)[:1]
    encoder = Encoder(plain.weights())
    assert torch.equal(encoder(grey, ["relu3_1"])["relu3_1"], encoder(grey.repeat(3, 1, 1), ["relu3_1"])["relu3_1"])


def test_weights_that_end_early_serve_the_layers_they_reach() -> None:
    weights, picture = plain.weights("conv3_1"), plain.picture(32, 32)
    encoder = Encoder(weights, border=0)
    assert_same(encoder(picture, ["relu1_1", "conv3_1", "relu3_1"]), plain.features(weights.tensors, picture))
    with pytest.raises(WeightsError, match=r"thin: .*conv3_2"):
        encoder(picture, ["relu3_2"])
    with pytest.raises(WeightsError, match="conv3_2"):
        encoder(picture, ["conv1_1", "relu5_1"])


def test_a_layer_that_does_not_exist_is_refused() -> None:
    with pytest.raises(OptionError, match=r"relu4_9.*relu4_4"):
        Encoder(plain.weights())(torch.rand(3, 16, 16), ["relu1_1", "relu4_9"])


def test_a_picture_too_small_for_zero_padding_is_refused_by_name() -> None:
    encoder = Encoder(plain.weights(), border=0)
    assert encoder(torch.rand(3, 8, 40), ["relu4_1"])["relu4_1"].shape[1:] == (1, 5)
    with pytest.raises(OptionError, match=r"40×8.*conv5_1.*border"):
        encoder(torch.rand(3, 8, 40), ["relu5_1"])


@pytest.mark.parametrize(("border", "layer", "size"), [(16, "conv1_2", (1, 3)), (0, "conv2_1", (4, 4))])
def test_gradients_of_the_picture_in_float64(border: int, layer: str, size: tuple[int, int]) -> None:
    encoder = Encoder(plain.weights(), border=border, dtype=torch.float64)
    picture = plain.picture(*size).double().requires_grad_()
    assert gradcheck(lambda x: encoder(x, [layer])[layer] / 100, (picture,), eps=1e-7, atol=1e-4)


@pytest.mark.parametrize(("length", "border"), [(2, 3), (3, 2), (3, 16), (7, 16), (40, 16)])
def test_reflected_is_numpy_s_reflection(length: int, border: int) -> None:
    assert reflected(length, border).tolist() == np.pad(np.arange(length), border, mode="reflect").tolist()


def test_bfloat16_gives_close_losses() -> None:
    weights = load("lite")
    picture, style = plain.picture(48, 48), plain.picture(48, 48, 1)
    seen = []
    for dtype in (torch.float32, torch.bfloat16):
        encoder = Encoder(weights, dtype=dtype)
        F, A = (encoder(p, ["conv4_2", "relu1_1", "relu3_1", "relu5_1"]) for p in (picture, style))
        assert F["conv4_2"].dtype == dtype
        seen.append([losses.style_loss(F[name], A[name]).item() for name in ("relu1_1", "relu3_1", "relu5_1")])
        seen[-1].append(losses.content_loss(F["conv4_2"].float(), torch.zeros(())).item())
    assert seen[1] == pytest.approx(seen[0], rel=0.05)


@pytest.mark.real
def test_the_original_network_equals_its_file_read_directly(vgg19_path: object) -> None:
    import h5py

    # Keras: kernels height × width × in × out, the first taking blue, green, red; pixels 0…255 minus the mean.
    net: dict[str, Tensor] = {}
    with h5py.File(str(vgg19_path)) as file:
        for name in CONVOLUTIONS[:11]:
            group = file["block{}_conv{}".format(*name.removeprefix("conv").split("_"))]
            arrays: list[Tensor] = []
            group.visititems(
                lambda _, item, arrays=arrays: (
                    arrays.append(torch.from_numpy(np.asarray(item))) if isinstance(item, h5py.Dataset) else None
                )
            )
            kernel, bias = sorted(arrays, key=lambda a: -a.ndim)
            net[f"{name}.weight"], net[f"{name}.bias"] = kernel.float().permute(3, 2, 0, 1), bias.float()
    net["conv1_1.weight"] = net["conv1_1.weight"].flip(1)
    picture = plain.picture(48, 64)
    found = Encoder(load(str(vgg19_path)), border=0)(picture, ["relu1_1", "conv2_2", "relu3_1", "conv4_2", "relu4_3"])
    assert_same(found, plain.features(net, picture), rtol=1e-4)
