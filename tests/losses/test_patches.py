"""Patches: matches against brute force, numbers worked out by hand, and the term between two matches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import unfold

import plain
from impasto.errors import OptionError
from impasto.losses import patch_loss, patches
from impasto.losses.patches import Blocks, Target
from impasto.network.encoder import Encoder
from impasto.paint.objective import Objective, compared
from impasto.paint.run import stylize
from impasto.paint.transfer import Transfer
from impasto.recipe import Recipe

CONTENT, STYLE, OTHER, X = (
    plain.picture(*size, seed) for seed, size in enumerate([(43, 54), (40, 48), (36, 60), (43, 54)])
)
QUICK: dict[str, Any] = {"size": 48, "levels": 2, "iterations": 6, "precision": "float32", "style_loss": "patches"}


def rows(*values: float) -> Tensor:
    """A map 1×3×w whose three rows are these values."""
    return torch.tensor(values, dtype=torch.float64).expand(1, 3, -1)


def maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def objective(styles: list[Tensor], **options: Any) -> Objective:
    recipe = Recipe(style_loss="patches", content_weight=0, palette_weight=0, tv_weight=0, style_weight=1.0, **options)
    encoder = Encoder(plain.weights(), border=16, dtype=torch.float64)
    blend = (1 / len(styles),) * len(styles)
    return compared(recipe, encoder, CONTENT.double(), [s.double() for s in styles], blend=blend)


def test_the_most_similar_block_has_the_largest_cosine_not_the_least_distance() -> None:
    """Nines ones against nine fives, 9 · 4²; against 5 5 0 it would be 6 · 4² + 3 · 1."""
    F, A = rows(1, 1, 1), rows(5, 5, 5, 0)
    assert patch_loss(F, A).item() == 144
    assert Target(F, [[Blocks(A)]], [1.0]).distance(F).item() == 144


def test_what_overlapping_blocks_ask_for() -> None:
    """1 1 1 takes 5 5 5 of one painting, 1 1 0 takes 2 2 0 of the other: 9 · 4² + 6 · 1²."""
    F, target = (
        rows(1, 1, 1, 0),
        Target(rows(1, 1, 1, 0), [[Blocks(rows(5, 5, 5))], [Blocks(rows(2, 2, 0))]], [0.5, 0.5]),
    )
    assert torch.equal(target.mean, rows(5, 3.5, 3.5, 0))
    assert torch.equal(target.count, rows(1, 2, 2, 1)[0])
    assert target.spread == 27  # in two columns of three, 5 and 2 are 1.5 from their mean
    assert target.distance(F).item() == 150
    assert target.norm == 2 * (0.5 * 9 * 25 + 0.5 * 6 * 4)


@pytest.mark.parametrize("products", [1, 500, 2**24])
def test_the_match_is_that_of_brute_force_a_few_rows_at_a_time(products: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "PRODUCTS", products)
    F, A = maps(5, 9, 11), maps(5, 8, 13, seed=1)
    ours, theirs = (torch.nn.functional.unfold(one[None], 3)[0] for one in (F, A))
    cosines = torch.stack([torch.cosine_similarity(column[:, None], theirs, dim=0) for column in ours.T])
    index, values = Blocks(A).nearest(F)
    assert torch.equal(index, cosines.argmax(1))
    assert torch.allclose(values, cosines.amax(1))
    expected = (ours - theirs[:, cosines.argmax(1)]).square().sum().item()
    assert patch_loss(F, A).item() == pytest.approx(expected)
    assert Target(F, [[Blocks(A)]], [1.0]).distance(F).item() == pytest.approx(expected)


@pytest.mark.parametrize("products", [1, 3000, 2**24])
@pytest.mark.parametrize("size", [(40, 50), (5, 90), (90, 5)])
def test_of_a_large_painting_windows_are_looked_through(
    size: tuple[int, int], products: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patches, "PRODUCTS", products)
    monkeypatch.setattr(patches, "CANDIDATES", 200)
    monkeypatch.setattr(patches, "WINDOW", 8)
    A, F = maps(3, *size), maps(3, 7, 6, seed=1)
    few = Blocks(A, seed=2)
    assert 100 < few.lengths.numel() <= 200
    assert torch.equal(few.windows, Blocks(A, seed=2).windows)
    columns = few.windows.flatten(1)
    stride = few.windows.shape[3]
    index, values = few.nearest(F)
    own = torch.stack([columns[:, few.begins(index) + y * stride + x] for y in range(3) for x in range(3)], 1)
    everywhere = torch.nn.functional.unfold(A[None], 3)[0]
    found = torch.cdist(own.flatten(0, 1).T, everywhere.T).amin(1)
    assert found.max() < 1e-6  # each is a block of the painting
    ours = torch.nn.functional.unfold(F[None], 3)[0]
    assert torch.allclose(torch.cosine_similarity(own.flatten(0, 1), ours, dim=0), values)
    all_of_them = few.begins(torch.arange(few.lengths.numel()))
    theirs = torch.stack([columns[:, all_of_them + y * stride + x] for y in range(3) for x in range(3)], 1).flatten(
        0, 1
    )
    best = torch.nn.functional.normalize(ours, dim=0).T @ torch.nn.functional.normalize(theirs, dim=0)
    assert torch.equal(index, best.argmax(1))


def test_the_gradient_between_two_matches_is_that_of_fixed_blocks() -> None:
    F, A = maps(4, 6, 7).requires_grad_(), maps(4, 7, 5, seed=1)
    target = Target(F.detach(), [[Blocks(A)]], [1.0])
    (own,), (expected,) = (torch.autograd.grad(value, F) for value in (target.distance(F), patch_loss(F, A)))
    assert torch.allclose(own, expected)
    assert torch.autograd.gradcheck(target.distance, F)


@pytest.mark.parametrize("units", ["relative", "paper", "report-code"])
def test_the_term_is_the_equation_of_each_layer(units: str) -> None:
    options = {"patch_layer": ("relu2_1:2", "relu3_1"), "units": units}
    leaf = X.double().requires_grad_()
    net = {key: tensor.double() for key, tensor in plain.tensors().items()}
    F, A = (plain.features(net, picture, border=16) for picture in (leaf, STYLE.double()))
    layers = {"relu2_1": 2.0, "relu3_1": 0.5}
    norm = {
        name: (F[name].shape[1] - 2) * (F[name].shape[2] - 2)
        * torch.nn.functional.unfold(A[name][None], 3).square().sum(1).mean().item()
        for name in layers
    }  # fmt: skip
    value = sum(
        w / (norm[name] if units == "relative" else 1) * patch_loss(F[name], A[name]) for name, w in layers.items()
    )
    assert isinstance(value, Tensor)
    (gradient,) = torch.autograd.grad(value, leaf)
    found = objective([STYLE], **options)(X.double())
    assert found.terms["patches"] == pytest.approx(value.item(), rel=1e-6)
    assert (found.gradient - gradient).norm() <= 1e-6 * gradient.norm()


def test_a_painting_of_itself_asks_for_itself() -> None:
    assert objective([X])(X.double()).terms["patches"] == pytest.approx(0, abs=1e-9)


def test_paintings_get_their_shares_of_the_blocks() -> None:
    F, near, far = maps(4, 12, 12), maps(4, 12, 12), maps(4, 9, 8, seed=1)
    whole = Target(F, [[Blocks(near)], [Blocks(far)]], [1.0, 0.0])
    assert whole.distance(F).item() == pytest.approx(0, abs=1e-9)
    half = Target(F, [[Blocks(near)], [Blocks(far)]], [0.5, 0.5])
    index, cosines = Blocks(far).nearest(F)
    cut = cosines.argsort(descending=True)[:50]  # the other painting's own are alike: its best 50 of 100 are taken
    ours, theirs = (torch.nn.functional.unfold(one[None], 3)[0] for one in (F, far))
    expected = (ours[:, cut] - theirs[:, index[cut]]).square().sum().item()
    assert half.distance(F).item() == pytest.approx(expected)


def test_maps_without_a_block_ask_for_nothing() -> None:
    small, large = maps(3, 2, 9), maps(3, 6, 9)
    for F, A in ((small, large), (large, small)):
        assert patch_loss(F, A) == 0
        target = Target(F, [[Blocks(A)]], [1.0])
        assert target.distance(F) == 0
        assert target.norm > 0
    one, both = ([[Blocks(A)] for A in pair] for pair in ((large,), (small, large)))  # the other serves all blocks
    F = maps(3, 6, 9, seed=1)
    assert Target(F, both, [0.9, 0.1]).distance(F) == Target(F, one, [1.0]).distance(F)


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (7, 9), (24, 33)])
def test_pictures_of_few_blocks(size: tuple[int, int], thin_path: str) -> None:
    options = {**QUICK, "size": 0, "levels": 0, "net": thin_path}
    result = stylize(plain.picture(*size), plain.picture(*reversed(size)), **options)
    assert result.image.shape[1:] == size
    assert result.image.isfinite().all()


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_match_is_made_anew_as_often_as_is_said(
    optimizer: str, thin_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Target] = []

    class Counted(Target):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr(patches, "Target", Counted)
    options = {**QUICK, "levels": 1, "iterations": 12, "patch_layer": "relu2_1", "optimizer": optimizer}
    counts = []
    for every in (1, 5, 100):
        made.clear()
        stylize(CONTENT, STYLE, **options, match_every=every, learning_rate=0.004, net=thin_path)
        counts.append(len(made))
    assert counts[0] > counts[1] >= 2
    assert counts[2] == 1


def test_in_bfloat16_the_sums_are_wide(thin_path: str) -> None:
    options = {**QUICK, "precision": "bfloat16", "color": "luminance", "net": thin_path}
    found = list(Transfer(CONTENT, [STYLE, OTHER], Recipe(**options)).steps())
    exactly = list(Transfer(CONTENT, [STYLE, OTHER], Recipe(**{**options, "precision": "float32"})).steps())
    assert found[0].losses["patches"] == pytest.approx(exactly[0].losses["patches"], rel=0.06)


def test_what_follows_from_patches_and_what_was_named() -> None:
    own = Recipe(style_loss="patches")
    assert Recipe(style_loss="patches", style_weight=7).style_weight == 7
    assert own.style_weight != Recipe().style_weight
    assert own.replace(style_loss="gram") == Recipe(style_loss="gram")
    assert Recipe.from_text(own.to_toml()) == own


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"match_every": 0}, "match_every"),
        ({"patch_layer": "relu9_1"}, "no layer"),
        ({"patch_layer": ("relu3_1", "relu3_1:2")}, "patch_layer: a layer is named twice"),
        ({"style_loss": "patch"}, "did you mean patches"),
    ],
)
def test_options_that_are_none(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        Recipe(**options)


def test_a_masked_painting_offers_only_the_blocks_that_count() -> None:
    """Half of a painting that counts is as a painting that is this half; a copy offers its blocks as well."""
    generator = torch.Generator().manual_seed(4)
    F, A = torch.rand(5, 8, 9, generator=generator), torch.rand(5, 10, 14, generator=generator)
    weights = torch.zeros(10, 14)
    weights[:, 7:] = 1
    masked, cut = Blocks(A, weights=weights), Blocks(A[:, :, 7:])
    chosen = Target(F, [[masked]], [1.0])
    inside = A.unfold(1, 3, 1).unfold(2, 3, 1)[:, masked.counted[0]]
    assert inside.shape[1] == 8 * 6  # those of the half, and those that lie in it by two thirds
    assert masked.nearest(F)[1].min() >= cut.nearest(F)[1].min() - 1e-6
    assert masked.counted.flatten()[masked.nearest(F)[0]].all()
    assert chosen.norm > 0
    mirrored = Target(F, [[Blocks(A.flip(2)), Blocks(A)]], [1.0])
    plain_one = Target(F, [[Blocks(A)]], [1.0])
    assert mirrored.distance(F) <= plain_one.distance(F) + 1e-4


def test_blocks_outside_of_every_region_count_nothing() -> None:
    generator = torch.Generator().manual_seed(5)
    F, A, B = (torch.rand(4, 8, 9, generator=generator) for _ in range(3))
    parts = torch.zeros(2, 6, 7)
    parts[0, :, :2], parts[1, :, 4:] = 1, 0.5
    target = Target(F, [[Blocks(A)], [Blocks(B)]], [0.5, 0.5], parts)
    blocks = unfold(F[None], 3)[0].view(36, 6, 7)
    theirs = [unfold(P[None], 3)[0] for P in (A, B)]
    expected = 0.0
    for y in range(6):
        for x in range(7):
            k = 0 if x < 2 else 1
            if parts[k, y, x]:
                mine = blocks[:, y, x]
                best = (mine @ theirs[k] / theirs[k].norm(dim=0)).argmax()
                expected += parts[k, y, x].item() * (mine - theirs[k][:, best]).square().sum().item()
    assert target.distance(F).item() == pytest.approx(expected, rel=1e-4)
