"""Whole transfers on small pictures: what reaches the network, what comes out, and what is promised on the way."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import plain
from impasto import losses
from impasto.errors import DivergenceError, ImageReadError, OptionError, WeightsError
from impasto.network.encoder import Encoder
from impasto.paint import optimize, transfer
from impasto.paint.result import Progress, Result
from impasto.paint.run import steps, stylize
from impasto.paint.transfer import Transfer
from impasto.pictures import color
from impasto.pictures.encode import write
from impasto.pictures.metadata import read_metadata
from impasto.pictures.read import read
from impasto.pictures.resize import fit, resize
from impasto.recipe import Recipe

CONTENT, STYLE, OTHER = plain.picture(36, 48), plain.picture(40, 44, 1), plain.picture(60, 30, 2)
FIXED: dict[str, Any] = {
    "size": 40,
    "device": "cpu",
    "precision": "float32",
    "units": "relative",
    "style_loss": "gram",
    "content_weight": 1.0,
    "style_weight": 5.0,
    "iterations": (4,),
    "levels": 1,
    "border": 16,
    "color": "style",
    "init": "content",
    "optimizer": "lbfgs",
    "learning_rate": 0.02,
    "style_trim": False,
}


@pytest.fixture
def make(thin_path: str) -> Any:
    """A recipe on the thin network, with every default that matters fixed."""
    return lambda **options: Recipe(**{**FIXED, "net": thin_path, **options})


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, set[str], Encoder]]:
    """Every picture that the encoder was given outside the optimisation, with the layers asked for."""
    calls: list[tuple[Tensor, set[str], Encoder]] = []

    class Watched(Encoder):
        def check(self, layers: Any, picture: Tensor) -> frozenset[str]:
            if not picture.requires_grad:
                calls.append((picture, set(layers), self))
            return super().check(layers, picture)

    monkeypatch.setattr(transfer, "Encoder", Watched)
    return calls


def targets(recipe: Recipe, content: Any, styles: Any, seen: list[tuple[Tensor, set[str], Encoder]]) -> list[Tensor]:
    """Content and styles as they reach the network, level by level."""
    seen.clear()
    stylize(content, styles, recipe)
    return [picture for picture, _, _ in seen]


def test_progress_adds_up(make: Any) -> None:
    found = list(steps(CONTENT, STYLE, make(size=48, levels=2, iterations=(3, 2), style_weight=20.0)))
    assert [(p.level, p.step, p.steps, p.size) for p in found] == [
        (1, 1, 3, (18, 24)),
        (1, 2, 3, (18, 24)),
        (1, 3, 3, (18, 24)),
        (2, 1, 2, (36, 48)),
        (2, 2, 2, (36, 48)),
    ]
    # work: 3·18·24 + 2·36·48 = 1296 + 3456
    assert [p.fraction for p in found] == pytest.approx([432 / 4752, 864 / 4752, 1296 / 4752, 3024 / 4752, 1])
    assert found[-1].fraction == 1
    assert found[-1].remaining == 0
    assert all(p.levels == 2 and p.remaining >= 0 for p in found)
    assert sorted(p.seconds for p in found) == [p.seconds for p in found]
    for p in found:
        assert set(p.losses) == {"content", "style"}
        assert p.loss == pytest.approx(p.losses["content"] + 20 * p.losses["style"], rel=1e-4)


def test_an_image_at_every_step(make: Any) -> None:
    for p in steps(CONTENT, STYLE, make(size=48, levels=2, iterations=(2,), color="luminance")):
        image = p.image()
        assert image.shape == (3, *p.size)
        assert image.dtype == torch.float32
        assert image.min() >= 0
        assert image.max() <= 1
        small = resize(resize(CONTENT, (36, 48)), p.size)
        hue, kept = color.to_yuv(image)[1:], color.to_yuv(small)[1:]
        assert (
            hue[0] * kept[1] - hue[1] * kept[0]
        ).abs().max() < 1e-5  # the content's hues, at their strength or paler
        assert (hue.norm(dim=0) <= kept.norm(dim=0) + 1e-5).all()


def test_a_result_at_any_moment(make: Any) -> None:
    work = Transfer(CONTENT, STYLE, make(size=48, levels=2))
    before = work.result()
    assert before.image.shape == (3, 36, 48)
    assert before.losses == {}
    for p in work.steps():
        now = work.result()
        assert now.image.shape == (3, 36, 48)
        assert now.losses["total"] <= p.loss + 1e-9
    assert torch.equal(work.result().image, p.image())


def test_the_loss_falls(make: Any) -> None:
    for optimizer in ("lbfgs", "adam"):
        found = list(steps(CONTENT, STYLE, make(optimizer=optimizer, iterations=(20,), learning_rate=0.01)))
        assert min(p.loss for p in found) < 0.8 * found[0].loss


def test_paths_pictures_arrays_and_tensors_are_alike(make: Any, tmp_path: Path) -> None:
    array = (np.random.default_rng(0).random((20, 24, 3)) * 255).astype(np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(array).save(path)
    tensor = torch.from_numpy(array).permute(2, 0, 1).float() / 255
    results = [stylize(s, [s], make(iterations=(1,))) for s in (path, str(path), Image.fromarray(array), array, tensor)]
    assert all(torch.equal(result.image, results[0].image) for result in results)
    assert results[0].inputs["content"] == results[1].inputs["content"]
    assert results[0].inputs["content"][0]["name"] == "photo.png"
    assert len(results[0].inputs["styles"]) == 1


def test_options_by_name_change_the_recipe(make: Any) -> None:
    result = stylize(CONTENT, STYLE, make(), iterations=1, size=24)
    assert result.recipe == make(iterations=1, size=24)
    assert result.image.shape == (3, 18, 24)
    assert stylize(CONTENT, STYLE, make(iterations=1), size=0).image.shape == CONTENT.shape


COLORS, INITS = ("style", "luminance", "match", "histogram", "swap"), ("content", "style", "noise")
OPTIMIZERS, UNITS = ("lbfgs", "adam"), ("relative", "paper", "report-code")


@pytest.mark.parametrize("mode", COLORS)
def test_every_combination_gives_a_finite_picture(mode: str, make: Any) -> None:
    for init, optimizer, units in product(INITS, OPTIMIZERS, UNITS):
        options = {"color": mode, "init": init, "optimizer": optimizer, "units": units, "iterations": (2,), "size": 32}
        result = stylize(CONTENT, [STYLE, OTHER], make(**options, laplacian="1:1,4:1", tv_weight=1e-3))
        check_sound(result, (24, 32), str(options))


def check_sound(result: Result, size: tuple[int, int], what: str) -> None:
    assert result.image.shape == (3, *size), what
    assert torch.isfinite(result.image).all(), what
    assert result.image.min() >= 0, what
    assert result.image.max() <= 1, what
    assert all(math.isfinite(value) for value in result.losses.values()), what
    assert json.loads(json.dumps(result.metadata(), allow_nan=False)), what


BLACK, WHITE = torch.zeros(3, 30, 34), torch.ones(3, 34, 30)
THIN = {
    "1×1": torch.full((3, 1, 1), 0.3),
    "1×40": plain.picture(1, 40),
    "40×1": plain.picture(40, 1),
    "15×16": plain.picture(15, 16),
}
ODD = {**THIN, "black": BLACK, "white": WHITE}


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("mode", ["style", "luminance", "match", "histogram"])
def test_tiny_thin_and_flat_pictures(mode: str, levels: int, make: Any) -> None:
    pairs = (
        [(a, "picture") for a in ODD]
        + [("picture", b) for b in ODD]
        + [("1×40", "40×1"), ("black", "white"), ("1×1", "black")]
    )
    pictures = {**ODD, "picture": CONTENT}
    recipe = make(color=mode, levels=levels, iterations=(2,), laplacian="1:1,4:1", tv_weight=1e-3, style_trim=True)
    for a, b in pairs:
        result = stylize(pictures[a], pictures[b], recipe)
        check_sound(result, fit((pictures[a].shape[1], pictures[a].shape[2]), 40), f"{a} in the style of {b}")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_same_picture_as_content_and_style_stays_as_it_is(optimizer: str, make: Any) -> None:
    result = stylize(CONTENT, CONTENT, make(optimizer=optimizer, size=48, levels=1))
    assert torch.allclose(result.image, resize(CONTENT, (36, 48)), atol=1e-6)
    assert result.losses["total"] == 0


def test_lbfgs_ends_at_once_where_there_is_nothing_to_do(make: Any) -> None:
    assert len(list(steps(CONTENT, CONTENT, make(size=48, iterations=(50,))))) == 1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_huge_style_weight_stays_finite_and_works(optimizer: str, make: Any) -> None:
    options = {"style_weight": 1e30, "iterations": (12,), "optimizer": optimizer, "learning_rate": 0.004}
    found = list(steps(CONTENT, STYLE, make(**options)))
    assert all(math.isfinite(p.loss) for p in found)
    assert min(p.losses["style"] for p in found) < 0.8 * found[0].losses["style"]


def test_a_weight_beyond_all_numbers_is_an_error_with_the_start_as_its_picture(make: Any) -> None:
    with pytest.raises(DivergenceError, match="not a finite number at evaluation 1") as caught:
        stylize(CONTENT, STYLE, make(style_weight=1e300))
    assert isinstance(caught.value.result, Result)
    assert torch.equal(caught.value.result.image, resize(CONTENT, (30, 40)))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_divergence_brings_the_best_picture(optimizer: str, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    whole = transfer.Objective.__call__

    def failing(self: Any, picture: Tensor) -> optimize.Evaluation:
        nonlocal count
        count += 1
        found = whole(self, picture)
        return optimize.Evaluation(math.nan, found.gradient, found.terms) if count > 6 else found

    monkeypatch.setattr(transfer.Objective, "__call__", failing)
    seen: list[float] = []
    work = Transfer(CONTENT, STYLE, make(optimizer=optimizer, iterations=(40,)))
    with pytest.raises(DivergenceError, match="after 3 returns") as caught:
        seen.extend(p.loss for p in work.steps())
    result = caught.value.result
    assert isinstance(result, Result)
    assert count == 10
    assert len(seen) == 9
    assert result.losses["total"] == min(seen[:6])
    monkeypatch.undo()
    assert work.objective(0)(result.image).value == pytest.approx(min(seen[:6]), rel=1e-5)
    check_sound(result, (30, 40), "best")


def test_one_lost_number_does_not_end_the_run(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    count, whole = 0, transfer.Objective.__call__

    def failing(self: Any, picture: Tensor) -> optimize.Evaluation:
        nonlocal count
        count += 1
        found = whole(self, picture)
        return optimize.Evaluation(found.value, found.gradient * math.inf, found.terms) if count == 4 else found

    monkeypatch.setattr(transfer.Objective, "__call__", failing)
    found = list(steps(CONTENT, STYLE, make(iterations=(20,))))
    assert count == len(found) == 20
    assert min(p.loss for p in found) < 0.7 * found[0].loss


def saved_bytes(recipe: Recipe, path: Path) -> bytes:
    return stylize(CONTENT, [STYLE, OTHER], recipe).save(path, overwrite=True).read_bytes()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_same_seed_gives_the_same_bytes(optimizer: str, make: Any, tmp_path: Path) -> None:
    recipe = make(init="noise", seed=3, optimizer=optimizer, levels=2)
    first = saved_bytes(recipe, tmp_path / "a.png")
    assert saved_bytes(recipe, tmp_path / "a.png") == first


def test_the_seed_changes_the_noise_and_nothing_else(make: Any) -> None:
    def image(**options: Any) -> Tensor:
        return stylize(CONTENT, STYLE, make(iterations=(1,), **options)).image

    assert not torch.equal(image(init="noise", seed=1), image(init="noise", seed=2))
    assert torch.equal(image(init="content", seed=1), image(init="content", seed=2))


def test_what_it_starts_from(make: Any, tmp_path: Path) -> None:
    def start(**options: Any) -> Tensor:
        return Transfer(CONTENT, [OTHER, STYLE], make(**options)).result().image

    assert torch.equal(start(init="content"), resize(CONTENT, (30, 40)))
    noise = start(init="noise")
    styles = [resize(p, fit((p.shape[1], p.shape[2]), 40)) for p in (OTHER, STYLE)]  # in equal shares
    assert torch.allclose(noise.mean((1, 2)), sum(s.mean((1, 2)) for s in styles) / 2, atol=0.05)
    assert noise.std(dim=(1, 2)).min() > 0.03
    # the first style picture, 60×30, fills 30×40 in its own shape: as 80×40, its middle cut out
    fitted = resize(resize(OTHER, (40, 20)), (80, 40))[:, 25:55]
    assert torch.allclose(start(init="style"), fitted, atol=1e-5)
    path = tmp_path / "start.png"
    write(path, plain.picture(30, 40, 5))
    assert torch.allclose(start(init=str(path)), plain.picture(30, 40, 5), atol=0.6 / 255)
    result = Transfer(CONTENT, STYLE, make(init=str(path))).result()
    assert result.inputs["init"][0]["name"] == "start.png"
    with pytest.raises(ImageReadError, match=r"none\.png"):
        start(init=str(tmp_path / "none.png"))


def test_a_style_keeps_its_shape_and_its_scale_at_every_level(make: Any, seen: Any) -> None:
    wide, tall = plain.picture(50, 100, 3), plain.picture(90, 30, 4)
    recipe = make(size=80, levels=2, iterations=(1,))
    sizes = [tuple(p.shape[1:]) for p in targets(recipe, plain.picture(60, 80), [wide, tall], seen)]
    # content 60×80; the styles' longer sides are 80 as well: 40×80 and 80×27 (26.7); the level before has half of all
    assert sizes == [(30, 40), (20, 40), (40, 14), (60, 80), (40, 80), (80, 27)]
    sizes = [tuple(p.shape[1:]) for p in targets(recipe.replace(style_scale=0.5), plain.picture(60, 80), [wide], seen)]
    assert sizes == [(30, 40), (10, 20), (60, 80), (20, 40)]


def test_only_the_layers_asked_for_are_asked_of_the_network(make: Any, seen: Any) -> None:
    stylize(CONTENT, STYLE, make(content_layer=("conv2_1", "relu1_2"), style_layer=("relu1_1", "conv2_1")))
    assert [layers for _, layers, _ in seen] == [{"conv2_1", "relu1_2"}, {"relu1_1", "conv2_1"}]


def test_luminance_is_one_channel_with_the_style_matched_before(make: Any, seen: Any) -> None:
    content, style = 0.3 + 0.3 * CONTENT, 0.1 + 0.8 * STYLE
    shown, painting = targets(make(color="luminance", size=48), content, style, seen)
    Y = color.luminance(content)
    assert torch.allclose(shown, Y.expand(3, -1, -1), atol=1e-6)
    assert painting.shape[0] == 1
    assert painting.mean().item() == pytest.approx(Y.mean().item(), abs=1e-5)
    assert painting.std(correction=0).item() == pytest.approx(Y.std(correction=0).item(), rel=1e-4)


def test_alpha_is_kept(make: Any, tmp_path: Path) -> None:
    rgba = np.zeros((20, 30, 4), dtype=np.uint8)
    rgba[..., :3] = np.random.default_rng(1).integers(0, 255, (20, 30, 3))
    rgba[:, :15, 3] = 255
    result = stylize(rgba, STYLE, make(size=30))
    assert result.alpha is not None
    assert result.alpha.shape == (1, 20, 30)
    assert result.to_pil().mode == "RGBA"
    back = np.asarray(Image.open(result.save(tmp_path / "out.png")))
    assert np.array_equal(back[..., 3], rgba[..., 3])
    larger = stylize(rgba, STYLE, make(size=60, iterations=(1,)))
    assert larger.alpha is not None
    assert larger.alpha.shape == (1, 40, 60)
    assert stylize(CONTENT, rgba, make(iterations=(1,))).alpha is None


def test_a_saved_result_tells_how_it_was_made(make: Any, tmp_path: Path) -> None:
    result = stylize(CONTENT, [STYLE, OTHER], make(blend=(1, 3), color="match"))
    for suffix in ("png", "tif"):
        told = read_metadata(result.save(tmp_path / f"out.{suffix}"))
        assert told is not None
        assert Recipe.from_text(json.dumps(told)) == result.recipe
        assert told["losses"] == pytest.approx(dict(result.losses))
        assert [entry["sha256"] for entry in told["inputs"]["styles"]] == [read(p).sha256 for p in (STYLE, OTHER)]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), np.asarray(result.to_pil()))


def test_the_recipe_inside_a_picture_paints_it_again(make: Any, tmp_path: Path) -> None:
    path = stylize(CONTENT, STYLE, make(style_weight=7.5, init="noise", seed=9)).save(tmp_path / "out.png")
    told = Recipe.from_text(json.dumps(read_metadata(path)))
    assert stylize(CONTENT, STYLE, told).save(tmp_path / "again.png").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("styles", "options", "kind", "message"),
    [
        ([STYLE], {"blend": (1, 2)}, OptionError, "blend: 2 weights for 1 style pictures"),
        ([STYLE, OTHER], {"blend": (1,)}, OptionError, "blend: 1 weights for 2"),
        ([], {}, OptionError, "styles: at least one"),
        ([STYLE], {"device": "gpu"}, OptionError, "device: no 'gpu' here; present: .*cpu"),
        ([STYLE], {"device": "cuda:99"}, OptionError, "device: no 'cuda:99' here"),
        ([STYLE], {"net": "none.h5"}, WeightsError, "none.h5"),
        (["none.jpg"], {}, ImageReadError, "none.jpg"),
        ([STYLE], {"border": 0, "size": 15, "style_layer": "relu5_1"}, OptionError, "too small for conv5_1.*border"),
    ],
)
def test_what_cannot_work_is_refused(styles: Any, options: Any, kind: type[Exception], message: str, make: Any) -> None:
    with pytest.raises(kind, match=message) as caught:
        stylize(CONTENT, styles, make(**options))
    assert "\n" not in str(caught.value)


def test_blend_is_shares(make: Any) -> None:
    def image(**options: Any) -> Tensor:
        return stylize(CONTENT, [STYLE, OTHER], make(**options)).image

    assert torch.equal(image(blend=(1, 1)), image())
    assert torch.equal(image(blend=(1, 3)), image(blend=(0.25, 0.75)))
    assert not torch.equal(image(blend=(1, 3)), image(blend=(3, 1)))
    # a style of weight 0 costs nothing and changes nothing but the last digits
    alone = stylize(CONTENT, STYLE, make()).image
    assert torch.allclose(image(blend=(1, 0)), alone, atol=1e-3)


def test_what_is_computed_at_full_size_in_paper_units_is_the_papers_loss(make: Any) -> None:
    """The first loss of a run from noise, recomputed from the plain network."""
    recipe = make(
        units="paper", init="noise", size=48, content_layer="conv2_2", style_layer=("relu1_2", "relu3_1"), border=16
    )
    first = next(iter(steps(CONTENT, STYLE, recipe)))
    x = Transfer(CONTENT, STYLE, recipe).scene.start
    painting = resize(STYLE, (44, 48))
    net = plain.tensors()
    F, P, A = (plain.features(net, p, border=16) for p in (x, CONTENT, painting))
    style = sum(0.5 * losses.style_loss(F[n].double(), A[n].double()).item() for n in ("relu1_2", "relu3_1"))
    content = 0.5 * (F["conv2_2"] - P["conv2_2"]).square().sum().item()
    assert first.losses == pytest.approx({"content": content, "style": style}, rel=1e-3)


SAVED = {
    "plain": {},
    "strong style": {"style_weight": 1000.0},
    "luminance": {"color": "luminance", "style_weight": 100.0},
    "recoloured, with edges, Adam": {"color": "match", "optimizer": "adam", "laplacian": "4:10", "tv_weight": 1.0},
}


@pytest.mark.parametrize("name", SAVED)
def test_the_saved_picture_has_the_reported_loss(name: str, tmp_path: Path) -> None:
    recipe = Recipe(**{**FIXED, "net": "lite", "size": 96, "iterations": (20,), **SAVED[name]})
    work = Transfer(plain.picture(72, 96), plain.picture(80, 100, 1), recipe)
    last = list(work.steps())[-1]
    saved = read(work.result().save(tmp_path / "out.png")).rgb
    found = work.objective(0)(color.luminance(saved) if recipe.color == "luminance" else saved).value
    assert found == pytest.approx(work.result().losses["total"], rel=0.02)
    assert found == pytest.approx(last.loss, rel=0.02)


@pytest.mark.real
def test_a_short_transfer_with_the_original_network(vgg19_path: Path) -> None:
    recipe = Recipe(**{**FIXED, "net": str(vgg19_path), "size": 64, "iterations": (25,), "style_weight": 20.0})
    found: Iterator[Progress] = steps(plain.picture(48, 64), plain.picture(64, 64, 1), recipe)
    curve = [p.loss for p in found]
    assert min(curve) < 0.35 * curve[0]
