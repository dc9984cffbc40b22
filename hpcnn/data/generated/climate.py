"""Maps of an atmosphere that is made up: 16 fields, in which tropical cyclones and atmospheric rivers are to be found.

No simulation: each field is a mean by latitude, waves by chance, and shapes laid over both. The shapes change several
fields at once, as in nature: a cyclone lowers the pressure, turns the wind around itself, is moist and warm within; a
river carries moisture along a narrow wind. Others look like them in some fields and are background: storms of middle
latitudes with a cold core, moist air without wind, wind without moisture, showers. So no threshold of one field does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcnn.data.stream.source import Indices, Source, Spec
from hpcnn.util.types import Array, Json
from hpcnn.zoo import climate as words
from hpcnn.zoo.catalogue import describe, options_of

Field = npt.NDArray[np.float32]
Fields = dict[str, Field]

BACKGROUND, CYCLONE, RIVER = range(3)

# Mean and standard deviation of each channel, by which standardized fields are moved and divided: of 40 maps, rounded.
SCALES: dict[str, tuple[float, float]] = {
    "TMQ": (16.3, 15.0),
    "U850": (1.57, 7.1),
    "V850": (0.0251, 4.9),
    "UBOT": (1.12, 5.1),
    "VBOT": (0.0188, 3.5),
    "QREFHT": (0.00572, 0.0054),
    "PS": (100_100.0, 820.0),
    "PSL": (101_000.0, 780.0),
    "T200": (218.0, 2.3),
    "T500": (246.0, 11.0),
    "PRECT": (1.66e-08, 2.9e-08),
    "TS": (280.0, 17.0),
    "TREFHT": (279.0, 17.0),
    "Z1000": (85.2, 65.0),
    "Z200": (11_520.0, 400.0),
    "ZBOT": (60.7, 1.7),
}

# How many of each shape a map has on average (Poisson).
_CYCLONES, _RIVERS, _STORMS, _MOIST, _JETS, _SHOWERS = 3.0, 4.5, 4.0, 3.0, 3.0, 4.0
_WAVES = 24
# How much of a river the truth calls one: half of what its middle is.
_EDGE = 0.5
# Pascals a metre of height near the ground.
_PASCALS_PER_METRE = 12.0


class Climate(Source):
    """``count`` maps, each computed by itself from the seed, the part (training or test) and its number."""

    cheap_labels = True

    def __init__(self, size: tuple[int, int], count: int, seed: int, part: int, *, standardize: bool = True) -> None:
        self.x = Spec((*size, len(words.CHANNELS)), np.dtype(np.float32))
        self.y = Spec(size, np.dtype(np.uint8))
        self.classes, self._count = len(words.CLASSES), count
        self._seed, self._part = seed, part
        mean, deviation = np.array([SCALES[name] for name in words.CHANNELS], np.float32).T
        self._mean, self._factor = (mean, 1 / deviation) if standardize else (0 * mean, 1 + 0 * mean)
        height, width = size
        self._lat = (90 - (np.arange(height, dtype=np.float32) + 0.5) * np.float32(180 / height))[:, None]
        self._lon = ((np.arange(width, dtype=np.float32) + 0.5) * np.float32(360 / width))[None, :]

    def __len__(self) -> int:
        return self._count

    def read(self, indices: Indices) -> tuple[Array, Array]:
        """Return the fields and the class of each pixel of these maps."""
        x = np.empty((len(indices), *self.x.shape), np.float32)
        y = np.empty((len(indices), *self.y.shape), np.uint8)
        for row, index in enumerate(np.asarray(indices, np.int64)):
            fields = self._means(self._numbers(int(index), 1))
            y[row] = self._shapes(fields, self._numbers(int(index), 0))
            for channel, name in enumerate(words.CHANNELS):
                x[row, ..., channel] = (fields[name] - self._mean[channel]) * self._factor[channel]
        return x, y

    def labels(self, indices: Indices) -> Array:
        """Return the class of each pixel alone, which takes no fields."""
        y = np.empty((len(indices), *self.y.shape), np.uint8)
        for row, index in enumerate(np.asarray(indices, np.int64)):
            y[row] = self._shapes(None, self._numbers(int(index), 0))
        return y

    def where(self, index: int) -> str:
        """Return how a map is called."""
        return f"{('training', 'test')[self._part]} map {index} of seed {self._seed}"

    def _numbers(self, index: int, stream: int) -> np.random.Generator:
        """Return random numbers of a map: one stream for its shapes, another for its waves."""
        key = [self._seed, 2 * index + self._part]
        return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, stream]))

    def _shapes(self, fields: Fields | None, chance: np.random.Generator) -> Array:
        """Lay all shapes over the fields, if there are any; return the class of each pixel."""
        truth = np.full(self.y.shape, BACKGROUND, np.uint8)
        for _ in range(chance.poisson(_RIVERS)):
            truth[self._filament(fields, chance, moist=1.0, wind=1.0) > _EDGE] = RIVER
        for _ in range(chance.poisson(_CYCLONES)):
            truth[self._vortex(fields, chance, latitudes=(10, 30), radius=(3, 5), warm=True)] = CYCLONE
        if fields is None:
            return truth
        for _ in range(chance.poisson(_MOIST)):
            self._filament(fields, chance, moist=1.0, wind=0.0)
        for _ in range(chance.poisson(_JETS)):
            self._filament(fields, chance, moist=0.0, wind=1.0)
        for _ in range(chance.poisson(_SHOWERS)):
            self._shower(fields, chance)
        for _ in range(chance.poisson(_STORMS)):
            self._vortex(fields, chance, latitudes=(40, 60), radius=(4, 7), warm=False)
        np.maximum(fields["PRECT"], 0, out=fields["PRECT"])
        np.maximum(fields["TMQ"], 0.5, out=fields["TMQ"])
        return truth

    def _waves(self, chance: np.random.Generator, largest: int) -> Field:
        """Return smooth noise of standard deviation 1: products of waves along both axes, closed around the globe."""
        east = chance.integers(1, largest + 1, _WAVES)
        south = chance.uniform(1, largest, _WAVES)
        shifts = chance.uniform(0, 2 * np.pi, (2, _WAVES))
        sizes = chance.standard_normal(_WAVES)
        rows = np.cos(np.radians(self._lat) * south + shifts[0]) * sizes
        columns = np.cos(np.radians(self._lon) * east[:, None] + shifts[1][:, None])
        waves: Field = (2 / np.sqrt(_WAVES) * rows @ columns).astype(np.float32)
        return waves

    def _means(self, chance: np.random.Generator) -> Fields:
        """Return the fields without any shape: means by latitude, and waves."""
        lat = self._lat
        distance = np.abs(lat)
        humid, warm, heavy, east, north = (self._waves(chance, largest) for largest in (9, 6, 8, 8, 8))
        tropics = np.exp(-((lat / 28) ** 2))
        jet = np.exp(-(((distance - 42) / 14) ** 2))
        tmq = (4 + 40 * tropics) * np.exp(0.22 * humid)
        ground = 253 + 48 * np.cos(np.radians(lat)) ** 1.5 + 3.5 * warm
        level = 101_300 - 1_400 * np.exp(-(((distance - 62) / 13) ** 2)) + 700 * np.exp(-(((distance - 30) / 11) ** 2))
        level = level + 420 * heavy * (0.4 + jet)
        wind = 9 * jet - 5 * tropics
        u850, v850 = wind + 4 * east, 3.5 * north
        lowest = np.exp(-(((humid - 2) / 0.8) ** 2))
        return {
            "TMQ": tmq,
            "U850": u850,
            "V850": v850,
            "UBOT": 0.7 * u850,
            "VBOT": 0.7 * v850,
            "QREFHT": 3.6e-4 * tmq,
            "PS": level - 900 + 250 * warm,
            "PSL": level,
            "T200": 219 - 5 * tropics + 1.5 * warm,
            "T500": 238 + 30 * tropics + 2 * warm,
            "PRECT": 3e-8 * tropics * (1 + lowest),
            "TS": ground,
            "TREFHT": ground - 1.0,
            "Z1000": (level - 100_000) / _PASCALS_PER_METRE,
            "Z200": 11_200 + 1_150 * tropics + 25 * warm,
            "ZBOT": 60 + 0.1 * (ground - 273),
        }

    def _vortex(
        self,
        fields: Fields | None,
        chance: np.random.Generator,
        *,
        latitudes: tuple[float, float],
        radius: tuple[float, float],
        warm: bool,
    ) -> npt.NDArray[np.bool_]:
        """Lay a vortex over the fields; return its pixels. radius: of the largest wind, in degrees."""
        half = _half(chance)
        lat, lon = half * chance.uniform(*latitudes), chance.uniform(0, 360)
        size, strength = chance.uniform(*radius), chance.uniform(0.6, 1.0)
        north = self._lat - np.float32(lat)
        east = self._east_of(lon) * np.float32(math.cos(math.radians(lat)))
        near = (north**2 + east**2) / np.float32(size**2)
        within: npt.NDArray[np.bool_] = near < 1 if near.min() < 1 else near <= near.min()
        if fields is None:
            return within
        core = np.exp(-near / 2)
        turning = np.float32(half * (38 if warm else 24) * strength / size) * np.exp((1 - near) / 2)
        self._add_wind(fields, -turning * north, turning * east)
        self._add_pressure(fields, -np.float32((4_500 if warm else 3_000) * strength) * core)
        heat = 1 if warm else -1
        fields["T500"] += np.float32(3.5 * heat * strength) * core
        fields["T200"] += np.float32(2.5 * heat * strength) * core
        fields["Z200"] += np.float32(60 * heat * strength) * core
        self._add_water(fields, np.float32((17 if warm else 6) * strength) * core)
        fields["PRECT"] += np.float32((3e-7 if warm else 1.2e-7) * strength) * core
        return within

    def _filament(self, fields: Fields | None, chance: np.random.Generator, *, moist: float, wind: float) -> Field:
        """Lay a long and narrow shape over the fields, from the subtropics polewards; return how much it is, 0..1."""
        half = _half(chance)
        begin, length = chance.uniform(14, 24), chance.uniform(20, 32)
        slope, bend = chance.uniform(0.6, 2.2), chance.uniform(-0.02, 0.02)
        start, width, strength = chance.uniform(0, 360), chance.uniform(3, 4.5), chance.uniform(0.75, 1.0)
        along = half * self._lat - np.float32(begin)
        line = start + slope * along + bend * along * (along - length)
        tangent = slope + bend * (2 * along - length)
        across = self._east_of(line) * np.cos(np.radians(self._lat)) / np.sqrt(1 + tangent**2)
        ends = np.clip(np.minimum(along, length - along) / 4, 0, 1)
        much: Field = (np.exp(-((across / width) ** 2)) * ends).astype(np.float32)
        if fields is None:
            return much
        speed = np.float32(17 * wind * strength) * much / np.sqrt(1 + tangent**2)
        self._add_wind(fields, speed * tangent, half * speed)
        self._add_water(fields, np.float32(19 * moist * strength) * much)
        fields["PRECT"] += np.float32(6e-8 * moist * (0.3 + wind)) * much
        fields["T500"] += np.float32(1.0 * moist) * much
        return much

    def _shower(self, fields: Fields, chance: np.random.Generator) -> None:
        """Lay a moist spot without wind over the fields, in the tropics."""
        lat, lon, size = chance.uniform(-25, 25), chance.uniform(0, 360), chance.uniform(3, 6)
        near = ((self._lat - np.float32(lat)) ** 2 + self._east_of(lon) ** 2) / np.float32(size**2)
        core = np.exp(-near / 2)
        self._add_water(fields, np.float32(chance.uniform(8, 18)) * core)
        fields["PRECT"] += np.float32(2.5e-7) * core

    def _east_of(self, lon: Any) -> Field:
        """Return the degrees of each column east of a longitude, -180..180."""
        east: Field = ((self._lon - lon + 180) % 360 - 180).astype(np.float32)
        return east

    def _add_wind(self, fields: Fields, east: Field, north: Field) -> None:
        for name, wind in (("U", east), ("V", north)):
            fields[f"{name}850"] = fields[f"{name}850"] + wind
            fields[f"{name}BOT"] = fields[f"{name}BOT"] + np.float32(0.75) * wind

    def _add_pressure(self, fields: Fields, pascals: Field) -> None:
        for name in ("PS", "PSL"):
            fields[name] = fields[name] + pascals
        fields["Z1000"] = fields["Z1000"] + pascals / np.float32(_PASCALS_PER_METRE)

    def _add_water(self, fields: Fields, water: Field) -> None:
        fields["TMQ"] = fields["TMQ"] + water
        fields["QREFHT"] = fields["QREFHT"] + np.float32(2e-4) * water


def _half(chance: np.random.Generator) -> float:
    """Return 1 for the northern half of the globe, or -1 for the southern, by chance."""
    return 1.0 if chance.random() < 0.5 else -1.0


def sources(
    arguments: Mapping[str, Json], samples: int | None, test_samples: int | None
) -> tuple[Source, Source, dict[str, Any]]:
    """Return training maps, test maps, and the facts about the set. Raises UsageError for wrong options."""
    entry, options = describe("climate"), options_of("climate", arguments)
    size = words.size_of(options)
    train, test = (
        Climate(size, count, options["seed"], part, standardize=options["standardize"])
        for part, count in enumerate((samples or entry.train, test_samples or entry.test))
    )
    return train, test, {"description": entry.description, "source": f"{entry.source}, seed {options['seed']}"}
