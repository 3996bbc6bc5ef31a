"""The objective of one pyramid level: what is compared, against which targets, with which weights.

What there is to compare are the rows of `losses.FAMILIES`. The network looks once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from impasto import losses
from impasto.losses.terms import LookTerm, PixelTerm, RowsTerm, Seen, Term, View, total
from impasto.network.encoder import Encoder
from impasto.network.looks import Look
from impasto.network.regions import ALL, Regions
from impasto.network.tiles import WHOLE, Plan, Walk, observe
from impasto.paint import memory
from impasto.paint.optimize import Evaluation
from impasto.paint.scene import Scene
from impasto.paint.targets import Targets, looking
from impasto.pictures.resize import resize
from impasto.recipe import Recipe

__all__ = ["Objective", "at", "compared", "looks"]


def looks(recipe: Recipe, whose: str | None = None, *, apart: bool = False) -> list[Look]:
    """All that the losses want to see for a recipe, or all of it of one kind of picture; `apart`: layer by layer."""
    ways = [(getattr(family, "wants_apart", family.wants) if apart else family.wants) for family in losses.FAMILIES]
    wanted = dict.fromkeys(look for wants in ways for look in wants(recipe))
    return [look for look in wanted if whose in (None, look.whose)]


def at(
    scene: Scene,
    size: tuple[int, int],
    encoder: Encoder,
    targets: Targets,
    plan: Plan,
    *,
    best: Tensor | None = None,
    apart: bool = False,
) -> Objective:
    """What the optimiser minimises at a size (height, width): a function of a picture of that size.

    `best`: the picture so far, where there is one. `apart`: whether it is matched as it is, each layer for itself.
    """
    recipe, (height, width) = scene.compared, size
    content = resize(scene.content, size).expand(3, height, width)
    area = scene.size[0] * scene.size[1] / (height * width)
    paintings = scene.paintings(size)
    mix = scene.mix(best, size, alone=apart).expand(3, height, width)
    copies = scene.copies(size)
    with memory.scattered():
        return compared(
            recipe,
            encoder,
            content,
            paintings,
            blend=scene.blend,
            area=area,
            plan=plan,
            look=targets.look,
            mix=mix,
            regions=scene.masks.at(size),
            visible=scene.masks.seen(size),
            region=scene.masks.regions,
            style_regions=scene.style_regions(size),
            free=scene.masks.changed(size),
            copies=copies,
            apart=apart,
        )


def compared(
    recipe: Recipe,
    encoder: Encoder,
    content: Tensor,
    styles: Sequence[Tensor],
    *,
    blend: tuple[float, ...] = (1.0,),
    area: float = 1.0,
    plan: Plan = WHOLE,
    look: Callable[..., Mapping[Look, Tensor]] = observe,
    mix: Tensor | None = None,
    regions: Regions = ALL,
    region: Sequence[int] = (),
    style_regions: Sequence[Regions] = (),
    free: Tensor | None = None,
    copies: Sequence[Sequence[tuple[Tensor, Regions]]] = (),
    visible: Regions = ALL,
    apart: bool = False,
) -> Objective:
    """The objective of pictures as they are, RGB 0…1, 3×H×W; `look` sees of a picture what is asked of it.

    `mix` is the picture that places are matched as, the content where it is None. `regions` of the result: `region` is
    that of each style, 0 where none are given. `style_regions`: what counts of each. `free`, 1×H×W: how far each pixel
    may leave the content. `copies` of each style, and what counts of them. `visible`: how far the content's pixels
    count, as region 0. `apart`: each layer is matched for itself.
    """
    regions, free = regions.to(encoder.device), None if free is None else free.to(encoder.device)
    style_regions = [one.to(encoder.device) for one in style_regions or [ALL] * len(styles)]
    wanted = {whose: looks(recipe, whose, apart=apart) for whose in ("mix", "content", "style")}
    matched = [one for one in wanted["style"] if one.kind == "map"]

    def way(painting: Tensor) -> Plan:
        height, width = content.shape[1:]
        return looking(plan, (height, width), (painting.shape[1], painting.shape[2]))

    seen = Seen(
        recipe=recipe,
        pixels=content.to(encoder.device),
        paintings=tuple(style.expand(3, *style.shape[1:]) for style in styles),
        mix=dict(look(encoder, content if mix is None else mix, wanted["mix"], plan)),
        content=look(encoder, content, wanted["content"], plan),
        styles=tuple(
            dict(look(encoder, style, wanted["style"], way(style), own))
            for style, own in zip(styles, style_regions, strict=True)
        ),
        blend=blend,
        area=area,
        regions=regions,
        region=tuple(region) or (0,) * len(styles),
        style_regions=tuple(style_regions),
        copies=tuple(
            tuple(
                View(picture, dict(look(encoder, picture, matched, way(picture))), own.to(encoder.device))
                for picture, own in several
            )
            for several in copies
        ),
        visible=visible.to(encoder.device),
        apart=apart,
    )
    terms = [term for family in losses.FAMILIES for term in family.build(seen)]
    return Objective(encoder, terms, plan, regions, None if free is None else (seen.pixels, free))


class Objective:
    """Eq. 5 and its companions at one level: a picture in, value, gradient and terms out.

    `plan` says how much of the picture is looked at at a time; it changes memory and speed, not the numbers.
    `regions`: those that terms look at. `kept`: a picture, and how far each of its pixels may be left, 1×H×W.
    `matched`: after how many evaluations targets that follow the picture were made last, and of which picture, by term.
    """

    def __init__(
        self,
        encoder: Encoder,
        terms: Sequence[Term],
        plan: Plan = WHOLE,
        regions: Regions = ALL,
        kept: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.encoder, self.plan, self.regions, self.kept = encoder, plan, regions, kept
        self.terms = [term for term in terms if term.weight > 0]
        self.rows = [term for term in self.terms if isinstance(term, RowsTerm)]
        self.seeing = [term for term in self.terms if isinstance(term, LookTerm)]
        streamed = [look for term in self.rows for look in term.looks]
        self.looks = tuple(dict.fromkeys([*streamed, *(look for term in self.seeing for look in term.looks)]))
        self._renewed = dict.fromkeys((term.name for term in self.seeing if term.every), 0)
        self._due: set[str] = set(self._renewed)  # the first time, of what is painted on
        self.matched: Mapping[str, tuple[int, Tensor]] = {}

    def __call__(self, picture: Tensor) -> Evaluation:
        """Value, gradient and terms at a picture 3×H×W or 1×H×W (luminance), 0…1."""
        if self._due:
            matched = picture.detach().clone()
            self.matched = {**self.matched, **{name: (self._renewed[name], matched) for name in self._due}}
        picture = picture.detach().requires_grad_()
        parts: dict[str, list[Tensor]] = {term.name: [] for term in self.terms}
        outputs: list[Tensor] = []
        gradients: list[Tensor] = []
        with torch.enable_grad():
            pixels = self.shown(picture).expand(3, *picture.shape[-2:])
            for term in self.terms:
                if isinstance(term, PixelTerm):
                    value = term.value(pixels)
                    parts[term.name].append(value.detach())
                    outputs.append(value)
                    gradients.append(torch.full_like(value, term.weight))
            outputs.append(self.encoder.prepare(pixels))
        gradients.append(self._network(pixels, outputs[-1].detach(), parts))
        (gradient,) = torch.autograd.grad(outputs, picture, gradients)
        return self._evaluation(gradient, parts)

    def shown(self, picture: Tensor) -> Tensor:
        """The picture that is judged, y = p + m (x − p), of the one that the optimiser moves, x."""
        if self.kept is None:
            return picture
        photo, free = self.kept
        return torch.lerp(photo[: picture.shape[0]], picture, free)

    def renew(self, evaluation: int) -> bool:
        """Whether the next evaluation, after so many, makes targets anew; the optimiser asks this where it stands."""
        due = {term.name for term in self.seeing if term.every and evaluation - self._renewed[term.name] >= term.every}
        self._renewed.update(dict.fromkeys(due, evaluation))
        self._due |= due
        return bool(due)

    def match_again(self, matched: Mapping[str, tuple[int, Tensor]]) -> None:
        """Make the targets that another objective of this level had, from its `matched`."""
        for name, (evaluation, picture) in matched.items():
            self._renewed[name] = evaluation
            self._due = {name} if self.matched else set(self._renewed)  # no term is ever without
            self(picture)

    def _evaluation(self, gradient: Tensor, parts: dict[str, list[Tensor]]) -> Evaluation:
        """Value, gradient and terms, read from the device in one go."""
        found = [gradient.sum(), *(value for several in parts.values() for value in several)]
        exact = torch.float64 if gradient.device.type == "cpu" else torch.float32  # not every device has float64
        checksum, *rest = torch.stack([value.to(exact) for value in found]).tolist()
        read = iter(rest)
        values = {name: sum((next(read) for _ in several), 0.0) for name, several in parts.items()}
        return Evaluation(sum(term.weight * values[term.name] for term in self.terms), gradient, values, checksum)

    def _network(self, pixels: Tensor, prepared: Tensor, parts: dict[str, list[Tensor]]) -> Tensor:
        """Add the values of the terms that look through the network; gradient with respect to what it is given."""
        if not self.looks:
            return torch.zeros_like(prepared)
        walk = Walk(self.encoder, pixels, self.looks, self.plan, self.regions)

        def visit(look: Look, F: Tensor, rows: slice) -> None:
            for term in self.rows:
                if look in term.looks:
                    parts[term.name].append(term.value(look, F, rows))

        def row_gradient(look: Look, F: Tensor, rows: slice) -> Tensor:
            F = F.detach().requires_grad_()
            with torch.enable_grad():
                loss = total(term.weight * term.value(look, F, rows) for term in self.rows if look in term.looks)
            (gradient,) = torch.autograd.grad(loss, F)
            return gradient

        seen = walk.forward(prepared, visit, grad=True)
        for term in self.seeing:
            if term.name in self._due:
                term.renew(seen)
        self._due.clear()
        gradients: dict[Look, Tensor] = {}
        if self.seeing:
            with torch.enable_grad():
                seen = {look: value.requires_grad_() for look, value in seen.items()}
                found = {term.name: term.value(seen) for term in self.seeing}
                loss = total(term.weight * found[term.name] for term in self.seeing)
            for name, value in found.items():
                parts[name].append(value.detach())
            gradients = dict(zip(seen, torch.autograd.grad(loss, list(seen.values())), strict=True))
        return walk.backward(gradients, row_gradient)
