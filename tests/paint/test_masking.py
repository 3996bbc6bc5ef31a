"""Masks: where each painting counts, what of it, and where the photo stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import plain
from impasto.errors import ImageReadError, OptionError
from impasto.losses.gaussians import of, wasserstein_gaussian
from impasto.losses.terms import RowsTerm
from impasto.network.encoder import Encoder
from impasto.network.regions import Regions
from impasto.network.tiles import WHOLE, Plan
from impasto.paint import scene
from impasto.paint.objective import Objective, compared
from impasto.paint.run import stylize
from impasto.paint.transfer import Transfer
from impasto.pictures.encode import to_array
from impasto.recipe import Recipe
from impasto.work.job import Job
from impasto.work.worker import paint

CONTENT, ONE, TWO, X = (
    plain.picture(*size, seed) for seed, size in enumerate([(48, 64), (44, 60), (60, 44), (48, 64)])
)
QUICK: dict[str, Any] = {"size": 64, "levels": 2, "iterations": 5, "precision": "float32"}
LOSSES = ["gram", "moments", "neighbours", "patches", "neighbours:0.5,gram:0.1,moments,patches"]
LEFT = np.zeros((48, 64), dtype=np.float32)
LEFT[:, :32] = 1
RIGHT = 1 - LEFT
WHITE = np.ones((9, 12), dtype=np.float32)
BLACK = 0 * WHITE
SOFT = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (48, 1))
FILES = {"left": LEFT, "right": RIGHT, "white": WHITE, "black": BLACK, "soft": SOFT}


def painted(styles: Any, thin_path: str, files: dict[str, Any] | None = None, **options: Any) -> Any:
    given = {**QUICK, "net": thin_path, **options}
    return stylize(CONTENT, styles, files={**FILES, **(files or {})}, **given)


def objective(plan: Plan, **options: Any) -> Objective:
    """Two paintings, one on the left and one, of which a part counts, on the right, in double precision."""
    masks = torch.tensor(np.stack([0.2 + 0.5 * SOFT, 0.7 - 0.5 * SOFT])[:, None]).double()
    recipe = Recipe(**{"content_weight": 0, "style_layer": ("relu1_1", "relu2_1"), **options})
    encoder = Encoder(plain.weights(), border=16, dtype=torch.float64)
    return compared(
        recipe,
        encoder,
        CONTENT.double(),
        [ONE.double(), TWO.double()],
        blend=(0.5, 0.5),
        plan=plan,
        regions=Regions({1: masks[0], 2: masks[1]}),
        region=(1, 2),
        style_regions=[Regions(), Regions({0: torch.linspace(0, 1, 44).double().expand(1, 60, 44)})],
        free=torch.from_numpy(SOFT)[None].double(),
    )


@pytest.mark.parametrize("plan", [Plan(8, frozenset()), Plan(16, frozenset({2}))], ids=str)
@pytest.mark.parametrize("loss", LOSSES)
def test_strips_change_nothing(loss: str, plan: Plan) -> None:
    whole, strips = (objective(p, style_loss=loss, palette_weight=0.3)(X.double()) for p in (WHOLE, plan))
    assert strips.terms == pytest.approx(whole.terms, rel=1e-6)
    assert (strips.gradient - whole.gradient).norm() <= 1e-5 * whole.gradient.norm()


@pytest.mark.parametrize("loss", LOSSES[:4])
def test_the_gradient_is_the_slope_of_the_value(loss: str) -> None:
    function = objective(WHOLE, style_loss=loss, palette_weight=0.3, tv_weight=0.1)
    x, step = X.double(), 1e-5 * plain.picture(48, 64, 8).double()
    ahead, behind, here = function(x + step), function(x - step), function(x)
    assert (ahead.value - behind.value) / 2 == pytest.approx((here.gradient * step).sum().item(), rel=1e-3)


def test_gram_of_regions_is_the_sum_of_each_region_s_own_equation() -> None:
    """L = Σ_r (M_r/M) E(G_r, A_r), G_r = Σ m F Fᵀ/M_r, from the network written out plainly."""
    function = objective(WHOLE, units="paper", style_loss="gram")
    net = {key: tensor.double() for key, tensor in plain.tensors().items()}
    y = function.shown(X.double())
    F, *styles = (plain.features(net, p.double(), border=16) for p in (y, ONE, TWO))

    def gram(maps: Tensor, weights: Tensor) -> Tensor:
        return (maps * weights).flatten(1) @ maps.flatten(1).T / weights.sum()

    expected = 0.0
    for name in ("relu1_1", "relu2_1"):
        part = Regions({0: torch.linspace(0, 1, 44).double().expand(1, 60, 44)})
        for region, A, counted in ((1, styles[0], Regions()), (2, styles[1], part)):
            m = function.regions.at(name, region)
            own = counted.at(name, 0)
            own = torch.ones(A[name].shape[1:]) if own is None else own
            distance = (gram(F[name], m) - gram(A[name], own)).square().sum() / (4 * F[name].shape[0] ** 2)
            expected += 0.5 * (m.sum() / m.numel() * distance).item()
    assert function(X.double()).terms["style"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_white_masks_give_the_same_bytes_as_none(loss: str, thin_path: str) -> None:
    none = painted([ONE, TWO], thin_path, style_loss=loss, blend=(0.3, 0.7))
    white = painted(
        [ONE, TWO], thin_path, style_loss=loss, blend=(0.3, 0.7), mask=("white", "white"), style_mask=("white", "none")
    )
    assert torch.equal(none.image, white.image)
    assert torch.equal(
        painted(ONE, thin_path, style_loss=loss).image,
        painted(ONE, thin_path, style_loss=loss, mask="rest", keep="black").image,
    )


@pytest.mark.parametrize("loss", LOSSES[:4])
def test_each_painting_counts_in_its_own_region_only(loss: str, thin_path: str) -> None:
    """A painting in red on the left, one in blue on the right; rest is what no other mask covers."""
    red, blue = torch.zeros(2, 3, 48, 64)
    red[0], blue[2] = 0.8, 0.8
    red, blue = ((p + 0.1 * ONE.mean(0)[:1, :1]).clamp(0, 1) for p in (red, blue))
    image = painted(
        [red, blue], thin_path, style_loss=loss, palette_weight=2.0, iterations=15, mask=("left", "rest")
    ).image
    left, right = image[:, :, :28].mean((1, 2)), image[:, :, 36:].mean((1, 2))
    assert left[0] > right[0] + 0.1
    assert right[2] > left[2] + 0.1


def test_matches_come_from_the_painting_of_the_mask_only() -> None:
    """With one painting a shifted copy of the other, targets on the left are those of the first alone."""
    recipe = Recipe(style_loss="neighbours", match_layer="relu1_1")
    encoder = Encoder(plain.weights(), border=16)
    other = (ONE + 0.1).clamp(0, 1)
    masks = {1: torch.from_numpy(LEFT)[None], 2: torch.from_numpy(RIGHT)[None]}
    both = compared(recipe, encoder, CONTENT, [ONE, other], blend=(0.5, 0.5), regions=Regions(masks), region=(1, 2))
    alone = compared(recipe, encoder, CONTENT, [ONE])
    terms = [next(t for t in f.terms if isinstance(t, RowsTerm)) for f in (both, alone)]
    look = terms[0].looks[0]
    F = encoder(CONTENT, ["relu1_1"])["relu1_1"]
    F = torch.nn.functional.avg_pool2d(F, 4)
    leaves = [F.clone().requires_grad_() for _ in terms]
    gradients = [
        torch.autograd.grad(t.value(look, leaf, slice(0, 12)), leaf)[0] for t, leaf in zip(terms, leaves, strict=True)
    ]
    assert gradients[0][:, :, 8:].abs().sum() > 0
    one, two = (g[:, :, :8] / g[:, :, :8].norm() for g in gradients)
    assert (one - two).norm() < 1e-5


def test_a_part_of_a_painting_is_the_only_style() -> None:
    """Half of a painting, by a mask or cut out by its alpha, has the colours of that half."""
    half = torch.cat([torch.full((3, 40, 32), 0.2), ONE[:, :40, :32].clamp(0.4, 0.6)], dim=2)
    mask = np.zeros((40, 64), dtype=np.float32)
    mask[:, 32:] = 1
    rgba = np.dstack([half.permute(1, 2, 0).numpy(), mask]).astype(np.float32)
    rgba[0, 0, 3] = 1  # or the hidden lines were no part of it at all
    options = {"size": 64, "style_trim": False, "palette_weight": 1.0}
    for style, more in ((half, {"style_mask": "half"}), (rgba, {})):
        made = scene.prepare(CONTENT, [style], Recipe(**options, **more), {"half": mask})
        own = made.masks.of_style(0, (40, 64)).at("relu1_1", 0)
        assert torch.equal(own[1:], torch.from_numpy(mask)[1:])
        mean, C = of(made.styles[0][:, 1:].flatten(1), own[1:].flatten())
        expected, D = of(half[:, 1:, 32:].flatten(1))
        assert torch.allclose(mean, expected, atol=1e-5)
        assert torch.allclose(C, D, atol=1e-5)


@pytest.mark.parametrize("color", ["style", "luminance", "match", "histogram", "swap"])
@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_kept_is_the_photo_and_the_rest_is_not(loss: str, color: str, thin_path: str) -> None:
    result = painted([ONE, TWO], thin_path, style_loss=loss, color=color, keep="left", mask=("soft", "rest"))
    photo = Transfer(CONTENT, ONE, Recipe(**QUICK)).scene.original
    away = np.abs(to_array(result.image, None).astype(int) - to_array(photo, None).astype(int))
    assert away[:, :32].max() <= (0 if color in ("style", "match", "histogram") else 1)
    assert away[:, 33:].mean() > 1


def test_a_soft_edge_lies_between_photo_and_painting(thin_path: str) -> None:
    function = Transfer(CONTENT, ONE, Recipe(**QUICK, net=thin_path, keep="soft"), files=FILES).objective(1)
    photo, x = function.kept[0], torch.rand(3, 48, 64)
    m = 1 - torch.from_numpy(SOFT)
    assert torch.allclose(function.shown(x), photo + m * (x - photo), atol=1e-6)


@pytest.mark.parametrize("tile", [4, 8])
def test_tiles_give_the_same_picture(tile: int, thin_path: str) -> None:
    options = {"style_loss": "neighbours,gram:0.1", "mask": ("soft", "rest"), "keep": "right"}
    one, other = (painted([ONE, TWO], thin_path, **options, tile=t).image for t in (0, tile))
    assert (one - other).abs().mean() < 2e-3


def test_where_masks_overlap_the_shares_divide_the_place() -> None:
    made = scene.prepare(CONTENT, [ONE, TWO], Recipe(size=64, mask=("left", "white"), blend=(1, 3)), FILES)
    painted_by = made.masks.painted
    assert painted_by[:, 0, 0].tolist() == [0.25, 0.75]
    assert painted_by[:, 0, -1].tolist() == [0.0, 1.0]


@pytest.mark.parametrize("alpha_only", [True, False])
def test_a_mask_may_be_grey_or_cut_out(alpha_only: bool) -> None:
    rgba = np.zeros((48, 64, 4), dtype=np.float32)
    rgba[..., 3] = LEFT if alpha_only else 1
    rgba[..., :3] = 0 if alpha_only else LEFT[..., None]
    made = scene.prepare(CONTENT, [ONE], Recipe(size=64, mask="m"), {"m": rgba})
    assert torch.equal(made.masks.painted[0], torch.from_numpy(LEFT))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mask": "left"}, "mask: 1 for 2 style pictures; give one each"),
        ({"style_mask": ("none",) * 3}, "style_mask: 3 for 2 style pictures"),
        ({"mask": ("rest", "rest")}, "rest is what no other mask covers; give it once"),
        ({"style_mask": ("none", "black")}, "style_mask: black leaves nothing of the painting"),
    ],
)
def test_masks_that_do_not_fit_are_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        scene.prepare(CONTENT, [ONE, TWO], Recipe(size=64, **options), FILES)


def test_a_mask_that_is_missing_is_named() -> None:
    with pytest.raises(ImageReadError, match=r"mask nowhere\.png"):
        scene.prepare(CONTENT, [ONE, TWO], Recipe(size=64, mask=("nowhere.png", "rest")))


def test_what_a_mask_cannot_do_is_noted(thin_path: str) -> None:
    dot = np.zeros((48, 64), dtype=np.float32)
    dot[:9, :9] = 1
    files = {"dot": dot, "tall": np.ones((64, 48), dtype=np.float32) * 0.5}
    result = painted([ONE, TWO], thin_path, files, mask=("dot", "rest"), style_loss="gram")
    assert "mask dot: is nearly empty and left out at relu3_1, relu4_1, relu5_1" in result.notices
    assert set(result.losses) == {"content", "style", "total"}
    notices = scene.prepare(CONTENT, [ONE], Recipe(size=64, keep="tall"), files).notices
    assert "keep array: has another shape than its picture and is stretched to it" in notices
    assert painted(ONE, thin_path, mask="black", style_loss="gram", content_weight=0).losses == {"total": 0}
    assert any("photo stays as it is" in notice for notice in painted(ONE, thin_path, keep="white").notices)


def test_a_job_takes_its_masks_along(tmp_path: Path, thin_path: str) -> None:
    """Packed, a job paints what it paints with its files at hand; another mask is another job."""
    from PIL import Image

    for name, picture in (("c", CONTENT), ("s", ONE)):
        Image.fromarray(to_array(picture, None)).save(tmp_path / f"{name}.png")
    mask = tmp_path / "mask.png"
    Image.fromarray((LEFT * 255).astype(np.uint8)).save(mask)
    recipe = Recipe(**QUICK, net=thin_path, mask=str(mask), keep=str(mask))
    job = Job(str(tmp_path / "c.png"), (str(tmp_path / "s.png"),), recipe, "x")
    key, packed = job.key, job.packed(None)
    assert packed.key == key
    assert packed.filled([blob.data for blob in packed.blobs]) == packed
    here = paint(job, lambda _: None)
    mask.unlink()
    assert paint(packed, lambda _: None).losses == here.losses
    Image.fromarray((RIGHT * 255).astype(np.uint8)).save(mask)
    assert Job(job.content, job.styles, recipe, "x").key != key


def test_wasserstein_of_weighted_points_is_that_of_repeated_ones() -> None:
    points = torch.rand(3, 5, dtype=torch.float64)
    twice = torch.cat([points, points[:, :2]], dim=1)
    weights = torch.tensor([2.0, 2, 1, 1, 1], dtype=torch.float64)
    for one, other in zip(of(points, weights), of(twice), strict=True):
        assert torch.allclose(one, other)
    assert wasserstein_gaussian(points, twice) < 1
