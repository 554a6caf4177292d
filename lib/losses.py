"""Every loss, one function each, with its equation.

Letters: B images in the batch, D dimensions, N identities. All losses are computed in float32 at least, also under
autocast: in bfloat16 two distances that differ by less than 0.4 % are equal, and mining the hardest becomes a lottery.

Several processes: B counts the images of *all* of them. Each process holds a share, and shares need not be equal (a
stream of 10 images may be 7 here and 3 there, or none). A mean over B is therefore ``mean_over_processes``, and a
triplet's positives and negatives come from the batch of all (``gathered``): so the loss of two processes is the loss of
one with the whole batch. Both talk to the other processes, so every process computes every loss of a step, in the same
order, also of a stream of which it has no image. A stream without an image anywhere counts 0, with a gradient of 0.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor


def in_float32(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Run a loss outside autocast, its narrower floating-point tensors widened to float32; float64 stays."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        def widen(x):
            narrow = isinstance(x, Tensor) and x.is_floating_point() and x.dtype.itemsize < 4
            return x.float() if narrow else x

        device = next(a.device.type for a in (*args, *kwargs.values()) if isinstance(a, Tensor))
        with torch.autocast(device, enabled=False):
            return function(*map(widen, args), **{k: widen(v) for k, v in kwargs.items()})

    return wrapper


def several_processes() -> bool:
    """Whether this process trains together with others."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def mean_over_processes(values: Tensor) -> Tensor:
    """Mean of ``values`` (B, ...) over the images of all processes, as a loss term (): 0 where there is no image.

    In one process that is ``values.mean()``. In several, each returns its own sum x processes / (number of values of
    all), so that the *mean* over the processes, which is what DistributedDataParallel makes of gradients, is right also
    where they hold different numbers of images; the mean over a process's own images would weigh those of a small share
    more. Call it in every process, also for an empty share.
    """
    if not several_processes():
        return values.mean() if len(values) else values.sum()
    images = torch.tensor(float(len(values)), device=values.device)
    dist.all_reduce(images)
    each = max(1, values[:1].numel()) if len(values) else 1  # values of one image
    return values.sum() * (dist.get_world_size() / each) / images.clamp(min=1)


class _Gather(torch.autograd.Function):
    """All processes' rows below each other; the gradient of a row is the sum over the processes that used it."""

    @staticmethod
    def forward(ctx, rows: Tensor, counts: list[int]) -> Tensor:
        # all_gather wants equal shapes: shares are filled up to the largest and cut again
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        ctx.counts = counts
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient.split(ctx.counts)[dist.get_rank()], None


def gathered(*tensors: Tensor) -> list[Tensor]:
    """Each (B, ...) of this process -> (sum of all B, ...) of all processes, in rank order; as it is in one process.

    The tensors have the same number of rows here; other processes may have another, or none. Gradients flow back to the
    process that owns a row. Call it in every process. On GPUs this waits once, for the numbers of rows.
    """
    if not several_processes():
        return list(tensors)
    count = torch.tensor([len(tensors[0])], device=tensors[0].device)
    counts = [torch.empty_like(count) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, count)
    counts = torch.cat(counts).tolist()
    return [_Gather.apply(rows, counts) for rows in tensors]


def _weighted(values: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return values
    if weights.shape != values.shape:
        raise ValueError(f"weights of shape {tuple(weights.shape)} for {len(values)} images: one weight per image")
    return weights * values


@in_float32
def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy with label smoothing, averaged over the batch.

    L = -1/B sum_i w_i sum_n q_in log p_in,   p_i = softmax(logits_i),   q_in = (1 - s) [n = y_i] + s / N
    (Szegedy et al. 2016, §7; SING Eq. 3 and the first term of JBIM Eq. 5 with s = 0).

    Parameters: logits (B, N); labels (B,) int64 in [0, N); smoothing s in [0, 1); weights w (B,), 1 by default, with
    gradient where they have one: they multiply each image's term and the mean stays one over B, not over sum_i w_i (a
    convex mixture of two streams, FTWA Eq. 5, brings weights that add up to 1 per image). ValueError for another s, and
    for weights of another shape.
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"label smoothing lies in [0, 1), not {smoothing}")
    values = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")  # (B,)
    return mean_over_processes(_weighted(values, weights))


@in_float32
def pairwise_distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances (A, D), (B, D) -> (A, B): d_ij = sqrt(max(|a_i|^2 + |b_j|^2 - 2 a_i . b_j, 1e-12)).

    The floor keeps the gradient of the square root finite where two descriptors are equal; without a gradient it is 0.
    """
    squared = a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.T
    return squared.clamp(min=1e-12 if squared.requires_grad else 0.0).sqrt()


@in_float32
def batch_hard_triplet(
    features: Tensor, labels: Tensor, margin: float | None = 0.3, weights: Tensor | None = None
) -> Tensor:
    """For each image its farthest positive against its nearest negative (Hermans et al. 2017, Eq. 5).

    L = 1/B sum_i w_i [ m + max_{j: y_j = y_i} d_ij - min_{j: y_j != y_i} d_ij ]_+
    With ``margin=None`` the soft margin log(1 + exp(.)) replaces [m + .]_+ (ibid., §2).
    An image is its own positive at distance 0 where its identity has no other image in the batch.

    Parameters: features (B, D); labels (B,) integers; weights w (B,), 1 by default: they multiply each anchor's term
    and the mean stays one over B, as in ``cross_entropy``. ValueError for weights of another shape, and where the batch
    (of all processes) holds one identity only; on a GPU, which would have to be waited for, the loss is then NaN.
    """
    everyone, everyone_labels = gathered(features, labels)
    if not len(everyone):
        return mean_over_processes(features.sum(1))
    one_identity = (everyone_labels == everyone_labels[0]).all()
    if one_identity.device.type == "cpu" and one_identity:
        raise ValueError(
            f"a triplet needs images of two people, and all {len(everyone)} of this batch show one: "
            "use batches of more identities, or leave the triplet loss out"
        )
    distances = pairwise_distances(features, everyone)  # (B, all)
    same = labels[:, None] == everyone_labels[None, :]
    farthest = distances.masked_fill(~same, -torch.inf).amax(1)
    nearest = distances.masked_fill(same, torch.inf).amin(1)
    gaps = farthest - nearest
    values = F.softplus(gaps) if margin is None else F.relu(margin + gaps)  # (B,)
    return mean_over_processes(_weighted(values, weights).masked_fill(one_identity, torch.nan))


READINGS = ("anchor", "scalar", "batch")  # of FTWA's Eq. 7


@in_float32
def pair_shares(
    high: Tensor, low: Tensor, labels: Tensor, log_weights: Tensor, on_low: Tensor, reading: str = "anchor"
) -> Tensor:
    """What each stream's triplet counts at each anchor in FTWA's Eq. 7: (B, 2), the columns high and low, for
    ``batch_hard_triplet(high, labels, margin, weights=shares[:, 0])`` and the same of ``low``, which are then added.

    Eq. 7, (w_HR w'_HR L_HR + w_LR w'_LR L_LR) / (w_HR w'_HR + w_LR w'_LR), multiplies weights of images with losses of
    a batch. With a, b the weights of an image's high and low vector, and p an anchor's farthest positive:

    "anchor" : a_i a_p / (a_i a_p + b_i b_p) and 1 minus it (p of each stream's own): a pair's streams are weighed
        against each other, and no pair against another.
    "scalar" : A / (A + B) and B / (A + B) at every anchor, A the mean of a over the images of the high-resolution side
        times that over the low side, B of b; where one side has no image, both means are over all.
    "batch" : a_i a_p / m and b_i b_p / m, m the mean over anchors of a_i a_p + b_i b_p: one quotient of sums over the
        batch. The weights alone can then lower the loss of fixed vectors, by asking only anchors that are right.

    Parameters: vectors (B, D); labels (B,); log_weights (B, 2), log a and log b, of which no quotient is 0/0; on_low
    (B,) bool, whether an image is on the low-resolution side. ValueError for another reading.
    """
    if reading not in READINGS:
        raise ValueError(f"unknown reading {reading!r} of Eq. 7; known: {', '.join(READINGS)}")
    every_high, every_low, every_label, every_weight, every_side = gathered(
        high, low, labels, log_weights, on_low.to(log_weights.dtype)
    )
    if reading == "scalar":
        sides = [every_weight[every_side == side] for side in (0.0, 1.0)]
        sides = sides if all(len(side) for side in sides) else [every_weight, every_weight]
        products = sum(side.logsumexp(0) for side in sides)  # (2,); both have as many images
        return products.softmax(0).expand(len(labels), 2)

    def products(some: Tensor, some_labels: Tensor, some_weights: Tensor) -> Tensor:
        """(b, 2): log a_i a_p and log b_i b_p."""
        other = some_labels[:, None] != every_label
        positives = [
            pairwise_distances(one.detach(), every.detach()).masked_fill(other, -torch.inf).argmax(1)
            for one, every in zip(some, (every_high, every_low), strict=True)
        ]
        return some_weights + torch.stack([every_weight[p, k] for k, p in enumerate(positives)], 1)

    own = products((high, low), labels, log_weights)
    if reading == "anchor":
        return own.softmax(1)
    everyone = products((every_high, every_low), every_label, every_weight)
    return (own - everyone.logsumexp((0, 1)) + math.log(len(every_label))).exp()


@in_float32
def stream_balance(log_weights: Tensor) -> Tensor:
    """How far the weights of two streams are from equal ones: L = 1/B sum_i [ log 2 + sum_s w_is log w_is ], in
    [0, log 2], w_i the two weights of an image divided by their sum.

    Ours, not FTWA's. Eq. 5 is linear in the shares and least where all weight is on the stream with the lower loss, by
    however little. A mean of sum_s w_is L_is over the same images, with t times this term added, is least where w_is is
    in proportion to exp(-L_is / t); Eq. 5 adds the means of two sides, which with as many images on each makes it
    exp(-2 L_is / t).

    Parameters: log_weights (B, 2), finite.
    """
    logs = log_weights.log_softmax(1)
    return mean_over_processes(math.log(2) + (logs.exp() * logs).sum(1))


@in_float32
def weighted_regularised_triplet(features: Tensor, labels: Tensor, itself: bool = False) -> Tensor:
    """For each image all its positives against all its negatives, the harder the more (Ye et al., TPAMI 2021, §4).

    L = 1/B sum_i log(1 + exp( sum_p w^p_ip d_ip - sum_n w^n_in d_in ))
    w^p_i = softmax(d_i) over the positives of i,   w^n_i = softmax(-d_i) over its negatives; gradients flow through w.

    No margin: the soft-plus asks for more of it, ever more weakly. ``itself``: whether an image is among its own
    positives, at distance 0, as in the code of the paper's authors; the paper's text does not say so. An image is its
    own positive anyhow where its identity has no other image in the batch, as in ``batch_hard_triplet``: what is left
    then is to keep away from the others.

    Parameters: features (B, D); labels (B,) integers. ValueError where the batch (of all processes) holds one identity
    only, so that nobody has a negative; on a GPU, which would have to be waited for, the loss is then NaN.
    """
    rank = dist.get_rank() if several_processes() else 0
    numbers = torch.arange(len(labels), device=labels.device) + (rank << 32)  # of images, among all processes
    everyone, everyone_labels, everyone_numbers = gathered(features, labels, numbers)
    if not len(everyone):
        return mean_over_processes(features.sum(1))
    if labels.device.type == "cpu" and (everyone_labels == everyone_labels[0]).all():
        raise ValueError(
            f"a triplet needs images of two people, and all {len(everyone)} of this batch show one: "
            "use batches of more identities, or leave the triplet loss out"
        )
    own = numbers[:, None] == everyone_numbers  # (B, all)
    distances = pairwise_distances(features, everyone).masked_fill(own, 0.0)  # (B, all)
    negative = labels[:, None] != everyone_labels
    positive = ~negative if itself else ~negative & ~own
    positive = positive | (own & ~positive.any(1, keepdim=True))

    def weighted(sign: int, which: Tensor) -> Tensor:
        weights = (sign * distances).masked_fill(~which, -torch.inf).softmax(1)
        return (weights * distances).sum(1)

    return mean_over_processes(F.softplus(weighted(1, positive) - weighted(-1, negative)))


@in_float32
def centre_loss(features: Tensor, labels: Tensor, centres: Tensor) -> Tensor:
    """Half the mean squared distance to the centre of one's identity (Wen et al. 2016, Eq. 2, divided by B).

    L = 1/(2B) sum_i |f_i - c_{y_i}|^2.   Parameters: features (B, D), labels (B,), centres (N, D), a parameter.
    """
    return mean_over_processes(0.5 * (features - centres[labels]).square().sum(1))


@in_float32
def pixel_mse(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Squared error between two pictures, averaged over the batch (SING Eq. 2, JBIM Eq. 2).

    ``"sum"``: L = 1/B sum_i |x_i - y_i|_F^2, the papers' Frobenius norm; it grows with the number of pixels, which is
    why public code divides the learning rate by 10^7. ``"mean"``: the same divided by the 3 H W values of a picture.

    Parameters: output, target (B, 3, H, W) in [0, 1]. ValueError for other shapes and reductions.
    """
    if output.shape != target.shape:
        raise ValueError(f"pictures of different shapes: {tuple(output.shape)} and {tuple(target.shape)}")
    errors = (output - target).square()
    if reduction == "mean":
        return mean_over_processes(errors)
    if reduction == "sum":
        return mean_over_processes(errors.flatten(1).sum(1))
    raise ValueError(f"reduction is 'mean' or 'sum', not {reduction!r}")


@in_float32
def pixel_l1(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Absolute error between two pictures, or feature maps, averaged over the batch (PS-HRNet Eq. 5, FTWA Eq. 2).

    ``"sum"``: L = 1/B sum_i |x_i - y_i|_1, a sum over all values of an image, as printed (by PS-HRNet also over the
    batch; of a ResNet-50's maps one of 262,144 values, far above every other loss); ``"mean"``: the same divided by
    their number, as in PS-HRNet's code.

    Parameters: output, target (B, ...). ValueError for other shapes and reductions.
    """
    if output.shape != target.shape:
        raise ValueError(f"L1 of different shapes: {tuple(output.shape)} and {tuple(target.shape)}")
    errors = (output - target).abs()
    if reduction == "mean":
        return mean_over_processes(errors)
    if reduction == "sum":
        return mean_over_processes(errors.flatten(1).sum(1))
    raise ValueError(f"reduction is 'mean' or 'sum', not {reduction!r}")


def siamese_l1(teacher: Sequence[Tensor], pupil: Sequence[Tensor], reduction: str = "mean") -> Tensor:
    """How far a pupil's features and logits are from a teacher's (PS-HRNet Eq. 11): the sum over the chosen elements of

    L = 1/B sum_i |C^h_i - C^l_i|_1, for ``"mean"`` divided by the D values of the element.

    Parameters: elements (B, D), each with a D of its own. ValueError where their numbers or shapes differ, for none,
    and for another reduction.
    """
    if not len(teacher) == len(pupil) > 0:
        raise ValueError(f"{len(teacher)} elements of the teacher, {len(pupil)} of the pupil: as many, at least one")
    return torch.stack([pixel_l1(b, a, reduction) for a, b in zip(teacher, pupil, strict=True)]).sum()


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
    return mean_over_processes((weights - wanted).square().sum((1, 2)))


@in_float32
def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """What a discriminator minimises: L = -1/B sum_i [ log s(real_i) + log(1 - s(fake_i)) ], s the logistic function
    (Goodfellow et al. 2014, Eq. 1; SRGAN Eq. 2).

    Parameters: logits (B,) of true pictures and of made ones, the latter without gradient to who made them.
    """
    return mean_over_processes(F.softplus(-real)) + mean_over_processes(F.softplus(fake))


@in_float32
def generator_loss(fake: Tensor) -> Tensor:
    """What a generator minimises: L = -1/B sum_i log s(fake_i) (SRGAN Eq. 6, averaged over the batch)."""
    return mean_over_processes(F.softplus(-fake))
