"""Two metrics in closed form, on descriptors that are given: XQDA (Liao et al. 2015), NFST (Zhang et al. 2016).

Both end in a projection: the squared Euclidean distance between projected descriptors is the learned one. Both work
inside the span of the training data: a direction in which no two training images differ has no scatter of any kind,
so no criterion can choose it. With it left out, D = 26,960 dimensions become fewer than N images, nothing is lost, and
the cost is O(N^2 D) instead of O(D^3).

Letters: P probes, G gallery images, N images, D dimensions, C identities, r the dimension of the span, d of the
projection. All is computed in float64 and returned in float32.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

EPS64 = torch.finfo(torch.float64).eps
Labels = Tensor | Sequence[int]


def xqda(
    probes: Tensor, gallery: Tensor, probe_labels: Labels, gallery_labels: Labels, regularisation: float = 1e-3
) -> Tensor:
    """Cross-view Quadratic Discriminant Analysis (Liao et al., CVPR 2015, §4.2-4.3): (P, D), (G, D) -> (D, d).

    Differences between a probe and a gallery image of one person have covariance S_I, those of two persons S_E
    (``difference_covariances``). W holds the directions in which persons differ more than one person does,

        S_E w = lambda (S_I + regularisation) w,   lambda > 1,

    and the squared distance is the log-likelihood ratio of the two Gaussians inside them (Eq. 9-13),

        (x - z)^T W M W^T (x - z),   M = (W^T S_I W)^-1 - (W^T S_E W)^-1.

    Any W with these columns spans the same space and gives the same distance; we take W^T S_I W = 1, where
    M = 1 - 1/lambda is diagonal. What is returned is W M^(1/2).

    At least one direction is kept. If its lambda is not above 1, its M is negative: cut to 0, and because then all
    distances are 0, a RuntimeWarning says so.

    regularisation : added to the diagonal of S_I, in the units of the descriptors squared. The paper's 0.001 is for
        LOMO's unit lengths; it has to be smaller than what distinguishes persons.

    ValueError: shapes and labels that do not fit, NaN, fewer than two identities, nobody seen in both views.
    """
    probes, probe_labels = checked(probes, probe_labels, "probe")
    gallery, gallery_labels = checked(gallery, gallery_labels, "gallery")
    if probes.shape[1] != gallery.shape[1]:
        raise ValueError(f"probes have {probes.shape[1]} dimensions, the gallery has {gallery.shape[1]}")
    if not regularisation > 0:
        raise ValueError(f"regularisation must be positive, not {regularisation}: S_I is singular without it")
    basis = span(torch.cat([probes, gallery]))[0]  # (D, r)
    # only differences of images count from here on, so the mean need not be taken off
    intra, extra = difference_covariances(probes @ basis, gallery @ basis, probe_labels, gallery_labels)
    intra = intra + regularisation * torch.eye(len(intra), dtype=intra.dtype, device=intra.device)
    ratios, directions = generalised_eigenvectors(extra, intra)
    keep = max(1, int((ratios > 1).sum()))
    metric = (1 - 1 / ratios[:keep].clamp(min=EPS64)).clamp(min=0)  # M's diagonal; lambda <= 0 is rounding
    if not metric.any():
        warnings.warn(
            f"XQDA found no direction in which two persons differ more than one: largest eigenvalue {ratios[0]:.3g}, "
            f"all distances are 0. Choose a regularisation well below the descriptors' variances (it was "
            f"{regularisation}) or scale the descriptors to length 1",
            RuntimeWarning,
            stacklevel=2,
        )
    return (basis @ (directions[:, :keep] * metric.sqrt())).float()


def difference_covariances(
    probes: Tensor, gallery: Tensor, probe_labels: Labels, gallery_labels: Labels
) -> tuple[Tensor, Tensor]:
    """S_I and S_E, (D, D) each: mean of (x - z)(x - z)^T over pairs of a probe x and a gallery image z (§4.3).

    S_I is over the pairs of one person, S_E over those of two. No pair is formed: with n_x the gallery images of x's
    person, n_z the probes of z's, X_c and Z_c the sums over the images of person c,

        sum over equal pairs = sum_x n_x x x^T + sum_z n_z z z^T - sum_c (X_c Z_c^T + Z_c X_c^T),

    all pairs are the same with everybody one person, and S_E is what is left of them: O((P + G) D^2).

    ValueError: fewer than two identities, or nobody seen in both views.
    """
    probe_labels = torch.as_tensor(probe_labels, device=probes.device)
    gallery_labels = torch.as_tensor(gallery_labels, device=probes.device)
    names, index = torch.cat([probe_labels, gallery_labels]).unique(return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"a metric between persons needs at least two identities, not {len(names)}")
    member = F.one_hot(index, len(names)).to(probes.dtype)  # (P + G, C)
    of_probe, of_gallery = member[: len(probes)], member[len(probes) :]
    per_probe, per_gallery = of_probe @ of_gallery.sum(0), of_gallery @ of_probe.sum(0)  # n_x (P,), n_z (G,)
    equal_pairs = float(per_probe.sum())
    if equal_pairs == 0:
        raise ValueError("no identity is both among the probes and in the gallery: within-person differences unknown")

    def summed(x_weights: Tensor | int, z_weights: Tensor | int, x_sums: Tensor, z_sums: Tensor) -> Tensor:
        mixed = x_sums.T @ z_sums
        return (probes.T * x_weights) @ probes + (gallery.T * z_weights) @ gallery - mixed - mixed.T

    intra = summed(per_probe, per_gallery, of_probe.T @ probes, of_gallery.T @ gallery)
    every = summed(len(gallery), len(probes), probes.sum(0, keepdim=True), gallery.sum(0, keepdim=True))
    return intra / equal_pairs, (every - intra) / (len(probes) * len(gallery) - equal_pairs)


def generalised_eigenvectors(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """a w = lambda b w for symmetric a and positive definite b, (r, r) each: lambda (r,), largest first, and W (r, r).

    With b = L L^T it is the ordinary problem of L^-1 a L^-T, so that W^T b W = 1 and W^T a W = diag(lambda).
    """
    root = torch.linalg.cholesky(b)
    half = torch.linalg.solve_triangular(root, a, upper=False)  # L^-1 a
    inner = torch.linalg.solve_triangular(root, half.T, upper=False)  # L^-1 a L^-T, since a is symmetric
    values, vectors = torch.linalg.eigh((inner + inner.T) / 2)
    return values.flip(0), torch.linalg.solve_triangular(root.T, vectors.flip(1), upper=True)


def nfst(features: Tensor, labels: Labels) -> Tensor:
    """Null Foley-Sammon Transform (Zhang, Xiang, Gong, CVPR 2016, §3; Bodesheim et al., CVPR 2013): (N, D) -> (D, d).

    Orthonormal directions w of which Fisher's criterion is infinite: w^T S_w w = 0 < w^T S_b w, with the scatter of the
    images around the mean of their identity, and of these means around the mean of all. In their projection each
    training identity is a single point. They are found in the span of the centred data, where S_b > 0 follows from
    S_w = 0, as the null space of the centred identities. Linear kernel, no parameter.

    d = C - 1 if the images are linearly independent (D >= N - 1 in general), less if D lies between N - C and that.

    ValueError: labels that do not fit, NaN, fewer than two identities, or an empty null space (D <= N - C).
    """
    given = features
    features, labels = checked(features, labels, "training")
    rounding = rounding_of(given)  # of the type before float64
    names, index = labels.unique(return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"a metric between persons needs at least two identities, not {len(names)}")
    member = F.one_hot(index, len(names)).to(features.dtype)  # (N, C)
    basis, coordinates = span(features, rounding)  # (D, r), (N, r)
    means = (member.T @ coordinates) / member.sum(0)[:, None]  # (C, r)
    within = coordinates - means[index]  # (N, r)
    _, sizes, directions = torch.linalg.svd(within, full_matrices=False)  # r < N, so (r,) and (r, r)
    rank = int((sizes > rounding).sum())
    count, dimensions, span_size = len(features), features.shape[1], basis.shape[1]
    if rank == span_size:
        raise ValueError(
            f"the null space is empty: {count} images of {len(names)} identities differ within the identities in "
            f"{rank} directions (at most {count - len(names)}), which is all that the {dimensions} dimensions of the "
            f"features span. Take features of more than {count - len(names)} independent dimensions, fewer images, "
            f"or XQDA, which needs no null space"
        )
    return (basis @ directions[rank:].T).float()


def span(data: Tensor, rounding: float | None = None) -> tuple[Tensor, Tensor]:
    """(N, D) -> an orthonormal basis (D, r) of the differences between its rows, and the centred rows in it, (N, r).

    QR of the (D, N) transpose, then the SVD of its small factor: the Gram matrix would be faster but squares the
    condition number. Directions in which the data are smaller than ``rounding`` are left out. ValueError: no direction.
    """
    rounding = rounding_of(data) if rounding is None else rounding
    tall, small = torch.linalg.qr((data - data.mean(0)).T)  # (D, k), (k, N), k = min(N, D)
    left, sizes, right = torch.linalg.svd(small, full_matrices=False)
    rank = int((sizes > rounding).sum())
    if rank == 0:
        raise ValueError(f"all {len(data)} features are the same: nothing tells the identities apart")
    return tall @ left[:, :rank], (sizes[:rank, None] * right[:rank]).T


def rounding_of(data: Tensor) -> float:
    """The singular value of (N, D) data below which there is only rounding.

    Rounding each entry to its type moves no singular value by more than eps times the Frobenius norm (Weyl); the
    decomposition in float64 adds errors of the order max(N, D) eps64. Without this, the seventh digit of float32
    descriptors would count as a direction in which identities differ, and NFST would choose exactly these.
    """
    return float(data.double().norm()) * max(torch.finfo(data.dtype).eps, max(data.shape) * EPS64)


def checked(features: Tensor, labels: Labels, name: str) -> tuple[Tensor, Tensor]:
    """Features (N, D) in float64 and labels (N,) on their device. ValueError: shapes that do not fit, NaN, infinity."""
    labels = torch.as_tensor(labels, device=features.device)
    if features.ndim != 2 or not features.is_floating_point() or not features.numel():
        raise ValueError(
            f"{name} features: floating-point (images, dimensions), not {features.dtype} of {tuple(features.shape)}"
        )
    if labels.shape != features.shape[:1]:
        raise ValueError(f"{len(features)} {name} features need as many labels, not labels {tuple(labels.shape)}")
    if not torch.isfinite(features).all():
        rows = (~torch.isfinite(features)).any(1).nonzero().flatten().tolist()
        raise ValueError(f"{name} features contain NaN or infinity, in {len(rows)} rows, the first is {rows[0]}")
    return features.double(), labels
