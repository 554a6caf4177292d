"""What is left of an HRNet's branches: a dead one is seen, and what is compared differs in its first weights alone."""

import pytest
import torch

from lib.data import load_dataset
from lib.experiments import hrnet_branches
from lib.experiments.controls import BASELINE
from lib.experiments.hrnet_branches import KEPT, PICTURES, SHIPS, shown, spread, studies, table
from lib.methods.baseline import Baseline
from lib.models.hrnet import create_branches
from lib.training import fit
from lib.training.pretrain import pretraining_set


@pytest.mark.parametrize("dead", range(4))
def test_a_dead_branch_has_no_spread(dead):
    torch.manual_seed(0)
    network, pictures = create_branches("hrnet-w8"), torch.rand(6, 3, 64, 32)
    alive = spread(network, pictures)
    assert list(alive.index) == ["1/4", "1/8", "1/16", "1/32"] and (alive > 0.01).all() and not network.training
    with torch.no_grad():
        maps = network.maps(pictures)
    by_hand = [one.permute(1, 0, 2, 3).reshape(one.shape[1], -1).std(1).mean().item() for one in maps]
    assert alive.tolist() == pytest.approx(by_hand, rel=1e-5)
    for parameter in network.incre_modules[dead].parameters():
        parameter.data.mul_(1e-12)
    left = spread(network, pictures)
    assert left.iloc[dead] < 1e-9 and (left.drop(left.index[dead]) == alive.drop(alive.index[dead])).all()


def test_decay_in_the_gradient_takes_what_the_loss_asks_nothing_of():
    """The reason, alone: Adam shrinks a weight without a gradient by the rate in every step, AdamW does not."""
    left = {}
    for name, decay in ((torch.optim.Adam, 5e-4), (torch.optim.Adam, 0.0), (torch.optim.AdamW, 0.01)):
        weight = torch.full((1,), 0.05, requires_grad=True)
        optimizer = name([weight], lr=4e-3, weight_decay=decay)
        for _ in range(100):
            weight.grad = torch.zeros(1)
            optimizer.step()
        left[name.__name__, decay] = weight.item()
    assert abs(left["Adam", 5e-4]) < 1e-3 and left["Adam", 0.0] == pytest.approx(0.05)
    assert left["AdamW", 0.01] == pytest.approx(0.05 * (1 - 4e-5) ** 100, rel=1e-4)


def test_only_the_first_weights_are_different(monkeypatch, tmp_path):
    monkeypatch.setenv("REID_RUNS", str(tmp_path))
    people = load_dataset("pedestrians", identities=40)
    pictures = shown(people)
    assert pictures.shape[1:] == (3, 96, 48) and len(pictures) <= PICTURES and 0 <= pictures.min() < pictures.max() <= 1
    start = Baseline(backbone="hrnet-w8", canvas=(64, 32), epochs=1, weight_decay=0.0)
    kept = fit(start, pretraining_set("quick"), "quick", seed=0, progress=False)
    some = studies(people, kept, profile="quick")
    assert set(some) == {"mlr", "plain"} and all(list(one.rows) == [SHIPS, KEPT, BASELINE] for one in some.values())
    for study in some.values():
        (ships,), (other,) = (study.trained(name).all_runs for name in (SHIPS, KEPT))
        a, b = (dict(run.method.told) for run in (ships, other))
        assert a.pop("weights") != b.pop("weights") and a == b
    found = table(some)
    assert len(found) == 6 and (found["trainings"] == 1).all()
    low = some["mlr"]
    a, b = (low.results(name)[0].rank(1) for name in (KEPT, BASELINE))
    line = found[(found["name"] == KEPT) & (found["what"] == f"rank-1 minus {BASELINE}") & (found["preset"] == "mlr")]
    assert line["mean"].item() == pytest.approx(a - b)


def test_the_pretraining_is_that_of_the_file_but_for_the_decay(monkeypatch):
    asked = {}
    monkeypatch.setattr(hrnet_branches, "first_people", lambda plan: plan)
    monkeypatch.setattr(hrnet_branches, "fit", lambda method, people, profile, **how: asked.update(method=method))
    hrnet_branches.without_decay()
    usual = hrnet_branches.pretraining_method(hrnet_branches.NETWORK, hrnet_branches.CANVAS, hrnet_branches.PLAN)
    assert asked["method"].told == usual.told | {"weight_decay": 0.0} and usual.settings_for("course").weight_decay > 0
