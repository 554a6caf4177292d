"""Every loss, one function each, with its equation.

Letters: B images in the batch, D dimensions, N identities. All losses are computed in float32, also under autocast:
in bfloat16 two distances that differ by less than 0.4 % are equal, and mining the hardest becomes a lottery.

Several processes: a triplet's positives and negatives come from the batch of *all* processes (``gathered``), so the
loss of two processes with half a batch each is the loss of one process with the whole.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor


def in_float32(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Run a loss outside autocast, on float32 copies of its floating-point tensors."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        def widen(x):
            return x.float() if isinstance(x, Tensor) and x.is_floating_point() else x

        device = next(a.device.type for a in (*args, *kwargs.values()) if isinstance(a, Tensor))
        with torch.autocast(device, enabled=False):
            return function(*map(widen, args), **{k: widen(v) for k, v in kwargs.items()})

    return wrapper


class _Gather(torch.autograd.Function):
    """All processes' rows below each other; the gradient of a row is the sum over the processes that used it."""

    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        ctx.count = len(rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        start = dist.get_rank() * ctx.count
        return gradient[start : start + ctx.count]


def gathered(rows: Tensor) -> Tensor:
    """(B, ...) of this process -> (processes x B, ...) of all, in rank order; the same tensor where there is one."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return rows
    return _Gather.apply(rows)


@in_float32
def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy with label smoothing, averaged over the batch.

    L = -1/B sum_i sum_n q_in log p_in,   p_i = softmax(logits_i),   q_in = (1 - s) [n = y_i] + s / N
    (Szegedy et al. 2016, §7; SING Eq. 3 and the first term of JBIM Eq. 5 with s = 0).

    Parameters: logits (B, N); labels (B,) int64 in [0, N); smoothing s in [0, 1).
    """
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)


@in_float32
def pairwise_distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances (A, D), (B, D) -> (A, B): d_ij = sqrt(max(|a_i|^2 + |b_j|^2 - 2 a_i . b_j, 1e-12)).

    The floor keeps the gradient of the square root finite where two descriptors are equal.
    """
    squared = a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.T
    return squared.clamp(min=1e-12).sqrt()


@in_float32
def batch_hard_triplet(features: Tensor, labels: Tensor, margin: float | None = 0.3) -> Tensor:
    """For each image its farthest positive against its nearest negative (Hermans et al. 2017, Eq. 5).

    L = 1/B sum_i [ m + max_{j: y_j = y_i} d_ij - min_{j: y_j != y_i} d_ij ]_+
    With ``margin=None`` the soft margin log(1 + exp(.)) replaces [m + .]_+ (ibid., §2).
    An image is its own positive at distance 0 where its identity has no other image in the batch.

    Parameters: features (B, D); labels (B,) integers. Raises ValueError where the batch holds one identity only.
    """
    everyone, everyone_labels = gathered(features), gathered(labels)
    distances = pairwise_distances(features, everyone)  # (B, all)
    same = labels[:, None] == everyone_labels[None, :]
    farthest = distances.masked_fill(~same, -torch.inf).amax(1)
    nearest = distances.masked_fill(same, torch.inf).amin(1)
    if margin is None:
        return F.softplus(farthest - nearest).mean()
    return F.relu(margin + farthest - nearest).mean()


@in_float32
def centre_loss(features: Tensor, labels: Tensor, centres: Tensor) -> Tensor:
    """Half the mean squared distance to the centre of one's identity (Wen et al. 2016, Eq. 2, divided by B).

    L = 1/(2B) sum_i |f_i - c_{y_i}|^2.   Parameters: features (B, D), labels (B,), centres (N, D), a parameter.
    """
    return 0.5 * (features - centres[labels]).square().sum(1).mean()


@in_float32
def pixel_mse(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Squared error between two pictures, averaged over the batch (SING Eq. 2, JBIM Eq. 2).

    ``"sum"``: L = 1/B sum_i |x_i - y_i|_F^2, the papers' Frobenius norm; it grows with the number of pixels, which is
    why public code divides the learning rate by 10^7. ``"mean"``: the same divided by the 3 H W values of a picture.

    Parameters: output, target (B, 3, H, W) in [0, 1].
    """
    if output.shape != target.shape:
        raise ValueError(f"pictures of different shapes: {tuple(output.shape)} and {tuple(target.shape)}")
    errors = (output - target).square()
    if reduction == "mean":
        return errors.mean()
    if reduction == "sum":
        return errors.sum() / len(output)
    raise ValueError(f"reduction is 'mean' or 'sum', not {reduction!r}")


@in_float32
def foreground_loss(output: Tensor, target: Tensor, mask: Tensor, reduction: str = "mean") -> Tensor:
    """Squared error where the mask says that the person is (RIPR Eq. 5).

    ``"sum"``: L = 1/B sum_i |M_i (x_i - y_i)|^2, as printed; ``"mean"``: the same divided by the 3 H W values of a
    picture, whatever the mask. With a mask of ones it is :func:`pixel_mse`.

    Parameters: output, target (B, 3, H, W) in [0, 1]; mask (B, 1, H, W) in [0, 1]. ValueError for other shapes.
    """
    if output.shape != target.shape or mask.shape != (len(output), 1, *output.shape[2:]):
        shapes = ", ".join(str(tuple(some.shape)) for some in (output, target, mask))
        raise ValueError(
            f"pictures, originals and masks of shapes {shapes}: (B, 3, H, W) twice and (B, 1, H, W) expected"
        )
    return pixel_mse(mask * output, mask * target, reduction)


@in_float32
def resolution_weighting(weights: Tensor, resolution: Tensor) -> Tensor:
    """How far the streams' weights are from the image's resolution (RIPR Eq. 7, summed over the T blocks of Eq. 9).

    L = 1/B sum_i sum_t [ (w^L_it - (1 - r_i))^2 + (w^H_it - r_i)^2 ]

    Parameters: weights (B, T, 2), the columns low and high; resolution r (B,) in [0, 1]. ValueError for other shapes.
    """
    if weights.ndim != 3 or weights.shape[2] != 2 or resolution.shape != weights.shape[:1]:
        shapes = f"{tuple(weights.shape)} and {tuple(resolution.shape)}"
        raise ValueError(f"weights and resolutions of shapes {shapes}: (B, T, 2) and (B,) expected")
    wanted = torch.stack([1 - resolution, resolution], 1)[:, None]  # (B, 1, 2)
    return (weights - wanted).square().sum((1, 2)).mean()


@in_float32
def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """What a discriminator minimises: L = -1/B sum_i [ log s(real_i) + log(1 - s(fake_i)) ], s the logistic function
    (Goodfellow et al. 2014, Eq. 1; SRGAN Eq. 2).

    Parameters: logits (B,) of true pictures and of made ones, the latter without gradient to who made them.
    """
    return F.softplus(-real).mean() + F.softplus(fake).mean()


@in_float32
def generator_loss(fake: Tensor) -> Tensor:
    """What a generator minimises: L = -1/B sum_i log s(fake_i) (SRGAN Eq. 6, averaged over the batch)."""
    return F.softplus(-fake).mean()
