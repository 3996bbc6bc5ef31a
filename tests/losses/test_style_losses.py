"""Neighbours, moments, patches and the palette: against autograd in strips and whole, and in whole transfers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import plain
from impasto.errors import OptionError
from impasto.layers import scale_of
from impasto.losses.gaussians import of, wasserstein_gaussian
from impasto.losses.terms import RowsTerm
from impasto.network.encoder import Encoder
from impasto.network.looks import cells
from impasto.network.regions import Regions
from impasto.network.tiles import WHOLE, Plan
from impasto.options import COPIES
from impasto.paint import idle
from impasto.paint.objective import Objective, compared
from impasto.paint.run import stylize
from impasto.paint.transfer import Transfer
from impasto.recipe import Recipe

CONTENT, STYLE, OTHER, X = (
    plain.picture(*size, seed) for seed, size in enumerate([(43, 54), (40, 48), (36, 60), (43, 54)])
)
PLANS = {"whole": WHOLE, "8": Plan(8, frozenset()), "16": Plan(16, frozenset({3}))}
QUICK: dict[str, Any] = {"size": 48, "levels": 2, "iterations": 6, "precision": "float32"}


def objective(plan: Plan, styles: list[Tensor], **options: Any) -> Objective:
    recipe = Recipe(content_weight=0, **options)
    blend = (1 / len(styles),) * len(styles)
    encoder = Encoder(plain.weights(), border=16, dtype=torch.float64)
    return compared(recipe, encoder, CONTENT.double(), styles, blend=blend, plan=plan)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("loss", ["neighbours", "moments", "patches", "neighbours:0.5,gram:0.1,moments,patches"])
def test_strips_change_no_value_and_no_gradient(plan: str, loss: str) -> None:
    whole, strips = (objective(PLANS[p], [STYLE, OTHER], style_loss=loss)(X.double()) for p in ("whole", plan))
    assert strips.value == pytest.approx(whole.value, rel=1e-6)
    assert (strips.gradient - whole.gradient).norm() <= 1e-5 * whole.gradient.norm()


@pytest.mark.parametrize("loss", ["neighbours", "moments", "patches"])
@pytest.mark.parametrize("units", ["relative", "paper"])
def test_the_gradient_is_the_slope_of_the_value(loss: str, units: str) -> None:
    function = objective(WHOLE, [STYLE], style_loss=loss, units=units, style_weight=1.0)
    x, step = X.double(), 1e-5 * plain.picture(43, 54, 8).double()
    ahead, behind, here = function(x + step), function(x - step), function(x)
    slope = (here.gradient * step).sum().item()
    assert (ahead.value - behind.value) / 2 == pytest.approx(slope, rel=1e-3)


def test_a_painting_of_itself_asks_for_itself() -> None:
    """Every place of a picture is most like itself: nothing is left to change."""
    recipe = Recipe(style_loss="neighbours", palette_weight=1.0)
    encoder = Encoder(plain.weights(), border=16, dtype=torch.float64)
    found = compared(recipe, encoder, X.double(), [X.double()])(X.double())
    assert found.terms["neighbours"] == pytest.approx(0, abs=1e-9)
    assert found.terms["palette"] == pytest.approx(0, abs=1e-3)


def test_moments_are_those_of_the_maps() -> None:
    recipe = {"style_loss": "moments", "style_layer": "relu2_1:1", "units": "paper", "style_weight": 1.0}
    found = objective(WHOLE, [STYLE], **recipe)(X.double())
    net = {key: tensor.double() for key, tensor in plain.tensors().items()}
    F, A = (plain.features(net, p.double(), border=16)["relu2_1"] for p in (X, STYLE))
    assert found.terms["moments"] == pytest.approx(wasserstein_gaussian(F, A).item(), rel=1e-5)


@pytest.mark.parametrize("color", ["style", "luminance", "match", "histogram", "swap"])
@pytest.mark.parametrize("loss", ["neighbours", "moments", "patches"])
def test_every_colour_mode_with_two_paintings(loss: str, color: str, thin_path: str) -> None:
    options = {**QUICK, "style_loss": loss, "color": color, "tv_weight": 0.01, "laplacian": "2:1", "net": thin_path}
    found = list(Transfer(CONTENT, [STYLE, OTHER], Recipe(**options, blend=(0.3, 0.7))).steps())
    own = [step.loss for step in found if step.level == 2]
    assert min(own) < own[0]


@pytest.mark.parametrize("tile", [2, 6, 8])
def test_tiles_give_the_same_picture(tile: int, thin_path: str) -> None:
    one, other = (stylize(CONTENT, STYLE, **QUICK, style_loss="neighbours", net=thin_path, tile=t) for t in (0, tile))
    assert (one.image - other.image).abs().mean() < 2e-3


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (7, 9)])
def test_pictures_of_few_places(size: tuple[int, int], thin_path: str) -> None:
    options = {**QUICK, "size": 0, "levels": 0, "style_loss": "neighbours", "net": thin_path}
    result = stylize(plain.picture(*size), plain.picture(*reversed(size)), **options)
    assert result.image.shape[1:] == size
    assert result.image.isfinite().all()


def test_the_palette_brings_the_painting_s_colours(thin_path: str) -> None:
    target = of(STYLE.flatten(1))[0]
    away = []
    for weight in (0.0, 3.0):
        options = {**QUICK, "style_loss": "neighbours", "palette_weight": weight, "net": thin_path}
        image = stylize(CONTENT, STYLE, **options).image
        away.append((image.mean((1, 2)) - target).norm().item())
    assert away[1] < 0.5 * away[0]


def test_strength_leads_from_the_photo_to_the_painting(thin_path: str) -> None:
    images = [
        stylize(CONTENT, STYLE, **QUICK, style_loss="neighbours", strength=s, net=thin_path).image for s in (0, 1)
    ]
    near, far = ((image - Transfer(CONTENT, STYLE, Recipe(**QUICK)).scene.content).square().mean() for image in images)
    assert near < far


def test_what_follows_from_neighbours_and_what_was_named() -> None:
    own = Recipe(style_loss="neighbours")
    assert (own.content_weight, own.style_weight, own.palette_weight, own.iterations) == (0.0, 1.0, 0.3, (30,))
    assert Recipe(style_loss="neighbours", iterations=5, content_weight=2).content_weight == 2
    assert (Recipe().style_loss, Recipe().content_weight) == (("gram",), 1.0)
    assert own.replace(style_loss="gram,neighbours").content_weight == 0.25
    gram = own.replace(style_loss="gram")
    assert (gram.content_weight, gram.style_weight, gram.palette_weight, gram.polish) == (1.0, 20.0, 0.0, 0)
    assert gram.iterations == (100, 80, 60)
    assert gram.replace(style_loss="neighbours") == own
    assert Recipe(size=64).replace(style_loss="gram") == Recipe(size=64, style_loss="gram")
    assert Recipe(style_loss="gram:0.1,neighbours").iterations == (30,)
    assert Recipe.from_text(own.to_toml()) == own
    assert Recipe(style_loss="gram:0.1,gram:0.2").style_losses() == {"gram": pytest.approx(0.3)}


@pytest.mark.parametrize(
    ("text", "said"), [("gramm", "did you mean gram"), ("gram:x", "number of at least 0"), ("moments:-1", "at least 0")]
)
def test_a_style_loss_that_is_none(text: str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        Recipe(style_loss=text)
    with pytest.raises(OptionError, match="at least one must be above 0"):
        Recipe(style_loss="gram:0", content_weight=0)


def targets_of(recipe: Recipe, style: Tensor, copies: list[Tensor], **options: Any) -> dict[str, Tensor]:
    """The gradient at zero maps of the neighbours' term: minus its targets, but for a factor of each layer."""
    encoder = Encoder(plain.weights(), border=16)
    given = [[(copy, Regions()) for copy in copies]] if copies else []
    function = compared(recipe, encoder, CONTENT, [style], copies=given, **options)
    (term,) = (t for t in function.terms if isinstance(t, RowsTerm))
    found = {}
    for look in term.looks:
        F = torch.zeros(
            encoder.width(look.layer), *(-(-(side // scale_of(look.layer)) // look.side) for side in (43, 54))
        )
        F.requires_grad_()
        (gradient,) = torch.autograd.grad(term.value(look, F, slice(0, F.shape[1])), F)
        found[look.layer] = -gradient
    return found


def test_a_mirrored_painting_offers_the_painting_in_its_copy() -> None:
    recipe = Recipe(style_loss="neighbours", match_layer=("relu1_1", "relu2_1"))
    plainly, mirrored = (targets_of(recipe, s, c) for s, c in ((CONTENT, []), (CONTENT.flip(2), [CONTENT])))
    for name, target in plainly.items():
        assert torch.allclose(target, mirrored[name], rtol=1e-3, atol=1e-9)


def test_polishing_matches_each_layer_for_itself() -> None:
    recipe = Recipe(style_loss="neighbours", match_layer=("relu1_1", "relu2_1"))
    apart = targets_of(recipe, STYLE, [], apart=True)
    for name in apart:
        alone = targets_of(recipe.replace(match_layer=name), STYLE, [], apart=True)[name]
        together = targets_of(recipe, STYLE, [])[name]
        places = cells(apart[name], 2)
        assert (apart[name] / apart[name].norm() - alone / alone.norm()).norm() < 1e-4
        assert (places / places.norm() - together / together.norm()).norm() > 1e-2


def test_a_transfer_is_polished_at_the_end_with_copies(thin_path: str) -> None:
    options = {
        **QUICK,
        "style_loss": "neighbours",
        "polish": 4,
        "match_every": 3,
        "match_copies": ("turned", "mirrored"),
        "net": thin_path,
    }
    found = list(Transfer(CONTENT, [STYLE, OTHER], Recipe(**options)).steps())
    assert [(step.level, step.size) for step in found][-1] == (2, (38, 48))
    assert Transfer(CONTENT, STYLE, Recipe(**options)).scene.rounds(1) == [(3, False), (3, True)]
    assert found[-1].step == found[-1].steps == 6
    assert found[-1].fraction == pytest.approx(1)
    assert Transfer(CONTENT, STYLE, Recipe(**{**options, "style_loss": "gram"})).scene.rounds(1) == [(6, False)]


@pytest.mark.parametrize("loss", ["neighbours", "patches"])
def test_copies_are_looked_through_with_masks_and_several_paintings(loss: str, thin_path: str) -> None:
    mask = torch.zeros(3, 20, 24)
    mask[:, :, :12] = 1
    options = {**QUICK, "style_loss": loss, "match_copies": COPIES, "style_mask": ("none", "half"), "net": thin_path}
    one = stylize(CONTENT, [STYLE, OTHER], files={"half": mask}, **options)
    other = stylize(CONTENT, [STYLE, OTHER], files={"half": mask}, **{**options, "match_copies": ()})
    assert one.image.isfinite().all()
    assert not torch.equal(one.image, other.image)


def test_options_without_effect_are_told() -> None:
    def told(**options: Any) -> list[str]:
        return [notice.partition(" ")[0] for notice in idle.notices(Recipe(**options), (512, 512))]

    assert told() == told(style_loss="gram") == told(style_loss="gram", style_weight=5, content_layer="conv2_2") == []
    assert told(content_layer="conv2_2", style_weight=5) == []
    alone = {"style_loss": "neighbours", "style_weight": 5}
    assert told(content_layer="conv2_2", **alone) == ["content_layer", "style_weight"]
    assert told(style_layer="relu1_1", content_weight=1, **alone) == ["style_layer"]
    assert told(style_loss="gram", strength=0.7, match_copies="turned", polish=3) == [
        "match_copies",
        "strength",
        "polish",
    ]
    assert told(**Recipe(style_loss="gram").model_dump()) == []
    assert told(learning_rate=0.5) == ["learning_rate"]
    assert told(learning_rate=0.5, optimizer="adam") == []
    assert told(laplacian_exact=True) == ["laplacian_exact"]
    assert told(laplacian_exact=True, laplacian="4:10") == []


def test_the_mix_follows_the_strength_unless_it_is_named() -> None:
    assert Recipe(strength=0.2).match_mix == 0.2
    assert Recipe(strength=0.2).replace(strength=0.7).match_mix == 0.7
    assert Recipe(strength=0.2, match_mix=0.9).replace(strength=0.7).match_mix == 0.9
    with pytest.raises(OptionError, match="did you mean turned"):
        Recipe(match_copies="turnd")
