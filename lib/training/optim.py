"""Which parameters of a method learn in a stage, and the optimiser that moves them."""

from __future__ import annotations

import torch
from torch import nn

from lib.methods.stages import Stage


def select_trainable(method: nn.Module, stage: Stage, never: frozenset[str] = frozenset()) -> None:
    """Set ``requires_grad`` and train/eval mode of every part as ``stage.trains`` says.

    Frozen parts run in evaluation mode: their batch statistics stay as they are. ``never`` names the parameters that
    a method itself has frozen for good. Raises ValueError for a name that the method does not have.
    """
    modules, parameters = dict(method.named_modules(remove_duplicate=False)), dict(method.named_parameters())
    method.eval()
    learning: set[int] = set()  # by identity: streams with shared weights own the same parameter under several names
    for name in stage.trains:
        if name in modules:
            modules[name].train()
            learning |= {id(p) for p in modules[name].parameters()}
        elif name in parameters:
            learning.add(id(parameters[name]))
        else:
            children = ", ".join(n for n, _ in method.named_children())
            raise ValueError(
                f"stage {stage.name!r} trains {name!r}, which {type(method).__name__} lacks; parts: {children}"
            )
    if any(name == "" for name in stage.trains):
        method.train()
    for name, parameter in parameters.items():
        parameter.requires_grad_(id(parameter) in learning and name not in never)


def create_optimizer(method: nn.Module, stage: Stage) -> torch.optim.Optimizer:
    """SGD, Adam or AdamW over what learns; one group per learning-rate multiplier, each with its ``multiplier``."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in method.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(_multiplier(name, stage.lr_multipliers), []).append(parameter)
    if not groups:
        raise ValueError(f"stage {stage.name!r} trains {stage.trains}: no parameter learns")
    options = {"lr": stage.lr, "weight_decay": stage.weight_decay, "fused": True}  # fused: one kernel for all weights
    settings = [{"params": p, "multiplier": m} for m, p in sorted(groups.items())]
    if stage.optimizer == "sgd":
        return torch.optim.SGD(settings, momentum=stage.momentum, **options)
    return (torch.optim.AdamW if stage.optimizer == "adamw" else torch.optim.Adam)(settings, **options)


def _multiplier(name: str, multipliers: dict[str, float]) -> float:
    owners = [part for part in multipliers if name == part or name.startswith(part + ".")]
    return multipliers[max(owners, key=len)] if owners else 1.0


def set_rate(optimizer: torch.optim.Optimizer, stage: Stage, epoch: float) -> float:
    """Set the rate for a moment of the stage (epochs, in fractions) and return it: the schedule has no other state."""
    rate = stage.lr * stage.schedule.factor(epoch, stage.epochs)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["multiplier"]
    return rate
