"""A function for every row of a profile."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hakprof.errors import InputError
from hakprof.profile import Addresses, Image, ImageKind, Ints, Profile, distinct
from hakprof.symbols import special
from hakprof.symbols.demangle import readable
from hakprof.symbols.find import Located, locate
from hakprof.symbols.table import FunctionTable, function_table

MATTERS = 0.01
"""A file of another build is refused if it has at least this share, else its names are left out."""


@dataclass(frozen=True, slots=True)
class Named:
    """A function as it is shown. Nameless code of an image is one entry with an empty name."""

    name: str
    library: str  # the last part of the path
    image: int  # index into the profile's images
    start: int  # address in its file; 0 if nameless
    size: int


@dataclass(frozen=True, slots=True)
class Names:
    """Names for a profile."""

    function: Ints  # of each row of the profile
    functions: tuple[Named, ...]
    address: Addresses  # of each row, in its file
    located: tuple[Located, ...]  # of each image
    notes: tuple[str, ...]  # what could not be named, and why


def name_profile(profile: Profile) -> Names:
    """Name each row. Raises InputError if a file with a share that matters was rebuilt."""
    shares = np.bincount(profile.image, profile.weight, len(profile.images)) / (profile.total or 1)
    function = np.full(profile.image.size, -1)
    address = profile.offset.copy()
    functions: dict[Named, int] = {}
    located, notes = [], []
    for i, image in enumerate(profile.images):
        found = locate(image)
        located.append(found)
        if found.rebuilt and shares[i] >= MATTERS:
            raise InputError(
                f"{found.problem}; {100 * shares[i]:.0f} % of the recording lies in it",
                advice="record again",
            )
        rows = np.flatnonzero(profile.image == i)
        if found.code is not None:
            address[rows] = found.code.addresses(profile.offset[rows])
        try:
            table, note = _table(image, found)
        except InputError as error:
            table, note = None, str(error)
        if note:
            notes.append(note)
        function[rows] = _name_rows(i, image, table, address[rows], functions)
    return Names(function, tuple(functions), address, tuple(located), tuple(notes))


def _table(image: Image, found: Located) -> tuple[FunctionTable | None, str]:
    """Who knows the functions of an image, and what is missing."""
    if image.kind is ImageKind.FILE:
        table = function_table(found.names) if found.names else None
        return table, found.problem
    if image.kind is ImageKind.KERNEL:
        return special.kernel_table(image.build_id), ""
    if image.kind is ImageKind.VDSO:
        with tempfile.TemporaryDirectory(prefix="hakprof-vdso-") as folder:
            return special.vdso_table(image.build_id, Path(folder)), ""
    if image.kind is ImageKind.JIT:
        return special.jit_table(image), ""
    return None, ""


def _name_rows(
    index: int,
    image: Image,
    table: FunctionTable | None,
    addresses: Addresses,
    functions: dict[Named, int],
) -> Ints:
    found = table.find(addresses) if table else np.full(addresses.size, -1)
    library = image.path.rsplit("/", 1)[-1]
    result = np.empty(addresses.size, np.int64)
    rows = distinct(found)
    known = [table.function(int(one)) for one in rows if one >= 0] if table else []
    names = iter(zip(known, readable(one.name for one in known), strict=True))
    for one in rows:
        if one < 0:
            named = Named("", library, index, 0, 0)
        else:
            function, name = next(names)
            named = Named(name, library, index, function.start, function.size)
        result[found == one] = functions.setdefault(named, len(functions))
    return result
