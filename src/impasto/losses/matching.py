"""Which place of a painting is most like a place of the picture: nearest neighbours under the cosine.

Places are columns of a matrix of features, D×P. Nothing here knows of a network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

__all__ = ["assign", "directions", "divide", "most_similar", "nearest", "thinned"]

BLOCK = 2**22  # similarities held at a time
EDGE = 0.1  # least part of a place, of the largest that a painting has there, that lets another be taken
ROUNDS = 200  # of balancing shares, at most


def nearest(ours: Tensor, theirs: Tensor, *, centered: bool = True) -> tuple[Tensor, Tensor]:
    """For each of our places, D×P, the most similar of theirs, D×Q: its index, P, and the cosine of the two, P.

    With `centered` the mean of either set is taken off first, as in Kolkin et al. 2022 (arXiv:2203.13215), 3.1. The
    whole matrix of similarities is never held.

    >>> nearest(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.1, 3.0], [2.0, 0.0]]), centered=False)[0]
    tensor([1, 0])
    """
    return most_similar(
        *(
            directions(places - places.mean(1, keepdim=True) if centered else places.clone())
            for places in map(_wide, (ours, theirs))
        )
    )


def most_similar(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """`nearest` of what are columns of length 1 already."""
    rows = max(1, BLOCK // theirs.shape[1])
    block = ours.new_empty(min(rows, ours.shape[1]), theirs.shape[1])
    found = [torch.mm(part.T, theirs, out=block[: part.shape[1]]).max(1) for part in torch.split(ours, rows, dim=1)]
    return torch.cat([one.indices for one in found]), torch.cat([one.values for one in found])


def assign(similarity: Tensor, shares: Sequence[float]) -> Tensor:
    """Which of K paintings each of P places takes from, so that painting i gets about its share w_i of the places.

    `similarity`, K×P, is how like a place the best of each painting is. Painting i has a handicap b_i, and a place goes
    where similarity + b_i is largest; the b_i are those for which the shares come out, which maximises the sum of
    similarities under these shares (the dual of an optimal transport problem with K sites).

    >>> assign(torch.tensor([[0.9, 0.8, 0.7, 0.6], [0.5, 0.5, 0.5, 0.5]]), (0.5, 0.5)).tolist()
    [0, 0, 1, 1]
    """
    wanted = torch.tensor(shares, dtype=torch.float64)
    values = similarity.double().cpu()
    values[wanted == 0] = -torch.inf
    handicap = torch.zeros(len(wanted), 1, dtype=torch.float64)
    best, least, step = values.argmax(0), torch.inf, 0.5
    for _ in range(ROUNDS):
        taken = (values + handicap).argmax(0)
        excess = torch.bincount(taken, minlength=len(wanted)) / taken.numel() - wanted
        if (error := excess.abs().max().item()) < least:
            best, least = taken, error
        else:
            step *= 0.7
        if error <= 0.5 / taken.numel() or step < 1e-6:
            break
        handicap -= step * excess[:, None]
    return best.to(similarity.device)


def divide(similarity: Tensor, parts: Tensor) -> Tensor:
    """Which of K paintings each of P places takes from, where each painting has its part, K×P, in the places.

    As `assign`, but that a painting has only places that it has a part in, and in all of them together as many as its
    parts sum up to. Places that none has a part in are given to the first.

    >>> parts = torch.tensor([[1.0, 0.5, 0.5], [0.0, 0.5, 0.5]])
    >>> divide(torch.tensor([[0.9, 0.9, 0.9], [0.1, 0.1, 0.8]]), parts).tolist()
    [0, 0, 1]
    """
    covered = parts.sum(0) > 0
    whose = torch.zeros(len(covered), dtype=torch.int64, device=similarity.device)
    if covered.any():
        own = parts[:, covered]
        allowed = similarity[:, covered].masked_fill(own < EDGE * own.amax(0), -torch.inf)
        whose[covered] = assign(allowed, (own.sum(1) / own.sum()).tolist())
    return whose


def thinned(count: int, limit: int, seed: int) -> Tensor:
    """Indices of at most `limit` of `count` places, in order, by chance."""
    if count <= limit:
        return torch.arange(count)
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(count, generator=generator)[:limit].sort().values


def directions(places: Tensor) -> Tensor:
    """Columns, made as long as 1 in place."""
    return normalize(places, dim=0, out=places)


def _wide(places: Tensor) -> Tensor:
    """In at least float32."""
    return places.to(torch.promote_types(places.dtype, torch.float32))
