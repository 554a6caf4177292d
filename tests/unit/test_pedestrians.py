"""The rendered people: the ray caster against brute force, determinism, and what the attributes promise."""

import numpy as np
import pytest
import torch

from lib.data.pedestrians import render_people, sample_identities
from lib.data.pedestrians.clothing import _pattern
from lib.data.pedestrians.identities import FINE, PATTERNS
from lib.data.pedestrians.raycast import FAR, Camera, Primitives, cast

SMALL = {"cameras": 2, "images_per_camera": 1, "seed": 3, "size": (64, 32)}


def looking_along_y(distance: float, height: int, width: int, field: float) -> Camera:
    one = torch.ones(1)
    rotation = torch.tensor([[[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]])  # right = x, down = -z, forward = y
    pixel = field / height
    return Camera(
        torch.tensor([[0.0, -distance, 0.0]]), rotation, -one * pixel * width / 2, -one * field / 2, one * pixel, one
    )


def random_capsules(rng: np.random.RandomState, count: int) -> tuple[Primitives, list[dict]]:
    shapes, described = [], []
    for _ in range(count):
        axis = rng.randn(3)
        z = axis / np.linalg.norm(axis)
        x = np.cross(z, rng.randn(3))
        x /= np.linalg.norm(x)
        aspect = rng.uniform(0.5, 1.3)
        shape = {
            "start": rng.uniform(-0.6, 0.6, 3), "x": x, "y": np.cross(z, x), "z": z, "aspect": aspect,
            "length": rng.uniform(0.05, 0.8), "r0": rng.uniform(0.08, 0.25), "r1": rng.uniform(0.08, 0.25),
        }  # fmt: skip
        described.append(shape)
        frame = np.stack((shape["x"], shape["y"] / aspect, shape["z"]))
        shapes.append((shape["start"], frame, shape["length"], shape["r0"], shape["r1"]))
    fields = [torch.tensor(np.array([s[i] for s in shapes]), dtype=torch.float32)[None] for i in range(5)]
    return Primitives(*fields, torch.ones(1, count, dtype=torch.bool), torch.ones(1, count)), described


def inside(points: np.ndarray, shape: dict) -> np.ndarray:
    """Is each point (N, 3) in the union of the tapered elliptic cone and its two end caps?"""
    offset = points - shape["start"]
    x, y, z = offset @ shape["x"], offset @ shape["y"] / shape["aspect"], offset @ shape["z"]
    radius = shape["r0"] + (shape["r1"] - shape["r0"]) * z / shape["length"]
    cone = (z >= 0) & (z <= shape["length"]) & (x**2 + y**2 <= radius**2)
    first = x**2 + y**2 + z**2 <= shape["r0"] ** 2
    second = x**2 + y**2 + (z - shape["length"]) ** 2 <= shape["r1"] ** 2
    return cone | first | second


@pytest.mark.parametrize("seed", range(4))
def test_the_ray_caster_finds_what_marching_along_the_ray_finds(seed):
    rng = np.random.RandomState(seed)
    height, width, distance = 24, 16, 4.0
    primitives, shapes = random_capsules(rng, 4)
    found, which = cast(primitives, looking_along_y(distance, height, width, 0.4), height, width)
    steps = np.arange(2.0, 6.0, 0.004)
    checked = 0
    for row in range(height):
        for column in range(width):
            x, down = ((column + 0.5) / height - 0.5 * width / height) * 0.4, ((row + 0.5) / height - 0.5) * 0.4
            points = np.array((0.0, -distance, 0.0)) + steps[:, None] * np.array((x, 1.0, -down))
            hits = np.stack([inside(points, shape) for shape in shapes])
            t, number = float(found[0, row, column]), int(which[0, row, column])
            if not hits.any():
                # A glancing ray may touch less than one step of a body.
                assert t == FAR or not hits[:, np.abs(steps - t) > 0.1].any()
                continue
            first = steps[hits.any(0).argmax()]
            if number >= 0 and abs(t - first) <= 0.006:
                checked += 1
                continue
            assert hits.sum() < 20, f"ray ({row}, {column}): marching says {first:.3f}, the caster {t:.3f}"
    assert checked > 60


def test_the_same_seed_gives_the_same_pictures_in_whatever_batches():
    whole = render_people(4, batch=3, **SMALL)
    again = render_people(4, batch=32, **SMALL)
    part = render_people(2, first_identity=2, **SMALL)
    for first, second in zip(whole[:2], again[:2], strict=True):
        assert np.abs(first.astype(int) - second.astype(int)).max() <= 1  # sums of another length may round once
    assert np.abs(whole[0][4:].astype(int) - part[0].astype(int)).max() <= 1
    assert list(whole[2]["pid"][4:]) == list(part[2]["pid"])
    other = render_people(4, **SMALL | {"seed": 4})
    assert np.abs(whole[0].astype(int) - other[0].astype(int)).mean() > 10


def test_every_image_shows_one_person_with_mask_and_table():
    images, masks, table = render_people(6, **SMALL)
    assert images.shape == (12, 64, 32, 3) and images.dtype == np.uint8
    assert masks.shape == (12, 64, 32) and masks.dtype == bool
    share = masks.mean((1, 2))
    assert (share > 0.08).all() and (share < 0.75).all()
    assert table.groupby("pid").size().eq(2).all() and set(table["cam"]) == {"c1", "c2"}
    assert table["visible"].between(0, 1).all() and table["visible"].mean() > 0.8
    assert table["yaw"].between(-np.pi, np.pi).all()


def test_any_size_shows_the_same_scene():
    small, _, _ = render_people(2, **SMALL)
    large, _, _ = render_people(2, **SMALL | {"size": (256, 128)})
    shrunk = torch.nn.functional.avg_pool2d(torch.from_numpy(large).permute(0, 3, 1, 2).float(), 4)
    difference = (shrunk.permute(0, 2, 3, 1).numpy() - small).ravel()
    assert np.corrcoef(shrunk.permute(0, 2, 3, 1).numpy().ravel(), small.ravel())[0, 1] > 0.9
    assert abs(difference.mean()) < 12


def test_twins_share_what_is_coarse_and_differ_in_what_is_fine():
    table = sample_identities(400, seed=0).set_index("pid")
    twins = table[table["twin"] != ""]
    assert len(twins) / len(table) > 1 / 3
    coarse = [c for c in table.columns if c not in FINE and c not in ("identity", "twin")]
    for pid, row in twins.iterrows():
        other = table.loc[row["twin"]]
        assert other["twin"] == pid
        assert all(row[c] == other[c] for c in coarse)
        assert any(row[c] != other[c] for c in FINE)


def test_an_identity_does_not_depend_on_who_else_is_drawn():
    whole, part = sample_identities(10, seed=5), sample_identities(4, seed=5, first=6)
    assert whole.iloc[6:].reset_index(drop=True).equals(part)


def test_a_pool_shows_each_person_to_some_of_its_cameras():
    _, _, table = render_people(5, cameras=3, camera_pool=9, images_per_camera=1, seed=1, size=(32, 16))
    assert table.groupby("pid")["cam"].nunique().eq(3).all()
    assert table["cam"].nunique() > 3
    with pytest.raises(ValueError, match="camera_pool=2 is smaller"):
        render_people(1, cameras=3, camera_pool=2)
    with pytest.raises(ValueError, match="at least one"):
        render_people(0)


def test_stripes_alternate_with_their_period():
    height = torch.arange(0, 0.4, 0.001)
    ones = torch.ones_like(height)
    stripes = _pattern(ones * PATTERNS.index("stripes"), 0 * ones, height, ones * 0.08, 0 * ones, ones * 0.5, 0 * ones)
    assert stripes[:39].min() == 1 and stripes[41:79].max() == 0 and stripes[81:119].min() == 1
