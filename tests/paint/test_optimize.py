"""L-BFGS and Adam in a box: known minima, bounds, counting, and what happens when the numbers go wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from impasto.errors import DivergenceError
from impasto.paint import curvature
from impasto.paint.curvature import Curvature, smoothing
from impasto.paint.optimize import Evaluation, Step, adam, lbfgs

Function = Callable[[Tensor], Tensor]
METHODS = pytest.mark.parametrize("method", [lbfgs, adam])


class Counted:
    """A function as the optimisers take it, which keeps every point that it was asked about."""

    def __init__(self, function: Function, bad: dict[int, float] | None = None, *, in_gradient: bool = False) -> None:
        self.function, self.bad, self.in_gradient = function, bad or {}, in_gradient
        self.points: list[Tensor] = []

    def __call__(self, x: Tensor) -> Evaluation:
        self.points.append(x.clone())
        x = x.detach().requires_grad_()
        value = self.function(x)
        (gradient,) = torch.autograd.grad(value, x)
        wrong = self.bad.get(len(self.points))
        if wrong is None:
            return Evaluation(value.item(), gradient, {"itself": value.item()})
        if self.in_gradient:
            gradient.view(-1)[0] = wrong
            return Evaluation(value.item(), gradient)
        return Evaluation(wrong, gradient)


def bowl(center: Tensor, stiffness: Tensor) -> Function:
    return lambda x: (stiffness * (x - center).square()).sum()


CENTER = torch.tensor([-0.5, 0.2, 0.7, 1.6, 0.0, 1.0])
STIFF = torch.tensor([1.0, 30, 4, 2, 100, 9])
BOWL = bowl(CENTER, STIFF)


def rosenbrock(x: Tensor) -> Tensor:
    return (1 - x[0]).square() + 100 * (x[1] - x[0].square()).square()


def check_steps(
    steps: Iterator[Step], function: Counted, budget: int, lower: float = 0, upper: float = 1
) -> list[Step]:
    """Run to the end, holding every step to what is promised of it."""
    found = []
    for step in steps:
        found.append(step)
        assert step.index == len(found) == len(function.points)
        assert function.function(step.best).item() == step.best_value
        assert len(found) < 2 or step.best_value <= found[-2].best_value
    assert len(found) <= budget
    assert all(point.min() >= lower and point.max() <= upper for point in function.points)
    return found


def test_bowl_with_its_centre_outside_the_box() -> None:
    function = Counted(BOWL)
    steps = check_steps(lbfgs(function, torch.full((6,), 0.5), 60), function, 60)
    assert torch.allclose(steps[-1].best, CENTER.clamp(0, 1), atol=1e-4)
    assert steps[-1].best_value == pytest.approx(1 * 0.5**2 + 2 * 0.6**2, rel=1e-5)


def test_bowl_with_adam() -> None:
    function = Counted(BOWL)
    steps = check_steps(adam(function, torch.full((6,), 0.5), 300), function, 300)
    assert torch.allclose(steps[-1].best, CENTER.clamp(0, 1), atol=5e-3)
    assert len(steps) == 300


def test_a_bound_that_moves_the_other_coordinate() -> None:
    # (x − 2)² + (y − 0.8)² + x y in 0…1: x stops at 1, where 2 (y − 0.8) + 1 = 0, so y = 0.3; value 1 + 0.25 + 0.3
    function = Counted(lambda v: (v[0] - 2).square() + (v[1] - 0.8).square() + v[0] * v[1])
    steps = check_steps(lbfgs(function, torch.tensor([0.1, 0.9]), 40), function, 40)
    assert steps[-1].best.tolist() == pytest.approx([1.0, 0.3], abs=1e-3)
    assert steps[-1].best_value == pytest.approx(1.55, abs=1e-5)


@pytest.mark.parametrize(
    ("lower", "upper", "minimum"),
    [(-2.0, 2.0, (1.0, 1.0)), (0.0, 0.8, (0.8, 0.64)), (-0.5, 0.5, (0.5, 0.25))],  # y = x² where x stops
)
def test_rosenbrock_in_a_box(lower: float, upper: float, minimum: tuple[float, float]) -> None:
    function = Counted(rosenbrock)
    start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    steps = check_steps(lbfgs(function, start, 200, lower=lower, upper=upper), function, 200, lower, upper)
    assert steps[-1].best.tolist() == pytest.approx(minimum, abs=1e-3)


@METHODS
def test_a_start_outside_the_box_is_brought_in_and_left_as_it_is(method: Callable[..., Iterator[Step]]) -> None:
    start = torch.tensor([-3.0, 0.5, 0.5, 9.0, 0.5, 0.5])
    kept, function = start.clone(), Counted(BOWL)
    check_steps(method(function, start, 5), function, 5)
    assert torch.equal(start, kept)
    assert function.points[0].tolist() == [0, 0.5, 0.5, 1, 0.5, 0.5]


@METHODS
@pytest.mark.parametrize("budget", [1, 2, 7])
def test_evaluations_are_counted_exactly(method: Callable[..., Iterator[Step]], budget: int) -> None:
    function = Counted(rosenbrock)
    assert len(list(method(function, torch.tensor([-1.2, 1.0]), budget, lower=-2, upper=2))) == budget
    assert len(function.points) == budget


@METHODS
def test_a_best_point_once_yielded_does_not_change(method: Callable[..., Iterator[Step]]) -> None:
    seen = [(step.best, step.best.clone()) for step in method(Counted(BOWL), torch.full((6,), 0.5), 30)]
    assert all(torch.equal(now, then) for now, then in seen)


def test_a_minimum_at_the_start_ends_at_once() -> None:
    inside = torch.tensor([0.25, 0.5])
    assert len(list(lbfgs(Counted(bowl(inside, torch.ones(2))), inside, 50))) == 1
    corner = Counted(bowl(torch.tensor([-1.0, 2.0]), torch.ones(2)))
    assert len(list(lbfgs(corner, torch.tensor([0.0, 1.0]), 50))) == 1


@METHODS
def test_a_start_near_the_minimum_is_no_divergence(method: Callable[..., Iterator[Step]]) -> None:
    center = torch.full((10,), 0.5)
    function = Counted(bowl(center, torch.ones(10)))
    steps = check_steps(method(function, center + 1e-6, 40), function, 40)
    assert steps[-1].best_value < 1e-9


@METHODS
@pytest.mark.parametrize("factor", [1e-25, 1e30])
def test_the_path_does_not_depend_on_the_scale_of_the_value(
    method: Callable[..., Iterator[Step]], factor: float
) -> None:
    plain, scaled = Counted(BOWL), Counted(lambda x: BOWL(x) * factor)
    for function in (plain, scaled):
        list(method(function, torch.full((6,), 0.5), 30))
    together = min(len(plain.points), len(scaled.points), 12)
    assert together == 12
    for one, other in zip(plain.points[:together], scaled.points[:together], strict=True):
        assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("in_gradient", [False, True])
@pytest.mark.parametrize("at", [2, 5, 9])
@METHODS
def test_a_number_lost_once_is_recovered_from(
    method: Callable[..., Iterator[Step]], at: int, in_gradient: bool, bad: float
) -> None:
    function = Counted(BOWL, {at: bad}, in_gradient=in_gradient)
    steps = check_steps(method(function, torch.full((6,), 0.5), 300), function, 300)
    assert steps[-1].best_value == pytest.approx(0.97, rel=0.01)
    assert all(math.isfinite(step.best_value) for step in steps)
    if method is adam:  # back at the best point
        assert any(torch.equal(function.points[at], point) for point in function.points[: at - 1])


@METHODS
def test_a_number_lost_four_times_is_an_error_at_that_evaluation(method: Callable[..., Iterator[Step]]) -> None:
    function = Counted(BOWL, dict.fromkeys((3, 5, 6, 7), math.nan))
    seen = []
    with pytest.raises(DivergenceError, match=r"not a finite number at evaluation 7, after 3 returns"):
        seen.extend(method(function, torch.full((6,), 0.5), 50))
    assert len(function.points) == 7


@METHODS
def test_three_times_are_borne(method: Callable[..., Iterator[Step]]) -> None:
    function = Counted(BOWL, dict.fromkeys((3, 5, 6), math.nan))
    assert list(method(function, torch.full((6,), 0.5), 900))[-1].best_value == pytest.approx(0.97, rel=0.01)


@METHODS
def test_no_finite_number_at_all_is_an_error_at_once(method: Callable[..., Iterator[Step]]) -> None:
    function = Counted(BOWL, {1: math.nan})
    with pytest.raises(DivergenceError, match="at evaluation 1;"):
        list(method(function, torch.full((6,), 0.5), 50))


def test_adam_halves_its_step_after_a_return() -> None:
    function = Counted(BOWL, {4: math.nan})
    list(adam(function, torch.full((6,), 0.5), 6, learning_rate=0.04))
    points = function.points
    assert (points[1] - points[0]).abs().max().item() == pytest.approx(0.04, rel=1e-3)
    assert (points[5] - points[4]).abs().max().item() == pytest.approx(0.02, rel=1e-3)  # the first after the return


def test_adam_goes_back_where_the_value_explodes() -> None:
    def cliff(x: Tensor) -> Tensor:
        return ((x - 0.9).square() * torch.where(x > 0.7, 1e6, 1.0)).sum()

    function = Counted(cliff)
    with pytest.raises(DivergenceError, match=r"rose to .*lower the weights or the learning rate"):
        list(adam(function, torch.tensor([0.2]), 200, learning_rate=0.02))
    assert sum(point.item() > 0.7 for point in function.points) == 4


def test_lbfgs_steps_back_from_a_cliff_by_itself() -> None:
    # beyond 0.7 a wall; the least value before it lies at the wall's foot
    function = Counted(lambda x: ((x - 0.9).square() + torch.where(x > 0.7, 1e9 * (x - 0.7), 0.0)).sum())
    steps = check_steps(lbfgs(function, torch.tensor([0.2]), 60), function, 60)
    assert steps[-1].best.item() == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("size", [(5, 4), (4, 6), (1, 1), (1, 7), (6, 1)])
def test_smoothing_is_symmetric_and_positive(size: tuple[int, int]) -> None:
    count = size[0] * size[1]
    units = torch.eye(count).reshape(count, *size)
    for power in (0.5, 1.0):
        matrix = smoothing(*size, power=power)(units).reshape(count, count).double()
        assert torch.allclose(matrix, matrix.T, atol=1e-5)
        assert torch.linalg.eigvalsh(matrix).min() > 0


def test_smoothing_by_hand() -> None:
    # Along 4 pixels the frequencies are 0, ¼, ½; gains 1/¼ (the lowest stands in for 0), 1/¼, 1/½, over their mean 10/3
    smooth = smoothing(1, 4)
    assert smooth(torch.ones(1, 1, 4)).flatten().tolist() == pytest.approx([1.2] * 4)
    assert smooth(torch.tensor([[[1.0, 0, -1, 0]]])).flatten().tolist() == pytest.approx([1.2, 0, -1.2, 0], abs=1e-6)
    assert smooth(torch.tensor([[[1.0, -1, 1, -1]]])).flatten().tolist() == pytest.approx([0.6, -0.6, 0.6, -0.6])


def test_a_gentler_smoothing_is_the_root_of_the_gains() -> None:
    wave = torch.tensor([[[1.0, -1, 1, -1]]])  # frequency ½; a constant counts as the lowest, ¼
    full, half = smoothing(1, 4), smoothing(1, 4, power=0.5)
    ratio = full(torch.ones(1, 1, 4))[0, 0, 0] / full(wave)[0, 0, 0]
    root = half(torch.ones(1, 1, 4))[0, 0, 0] / half(wave)[0, 0, 0]
    assert ratio == pytest.approx(2)
    assert root == pytest.approx(math.sqrt(2))


def test_preconditioned_lbfgs_reaches_the_same_minimum() -> None:
    center = torch.rand(1, 6, 5, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.3
    function = Counted(bowl(center, torch.ones(())))
    steps = check_steps(lbfgs(function, torch.full((1, 6, 5), 0.5), 80, precondition=smoothing(6, 5)), function, 80)
    assert torch.allclose(steps[-1].best, center.clamp(0, 1), atol=1e-3)


def test_the_memory_obeys_the_last_secant_and_forgets_negative_curvature() -> None:
    memory = Curvature(5, smoothing(3, 4), None)
    generator = torch.Generator().manual_seed(1)
    moves = [torch.randn(1, 3, 4, generator=generator) for _ in range(3)]
    changes = [s * torch.linspace(1, 3, 12).reshape(1, 3, 4) for s in moves]
    for s, y in zip(moves, changes, strict=True):
        memory.add(s, y)
    assert torch.allclose(memory.direction(changes[-1]), -moves[-1], atol=1e-5)  # H y = s
    memory.add(moves[0], -changes[0])
    assert len(memory.pairs) == 3
    assert torch.allclose(memory.direction(changes[-1]), -moves[-1], atol=1e-5)


def test_moves_remembered_in_half_precision_lead_to_the_same_minimum() -> None:
    """Of a badly scaled bowl, in about as many evaluations."""
    center, stiffness = torch.rand(3, 6, 5, generator=torch.Generator().manual_seed(0)), torch.logspace(0, 3, 90)
    needed = []
    for kept in (None, torch.bfloat16):
        function = Counted(bowl(center, stiffness.view(3, 6, 5)))
        steps = list(lbfgs(function, torch.full((3, 6, 5), 0.5), 200, kept=kept))
        needed.append(next(step.index for step in steps if step.best_value < 1e-4 * steps[0].value))
        assert torch.allclose(steps[-1].best, center, atol=1e-3)
    assert needed[1] <= 1.5 * needed[0]


class Moving(Counted):
    """A bowl whose middle is moved once, after so many evaluations."""

    def __init__(self, after: int) -> None:
        super().__init__(lambda x: (x - (0.2 if self.moved is None else 0.8)).square().sum())
        self.after, self.moved = after, None

    def renew(self, evaluation: int) -> bool:
        if self.moved is None and evaluation >= self.after:
            self.moved = len(self.points)
            return True
        return False


@METHODS
def test_a_function_that_changes_is_begun_anew(method: Callable[..., Iterator[Step]]) -> None:
    function = Moving(after=2)
    options = {"learning_rate": 0.05} if method is adam else {}
    found = list(method(function, torch.full((3, 2, 2), 0.5), 60, renew=function.renew, **options))
    assert function.moved is not None
    first = found[function.moved]  # the same point again, or in Adam's case the one it would have gone to
    assert first.best_value == first.value
    assert found[-1].best_value < 1e-3
    assert torch.allclose(found[-1].best, torch.full((3, 2, 2), 0.8), atol=0.03)
    assert [step.index for step in found] == list(range(1, len(found) + 1))


def test_numbers_that_stay_on_the_device_lead_to_the_same_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, where reading every product would wait for everything before it."""
    center, stiffness = torch.linspace(0.1, 0.9, 24).view(1, 4, 6), torch.logspace(0, 3, 24).view(1, 4, 6)
    ends = []
    for at_hand in (True, False):
        monkeypatch.setattr(curvature, "at_hand", lambda value, at_hand=at_hand: at_hand)
        ends.append(list(lbfgs(Counted(bowl(center, stiffness)), torch.full((1, 4, 6), 0.5), 150))[-1])
    assert all(torch.allclose(end.best, center, atol=1e-3) for end in ends)
    assert ends[1].best_value == pytest.approx(ends[0].best_value, abs=1e-6)


def test_a_direction_reads_nothing_from_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curvature, "at_hand", lambda value: False)
    memory = Curvature(5, None, None)
    for seed in range(3):
        s = torch.randn(2, 3, generator=torch.Generator().manual_seed(seed))
        memory.add(s, 2 * s)
    monkeypatch.setattr(torch.Tensor, "item", lambda self: pytest.fail("read"))
    direction = memory.direction(torch.ones(2, 3))
    monkeypatch.undo()
    assert torch.allclose(direction, torch.full((2, 3), -0.5))  # the Hessian is 2
