"""The best constant prediction under any differentiable loss, and the loss' gradient and curvature there.

What a decoder without a latent can do at best: the reference of a score in nats (`trainables.likelihood`) and the
point at which a collapse is forecast (`trainables.measured`). Shapes: N samples, B of them in a part, the rest is the
shape of one prediction. All in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

START = 0.5  # legal for a mean, a logit, a rate and a probability
FAR = 10.0  # a prediction that is illegal for a rate and a probability, and whose exponential is still a number
ROUNDS, ITERATIONS = 10, 100  # at most
SETTLED = 1e-6  # relative change of the loss in a round
RIDGE = 1e-6  # on the square of how far a parameter of the loss itself is moved, nats
SMALL = 1e-7  # gradient of a value, in nats or whatever the loss is in
PROBES = 4  # random directions; one is exact for a loss that is a sum over values

Total = Callable[[Tensor, slice], Tensor]  # predictions (B, …), which samples → the sum of their losses, a scalar


@dataclass(frozen=True)
class BestConstant:
    """The prediction that is best for all samples at once.

    Args:
        prediction: (…).
        loss: mean over the samples.
        converged: False where the loss has no least value, or is too rough for its minimum to be found.
    """

    prediction: Tensor
    loss: float
    converged: bool


def best_constant(
    total: Total, shape: Sequence[int], samples: int, parameters: Iterable[nn.Parameter] = ()
) -> BestConstant:
    """The best constant for the first `samples` samples, by L-BFGS over all its values at once.

    Args:
        total: the loss; it may be defined for positive predictions alone, or for those in (0, 1).
        shape: of one prediction.
        samples: how many.
        parameters: of the model. Those that the loss itself depends on, as a likelihood's own dispersion, are fitted
            with the constant, in place; a ridge keeps those finite whose best value is not, as a negative binomial's
            dispersion where the data are Poisson's.

    Raises:
        ValueError: the loss is not finite for any constant that was tried.
    """
    part = slice(0, samples)

    def loss(prediction: Tensor) -> Tensor:
        return total(prediction.expand(samples, *prediction.shape), part) / samples

    link, value = _link(loss, tuple(shape))
    value.requires_grad_()
    own = _own_parameters(loss(link(value)), list(parameters))
    first = [parameter.detach().clone() for parameter in own]
    optimiser = torch.optim.LBFGS(
        [value, *own],
        max_iter=ITERATIONS,
        tolerance_grad=SMALL,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        moved = sum(((now - then).square().sum() for now, then in zip(own, first, strict=True)), torch.zeros(()))
        objective = loss(link(value)) + RIDGE / 2 * moved
        objective.backward(inputs=[value, *own])  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return objective

    after, settled = math.inf, False
    for _ in range(ROUNDS):
        before = after
        try:
            optimiser.step(closure)  # type: ignore[no-untyped-call]  # torch leaves it untyped
            after = float(loss(link(value)).detach())
        except (RuntimeError, ValueError):  # of torch's distributions, for a fit that ran off to infinity
            return BestConstant(link(value).detach(), -math.inf, False)
        settled = math.isfinite(after) and abs(before - after) <= SETTLED * max(1.0, abs(after))
        if settled or not math.isfinite(after):
            break
    return BestConstant(link(value).detach(), after, settled)


def curvature(total: Total, prediction: Tensor, samples: int, block: int) -> tuple[Tensor, Tensor]:
    """Gradient of every sample's loss at a constant `prediction`, (N, …), and their mean second derivatives, (…).

    The second derivatives are the diagonal of the Hessian (Bekas, Kokiopoulou and Saad 2007, exact for a sum over
    values); where their mean is not positive the mean square of the gradient, Fisher's information, stands for it.

    Args:
        block: samples at once.
    """
    generator = torch.Generator().manual_seed(0)
    gradients, seconds = [], torch.zeros_like(prediction)
    for start in range(0, samples, block):
        part = slice(start, min(start + block, samples))
        at = prediction.expand(part.stop - part.start, *prediction.shape).clone().requires_grad_()
        (gradient,) = torch.autograd.grad(total(at, part), at, create_graph=True)
        for _ in range(PROBES if gradient.requires_grad else 0):
            signs = torch.randint(0, 2, at.shape, generator=generator).to(at) * 2 - 1
            (product,) = torch.autograd.grad(gradient, at, signs, retain_graph=True, materialize_grads=True)
            seconds += (signs * product).detach().sum(dim=0) / (PROBES * samples)
        gradients.append(gradient.detach())
    gradient_N = torch.cat(gradients)
    return gradient_N, torch.where(seconds > 0, seconds, gradient_N.square().mean(dim=0))


def _link(loss: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """What maps any number to a legal prediction, and what it maps to `START`."""
    start = torch.full(shape, START, dtype=torch.float64)
    if not _is_legal(loss, start):
        raise ValueError(f"it is not finite for a prediction of {START} everywhere")
    if not _is_legal(loss, start + FAR):
        return torch.sigmoid, start.logit()
    return (torch.clone, start) if _is_legal(loss, start - FAR) else (torch.exp, start.log())


def _is_legal(loss: Callable[[Tensor], Tensor], prediction: Tensor) -> bool:
    """True where the loss is finite and changes with the prediction: what is illegal may have been clamped."""
    at = prediction.clone().requires_grad_()
    try:
        value = loss(at)
        (gradient,) = torch.autograd.grad(value, at)
    except (RuntimeError, ValueError):  # what torch's losses and distributions raise for an illegal prediction
        return False
    return math.isfinite(float(value.detach())) and bool(gradient.isfinite().all()) and bool(gradient.any())


def _own_parameters(loss: Tensor, parameters: list[nn.Parameter]) -> list[nn.Parameter]:
    """Those that `loss` depends on."""
    if not parameters:
        return []
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [parameter for parameter, gradient in zip(parameters, gradients, strict=True) if gradient is not None]
