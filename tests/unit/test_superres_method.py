"""The training of super-resolution networks, what is put before a method, and the estimate of a picture's size."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import training_helpers as helpers

from lib.data import load_dataset, make_protocol
from lib.data.batches import Batch
from lib.data.resolution import degrade
from lib.evaluation import extract
from lib.experiments import superres
from lib.losses import discriminator_loss, generator_loss
from lib.methods import create_method
from lib.methods.ensemble import AdaptiveEnsemble
from lib.methods.superres import create_network
from lib.methods.wrapped import Beside, SuperResolved, Swapped
from lib.models.backbones import create_backbone
from lib.models.dgd import DGD
from lib.models.sharpness import Sharpness, band_energies
from lib.training import fit


def built(**settings):
    torch.manual_seed(0)
    method = create_method("superres", **{"canvas": (32, 16), **settings})
    method.setup("quick", 4)
    return method


def batch_of(count: int = 6, size: tuple[int, int] = (32, 16)) -> Batch:
    torch.manual_seed(1)
    hr = torch.rand(count, 3, *size)
    return helpers.training_batch(hr, lr=degrade(hr, 0.5))


# ---- the losses


def test_adversarial_losses_are_cross_entropies():
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 0.0])
    s = torch.sigmoid
    torch.testing.assert_close(discriminator_loss(real, fake), -(s(real).log().mean() + (1 - s(fake)).log().mean()))
    torch.testing.assert_close(generator_loss(fake), -s(fake).log().mean())
    assert discriminator_loss(torch.zeros(4), torch.zeros(4)) == pytest.approx(2 * math.log(2))


def test_the_discriminator_and_the_generator_each_learn_from_their_own_loss():
    method, batch = built(network="srgan-narrow", ratios=(0.5,), adversarial=1e-3), batch_of()
    for term, reached in (("adversarial", {"sr"}), ("discriminator", {"discriminator"}), ("pixel", {"sr"})):
        method.zero_grad()
        method.losses(batch, method.stages[0])[term].backward()
        assert {n.split(".")[0] for n, p in method.named_parameters() if p.grad is not None} == reached
    assert method.stages[0].trains == ("sr", "discriminator")


def test_a_content_network_is_not_trained():
    method = built(network="srgan-narrow", ratios=(0.5,), content="bottleneck-8-1")
    assert method.first_weights() == {"content": "pedestrians"} and method.stages[0].trains == ("sr",)
    assert method.losses(batch_of(), method.stages[0]).keys() == {"pixel", "content"}
    assert built(content="vgg19").first_weights() == {"content": "imagenet"}


def test_drcn_is_asked_at_every_recursion():
    method, batch = built(network="drcn-narrow"), batch_of()
    terms = method.losses(batch, method.stages[0])
    pictures, final = method.sr.predictions(batch.at(0.5))
    every = sum((p - batch.hr).square().mean() for p in pictures) / len(pictures)
    torch.testing.assert_close(terms["recursions"], every)
    torch.testing.assert_close(terms["pixel"], (final - batch.hr).square().mean())


def test_interpolation_has_nothing_to_learn(tmp_path):
    method = create_method("superres", network="bicubic", canvas=(32, 16))
    run = fit(method, helpers.tiny_protocol(), seed=0, runs=tmp_path, progress=False, device="cpu")
    assert len(run.history) == 0


def test_networks_on_the_small_picture_get_the_scale_of_the_ratio():
    assert create_network("fsrcnn", 1 / 3).scale == 3 and create_network("rcan-light", 1 / 4).scale == 4
    assert create_network("srcnn", 1 / 4).scale is None
    with pytest.raises(ValueError, match=r"ratios to restore from lie in \(0, 1\]"):
        create_method("superres", ratios=(1.0,))


# ---- before a method


def test_super_resolved_sends_probes_through_and_leaves_the_gallery():
    method = create_method("histogram", canvas=(32, 16))
    method.setup("quick", 1)

    class Darker(torch.nn.Module):
        def forward(self, images):
            return images / 2

    both, images = SuperResolved(method, Darker()), torch.rand(3, 3, 32, 16)
    torch.testing.assert_close(both.embed(Batch(images), "probe"), method.embed(Batch(images / 2), "probe"))
    torch.testing.assert_close(both.embed(Batch(images), "gallery"), method.embed(Batch(images), "gallery"))


def test_each_picture_is_restored_once_for_all_readers():
    class Inverted(torch.nn.Module):
        pictures = 0

        def forward(self, images):
            self.pictures += len(images)
            return 1 - images

    protocol = make_protocol(load_dataset("pedestrians", identities=12), "plain")
    readers = {
        name: create_method("histogram", canvas=(32, 16), stripes=stripes)
        for name, stripes in (("few", 2), ("many", 4))
    }
    for reader in readers.values():
        reader.setup("quick", 1)
    sr, rows = Inverted(), protocol.rows("test", "probe")
    found = superres.described(sr, readers, protocol, 1 / 4)
    assert list(found) == ["few", "many", superres.PIXELS] and sr.pictures == len(rows)
    for name, reader in readers.items():
        alone = extract(SuperResolved(reader, Inverted()), protocol, rows, 1 / 4, "probe")
        np.testing.assert_array_equal(found[name], alone)
    enlarged = extract(superres.pixels((32, 16)), protocol, rows, 1 / 4)
    np.testing.assert_allclose(found[superres.PIXELS], 1 - enlarged, atol=1e-6)
    with pytest.raises(ValueError, match="descriptors of 7 numbers"):
        Beside(*readers.values()).split(np.zeros((2, 7), np.float32))


def test_a_wrapper_forwards_what_it_does_not_change():
    """Canvas, enlargement, what it was trained on, features and distance: RIPR's "bilinear" keeps its kernel."""
    torch.manual_seed(0)
    ripr = create_method("ripr", network="bilinear", backbone="bottleneck-8-1", canvas=(32, 16))
    ripr.setup("quick", 4)
    ripr.trained_on = ("abc", frozenset({"0001"}))
    for wrapped in (
        SuperResolved(ripr, torch.nn.Identity()),
        Swapped(ripr),
        AdaptiveEnsemble([ripr, ripr], (0.5, 0.25)),
    ):
        assert (
            wrapped.enlargement == "bilinear" and wrapped.canvas == (32, 16) and wrapped.trained_on == ripr.trained_on
        )
        assert wrapped.profile == "quick" and wrapped.stages == []
        descriptors = wrapped.eval().embed(Batch(torch.rand(3, 3, 32, 16)), "probe")
        assert wrapped.distance(descriptors, descriptors).shape == (3, 3)
        assert wrapped.features(descriptors).shape[1] % ripr.backbone.channels == 0
    other = create_method("ripr", network="bicubic", backbone="bottleneck-8-1", canvas=(32, 16))
    other.setup("quick", 4)
    with pytest.raises(ValueError, match="different kernels"):
        AdaptiveEnsemble([ripr, other], (0.5, 0.25))


# ---- how much a picture shows


def test_a_wave_is_in_its_own_band():
    x = torch.arange(64) / 64
    for cycles, band in ((4, 1), (20, 7)):  # 32 frequencies in 12 bands of 2.67
        wave = (0.5 + 0.4 * torch.sin(2 * math.pi * cycles * x)).expand(1, 3, 32, 64)
        assert band_energies(wave)[0, 12:].argmax() == band


def test_ratios_are_estimated_on_pictures_not_seen():
    people = load_dataset("pedestrians")
    pictures = torch.stack([torch.tensor(people.image(i)).permute(2, 0, 1) for i in range(0, 480, 8)]).float() / 255
    ratios = torch.tensor([1.0, 0.5, 1 / 3, 0.25]).repeat_interleave(len(pictures))
    seen = torch.cat([degrade(pictures, float(r)) for r in ratios.unique(sorted=False)])
    ratios = ratios.unique(sorted=False).repeat_interleave(len(pictures))
    even = torch.arange(len(seen)) % 2 == 0
    estimate = Sharpness().fit_ratios(seen[even], ratios[even])
    error = (estimate(seen[~even]).log2() - ratios[~even].log2()).abs()
    assert error.median() < 0.25  # a factor of 1.19
    with pytest.raises(ValueError, match="several"):
        Sharpness().fit_ratios(seen[:4], torch.ones(4))


# ---- DGD


def test_dgd_has_the_widths_and_the_map_of_its_table():
    with torch.device("meta"):
        network = DGD()
        widths = [module.channels for module in network.modules_4_to_6]
        assert widths == [256, 384, 512, 768, 1024, 1536]
        assert network.eval()(torch.zeros(1, 3, 144, 56)).shape == (1, 1536, 9, 4)
        assert create_backbone("dgd-quarter").channels == 384


def test_dgd_has_as_many_weights_as_its_table_says():
    def conv(inputs, outputs, kernel):
        return inputs * outputs * kernel**2 + 2 * outputs  # and the scale and shift of its normalisation

    table = [  # inputs, then the columns of the table
        (32, 64, 32, 64, 32, 64, 64), (256, 0, 32, 64, 32, 64, 0), (384, 128, 64, 128, 64, 128, 128),
        (512, 0, 64, 128, 64, 128, 0), (768, 256, 128, 256, 128, 256, 256), (1024, 0, 128, 256, 128, 256, 0),
    ]  # fmt: skip
    expected = conv(3, 32, 3) + 2 * conv(32, 32, 3)
    for inputs, one, reduce, three, reduce_double, double, project in table:
        expected += conv(inputs, reduce, 1) + conv(reduce, three, 3)
        expected += conv(inputs, reduce_double, 1) + conv(reduce_double, double, 3) + conv(double, double, 3)
        expected += (conv(inputs, one, 1) if one else 0) + (conv(inputs, project, 1) if project else 0)
    assert sum(p.numel() for p in DGD().parameters()) == expected
