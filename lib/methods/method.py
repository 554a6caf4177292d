"""The contract of a method: how it trains and how it compares. Loop, data path and evaluation are everyone's.

Letters: B images in a batch, H x W the canvas, D dimensions of the descriptor, Q probes, G gallery images.

To add a method: subclass ``Method``; say in a frozen dataclass ``Settings`` what it can be told, with the paper's
values as defaults, and in ``PROFILES`` what the smaller profiles do otherwise; build the layers in ``build``, which
also sets ``canvas`` and ``stages``; return named loss terms from ``losses`` and descriptors from ``embed``; enter the
class in ``METHODS`` (``__init__.py``). What only has to be *tested* needs a ``canvas`` and ``embed(batch, role)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from torch import Tensor, nn

from lib.data.augmentation import Augmentation
from lib.data.batches import Batch
from lib.losses import pairwise_distances
from lib.methods.settings import plain, tidy
from lib.methods.stages import Solve, Stage, describe
from lib.names import PROFILES


class Method(nn.Module):
    """Base class.

    Attributes
    ----------
    name : short name, part of a run's directory.
    settings : what the constructor was told, and the defaults; after ``setup`` with the profile's values: what the
        constructor was told wins over the profile, and the profile over the defaults.
    canvas : (H, W) pixels that images are enlarged to.
    stages : the training steps in order.
    augmentation : what happens to training images.
    enlargement : the kernel that puts images on the canvas, where it is not the protocol's own.
    two_sides : whether it learns from images on both sides of the protocol (``Batch.low``, ``Batch.high``).
    trained_on : (fingerprint of the data set, identities) that ``fit`` trained it on, and the runs that its first
        weights are from; None before.
    trained_seed : the seed that ``fit`` trained it with; None before, and for a method without ``parameters``: one in
        closed form, where nothing is drawn and another seed would give the same.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """What every method can be told.

        weights : first weights, {part: source}. A part is a sub-module's name ("backbone", "sr", "head"); a source is a
            ``Run``, a run's directory, a file, "imagenet", or "pedestrians" (the pre-training on rendered people;
            "pedestrians-sharp": on sharp pictures of them only), see ``lib.training.weights``. What is called otherwise
            there: {"teacher": (run, "backbone")}.
        """

        weights: Mapping[str, Any] = field(default_factory=dict)

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # {profile: {setting: value}}

    name: str = "method"
    augmentation: Augmentation = Augmentation()
    enlargement: str | None = None
    two_sides: bool = False
    settings: Settings
    canvas: tuple[int, int]
    stages: list[Stage | Solve]
    profile: str | None = None
    num_identities: int | None = None
    trained_on: tuple[str, frozenset[str]] | None = None
    trained_seed: int | tuple[int, ...] | None = None

    def __init_subclass__(cls, **kwargs):
        """TypeError for ``Settings`` that are no dataclass made from ``Method.Settings``, and for ``PROFILES`` with a
        profile or setting that there is not.
        """
        super().__init_subclass__(**kwargs)
        if not issubclass(cls.Settings, Method.Settings) or "__dataclass_params__" not in vars(cls.Settings):
            raise TypeError(
                f"{cls.__name__}.Settings has to be a dataclass made from the base's: write @dataclass(frozen=True, "
                "kw_only=True) and below it class Settings(Method.Settings)"
            )
        known = {f.name for f in fields(cls.Settings)}
        unknown = sorted(set(cls.PROFILES) - set(PROFILES))
        unknown += [f"{p}: {name}" for p, said in cls.PROFILES.items() for name in said if name not in known]
        if unknown:
            raise TypeError(
                f"{cls.__name__}.PROFILES says {{profile: {{setting: value}}}}; there is no {', '.join(unknown)}. The "
                f"profiles are {', '.join(PROFILES)}, the settings {', '.join(sorted(known))}"
            )
        if "__init__" in cls.__dict__:
            cls.__init__ = _recording(cls.__init__)
        # what an editor and help() show: the settings, or the arguments of a constructor of one's own
        own = cls.__init__ is not Method.__init__
        shown = inspect.signature(cls.__init__ if own else cls.Settings)
        cls.__signature__ = shown.replace(parameters=list(shown.parameters.values())[own:])

    def __init__(self, **told: Any):
        """``told``: fields of ``Settings``; None means "not told" where the field does not take it.

        TypeError for a name that is no setting or a value of the wrong type; ValueError for one that makes no sense.
        """
        super().__init__()
        if not hasattr(self, "arguments"):
            self.arguments: dict[str, Any] = {}  # of a subclass' own constructor
        self.told = tidy(type(self).Settings, told, self.name)
        self.settings = type(self).Settings(**self.told)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, nn.Module) and callable(getattr(type(self), name, None)):
            raise AttributeError(f"{name!r} is a method of the contract: give this layer another name")
        super().__setattr__(name, value)

    def setup(self, profile: str, num_identities: int) -> None:
        """Settle the settings for a profile and build the layers; ``fit`` calls it under the seed. May be called again:
        it starts afresh. ValueError for an unknown profile, and where ``build`` left no ``canvas`` or no ``stages``.
        """
        self.profile, self.num_identities = check_profile(profile), num_identities
        self.settings = self.settings_for(profile)
        self.build(num_identities)
        canvas, stages = tuple(getattr(self, "canvas", ())), getattr(self, "stages", None)
        if len(canvas) != 2 or not all(isinstance(side, int) and side > 0 for side in canvas):
            raise ValueError(f"{self.name}: build() sets canvas to (H, W) in pixels; it is {canvas}")
        if not isinstance(stages, list):
            raise ValueError(f"{self.name}: build() sets stages to a list of Stage or Solve, which may be empty")

    @classmethod
    def defaults(cls, profile: str) -> Settings:
        """The settings of a profile: the dataclass' defaults, and what ``PROFILES`` of this class says otherwise."""
        return cls.Settings(**cls.PROFILES.get(check_profile(profile), {}))

    def settings_for(self, profile: str) -> Settings:
        """This method's settings in a profile."""
        return type(self).Settings(**{**self.PROFILES.get(check_profile(profile), {}), **self.told})

    def build(self, num_identities: int) -> None:
        """Make the layers for ``self.settings``, and set ``canvas``, ``stages`` and what else is not the default."""
        raise NotImplementedError(f"{type(self).__name__} defines no build()")

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        """Named scalar terms; their sum, weighted by ``stage.weights``, is minimised and each is logged."""
        raise NotImplementedError(f"{type(self).__name__} defines no losses()")

    def solve(self, batches: Iterable[Batch], stage: Solve) -> None:
        """A ``Solve`` step: every training image once, without augmentation, in batches; the method is in evaluation
        mode and no gradient is kept.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no solve()")

    def embed(self, batch: Batch, role: str) -> Tensor:
        """Descriptors (B, D) of a batch's pictures.

        role : "probe" or "gallery": several papers treat the two differently.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no embed()")

    def distance(self, probes: Tensor, gallery: Tensor) -> Tensor:
        """(Q, D), (G, D) -> (Q, G), smaller is more alike; Euclidean unless the paper says otherwise."""
        return pairwise_distances(probes.double(), gallery.double()).float()  # float32 would cancel: lib.evaluation

    def features(self, descriptors: Tensor) -> Tensor:
        """(B, D) -> (B, F): what the objective O compares by squared Euclidean distances (RIPR Eq. 2).

        The descriptors themselves, unless they carry more than features (sizes, weights): a method with a ``distance``
        of its own has to say, else TypeError.
        """
        if type(self).distance is not Method.distance:
            raise TypeError(
                f"{getattr(self, 'name', type(self).__name__)} compares descriptors by a distance of its own, so that "
                "they may hold more than features: say in features(descriptors) what the objective O compares"
            )
        return descriptors

    def first_weights(self) -> dict[str, str]:
        """Where sub-modules get their first weights: {part: source}, see ``Settings``."""
        return dict(self.settings.weights)

    @property
    def told_all(self) -> dict[str, Any]:
        """Settings that are not the defaults, and arguments, as JSON-able data: part of a run's identity."""
        return {"settings": describe(self.settings), "arguments": self.arguments}

    def recipe(self) -> dict:
        """All that ``setup`` decided, as data: part of the run's identity."""
        return {
            "canvas": list(self.canvas),
            "stages": describe(self.stages),
            "augmentation": describe(self.augmentation),
            "enlargement": self.enlargement,
        }


def _recording(init):
    """Wrap the constructor of somebody's own subclass: ``self.arguments`` holds its arguments, defaults included, so
    that a run's key knows them although they are in no ``Settings``. First weights that it passes on are a setting.
    """
    signature = inspect.signature(init)
    more = [p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]

    def wrapper(self, *args, **kwargs):
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        said = dict(list(bound.arguments.items())[1:])
        for name in more:
            said |= said.pop(name)
        weights = {"weights": said.pop("weights")} if "weights" in said else {}
        # the outermost constructor knows what the caller said; the inner ones add their own
        object.__setattr__(self, "arguments", plain(said) | getattr(self, "arguments", {}))
        init(self, *args, **kwargs)
        if "weights" not in self.told:
            self.arguments = plain(weights) | self.arguments

    wrapper.__signature__ = signature
    wrapper.__doc__ = init.__doc__
    return wrapper


def check_profile(profile: str) -> str:
    """The profile's name, or a ValueError that lists the known ones."""
    if profile not in PROFILES:
        raise ValueError(f"unknown profile {profile!r}; known: {', '.join(PROFILES)}")
    return profile
