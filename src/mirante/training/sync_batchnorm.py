"""Batch normalisation by the statistics of all processes of a training, also on the CPU, where torch has none."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


class _Normalise(torch.autograd.Function):
    """Batch normalisation by the mean and variance over the images of all processes; also returns these and their number.

    Each process has torch's own kernels find its sums, which are then added: Ioffe and Szegedy, "Batch normalization", 2015, with the
    sums of its gradient over all processes.
    """

    @staticmethod
    def forward(
        context: Any, values: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        _, mean, deviation = torch.native_batch_norm(values, weight, bias, None, None, True, 0.0, eps)
        variance = deviation.reciprocal().square() - eps
        own = values.numel() // values.shape[1]
        sums = torch.cat([mean * own, mean.new_tensor([own])])
        dist.all_reduce(sums)
        count = sums[-1]
        middle = sums[:-1] / count
        squares = own * (variance + (mean - middle).square())
        dist.all_reduce(squares)
        spread = squares / count
        context.save_for_backward(values, weight, middle, (spread + eps).rsqrt(), count)
        context.eps = eps
        found = F.batch_norm(values, middle, spread, weight, bias, False, 0.0, eps)
        context.mark_non_differentiable(middle, spread, count)
        return found, middle, spread, count

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        values, weight, middle, inverse, count = context.saved_tensors
        gradient = gradients[0].contiguous(memory_format=_layout(values))
        _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, values, weight, middle, inverse, middle, inverse, True, context.eps, [False, True, True]
        )
        sums = torch.stack([of_weight, of_bias])
        dist.all_reduce(sums)
        # weight/σ · (gradient - mean of gradients - x̂ · mean of x̂·gradient), as a·gradient + b·values + c of each channel
        shape = (1, -1, *[1] * (values.ndim - 2))
        a = weight * inverse
        b = -a * inverse * sums[0] / count
        c = -a * sums[1] / count - b * middle
        passed = torch.addcmul(c.view(shape), gradient.float(), a.view(shape)).addcmul_(values.float(), b.view(shape))
        return passed.to(values.dtype), of_weight, of_bias, None


def _layout(values: Tensor) -> torch.memory_format:
    channels_last = values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format


class _Shared:
    """Batch normalisation by the mean and variance over the images of all processes, on any device."""

    def forward(self, values: Tensor) -> Tensor:
        assert isinstance(self, nn.BatchNorm1d | nn.BatchNorm2d)
        if not self.training or not self.affine or self.running_mean is None or self.running_var is None:
            return super().forward(values)  # type: ignore[misc,no-any-return]
        found, mean, variance, count = _Normalise.apply(values, self.weight, self.bias, self.eps)
        with torch.no_grad():
            momentum = 0.1 if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), momentum)
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr,operator]
        result: Tensor = found
        return result


class _SharedBatchNorm1d(_Shared, nn.BatchNorm1d):
    pass


class _SharedBatchNorm2d(_Shared, nn.BatchNorm2d):
    pass


def share_statistics(network: nn.Module) -> None:
    """Have every plain batch normalisation use the statistics of all processes; outside training nothing changes."""
    kinds: dict[type, type] = {nn.BatchNorm1d: _SharedBatchNorm1d, nn.BatchNorm2d: _SharedBatchNorm2d}
    for module in network.modules():
        if type(module) in kinds:
            module.__class__ = kinds[type(module)]
