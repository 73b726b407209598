"""Muon: each kernel moves by its momentum made orthogonal, so that no direction is starved; Adam moves the rest.

Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024. torch.optim.Muon takes only matrices; here a
convolution's kernels are the rows of one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the polynomial, chosen by its authors for five rounds
_BETAS = (0.9, 0.99)
_EPSILON = 1e-8


class Muon(torch.optim.Optimizer):
    """Kernels (4 dimensions) by orthogonal momentum, each layer's norm kept at √units; the rest by Adam.

    rate       step size of the kernels
    adam_rate  step size of everything else, as a share of `rate`
    momentum   of the kernels
    """

    # torch wraps these for its compiler, and would import that, for two seconds, at the start of every training
    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)

    def __init__(self, parameters: Iterable[Tensor], rate: float, adam_rate: float, momentum: float) -> None:
        everything = list(parameters)
        groups = [
            {"params": [one for one in everything if one.ndim == 4], "share": 1.0},
            {"params": [one for one in everything if one.ndim != 4], "share": adam_rate},
        ]
        super().__init__(groups, {"lr": rate, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    move = _move_kernels if parameter.ndim == 4 else _move_by_adam
                    move(parameter, parameter.grad, self.state[parameter], group)


def orthogonalise(matrix: Tensor) -> Tensor:
    """Return the matrix with all its singular values brought near 1, by five Newton-Schulz rounds."""
    a, b, c = _COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    start = matrix.T if tall else matrix
    start = start / (start.norm() + 1e-7)
    # the rounds multiply from the left by polynomials of start·startᵀ, which is small: only the last product is large
    gram = start @ start.T
    unit = torch.eye(len(gram), device=gram.device, dtype=gram.dtype)
    product = unit
    for _ in range(5):
        square = product @ gram @ product
        product = (a * unit + b * square + c * square @ square) @ product
    result: Tensor = product @ start
    return result.T if tall else result


def _move_kernels(parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    momentum = state.setdefault("momentum", torch.zeros_like(gradient))
    momentum.mul_(group["momentum"]).add_(gradient)
    nesterov = gradient.add(momentum, alpha=group["momentum"])
    parameter.mul_(len(parameter) ** 0.5 / (parameter.norm() + 1e-7))
    parameter.add_(orthogonalise(nesterov.flatten(1)).view_as(parameter), alpha=-group["lr"] * group["share"])


def _move_by_adam(parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    first = state.setdefault("first", torch.zeros_like(gradient))
    second = state.setdefault("second", torch.zeros_like(gradient))
    state["step"] = state.get("step", 0) + 1
    first.lerp_(gradient, 1 - _BETAS[0])
    second.lerp_(gradient.square(), 1 - _BETAS[1])
    rate = group["lr"] * group["share"] / (1 - _BETAS[0] ** state["step"])
    scale = (second / (1 - _BETAS[1] ** state["step"])).sqrt_().add_(_EPSILON)
    parameter.addcdiv_(first, scale, value=-rate)
