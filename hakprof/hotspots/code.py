"""All profiles of a recording in one table of code addresses, named and attributed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from hakprof.errors import InputError
from hakprof.hotspots import stages
from hakprof.hotspots.recording import Source
from hakprof.profile import Floats, Image, ImageKind, Ints, Profile
from hakprof.symbols.lines import Chain, inline_chains
from hakprof.symbols.naming import Named, Names, name_profile
from hakprof.symbols.table import has_symbols


@dataclass(frozen=True)
class Code:
    """One row an address. `weights[i]` is the column of profile i of all sources together."""

    sources: tuple[Source, ...]
    table: Profile
    weights: Floats  # [profiles, rows]
    rows: tuple[Ints, ...]  # of each profile: its rows in this table
    names: Names
    _chains: dict[int, Chain] = field(default_factory=dict)

    def column(self, source: int) -> Floats:
        """Weights of all profiles of a source together."""
        sums: Floats = self.weights[self.profiles_of(source)].sum(axis=0)
        return sums

    def profiles_of(self, source: int) -> slice:
        """Which profiles a source has."""
        first = sum(len(s.profiles) for s in self.sources[:source])
        return slice(first, first + len(self.sources[source].profiles))

    def function(self, row: int) -> Named:
        """The function of a row."""
        return self.names.functions[int(self.names.function[row])]

    def chains(self, rows: Sequence[int] | Ints) -> list[Chain]:
        """Inlined calls of rows, () where nobody knows. Asked for once for each."""
        missing = [int(row) for row in rows if int(row) not in self._chains]
        by_image: dict[int, list[int]] = {}
        for row in missing:
            by_image.setdefault(int(self.table.image[row]), []).append(row)
        for image, own in by_image.items():
            self._chains.update(zip(own, self._ask(image, own), strict=True))
        return [self._chains[int(row)] for row in rows]

    def _ask(self, image: int, rows: list[int]) -> list[Chain]:
        found = self.names.located[image].names
        if found is None:
            return [()] * len(rows)
        try:
            return inline_chains(found, [int(self.names.address[row]) for row in rows])
        except InputError:
            return [()] * len(rows)  # lines are a refinement; the note says that they are missing

    @cached_property
    def stage(self) -> list[str]:
        """The stage of each row."""
        libraries = [image.path.rsplit("/", 1)[-1] for image in self.table.images]
        maps = [stages.map_of(library) for library in libraries]
        asked = [row for row, image in enumerate(self.table.image) if maps[int(image)]]
        chains = dict(zip(asked, self.chains(asked), strict=True))
        return [self._stage(row, maps, chains.get(row, ())) for row in range(self.table.image.size)]

    def _stage(self, row: int, maps: Sequence[stages.StageMap | None], chain: Chain) -> str:
        image = int(self.table.image[row])
        found = maps[image]
        if self.table.images[image].kind is ImageKind.KERNEL:
            return stages.KERNEL
        if found is None:
            return stages.PROGRAM
        function = self.function(row).name
        stage = found.find(function, chain)
        if stage.startswith(stages.ENTRY) and not chain and self._is_stripped(image):
            return f"{found.name}: inside {function} (stripped: no stages)"
        if stage:
            return f"{found.name}: {stage}"
        return f"{found.name}: {stages.UNATTRIBUTED}" if found.whole else stages.PROGRAM

    def _is_stripped(self, image: int) -> bool:
        """Whether a file has no names for what is inlined or not exported."""
        names = self.names.located[image].names
        return names is None or not (names.has_debug_info or has_symbols(names))


def build(sources: Sequence[Source]) -> Code:
    """Merge, name and attribute. Raises InputError where a file that matters was rebuilt."""
    profiles = [profile for source in sources for profile in source.profiles]
    images: dict[Image, int] = {}
    numbers = [
        np.array([images.setdefault(i, len(images)) for i in profile.images], np.int64)
        for profile in profiles
    ]
    image = np.concatenate([n[p.image] for n, p in zip(numbers, profiles, strict=True)])
    offset = np.concatenate([profile.offset for profile in profiles])
    order = np.lexsort((offset, image))
    fresh = np.ones(order.size, np.bool_)
    fresh[1:] = (np.diff(image[order]) != 0) | (np.diff(offset[order]) != 0)
    row = np.empty(order.size, np.int64)
    row[order] = np.cumsum(fresh) - 1
    size = int(fresh.sum())
    weights = np.zeros((len(profiles), size))
    rows, at = [], 0
    for i, profile in enumerate(profiles):
        own = row[at : at + profile.image.size]
        weights[i, own] = profile.weight
        rows.append(own)
        at += profile.image.size
    table = replace(
        profiles[0],
        images=tuple(images),
        image=image[order][fresh],
        offset=offset[order][fresh],
        weight=_comparable(weights),
        samples=np.zeros(size, np.int64),
        stacks=None,
    )
    return Code(tuple(sources), table, weights, tuple(rows), name_profile(table))


def _comparable(weights: Floats) -> Floats:
    """Each row's mean share: what decides whether a file matters."""
    totals = weights.sum(axis=1, keepdims=True)
    shares: Floats = (weights / np.where(totals > 0, totals, 1)).mean(axis=0)
    return shares
