"""Paths as LD_PRELOAD can hold them.

The dynamic loader splits that list at blanks and colons, expands `$LIB` and the like in it, and
knows no quotes; qemu's `-E` and `-plugin` split at commas besides.
"""

import atexit
import functools
import re
import shutil
import tempfile
from pathlib import Path

from hakprof.errors import StoreError

_BREAKER = re.compile(r"[\s:;,$]")


@functools.cache
def preloadable(library: Path) -> str:
    """The path of `library` where it can stand in the list, or of a link to it where not.

    Links live as long as this process. StoreError where none can be made.
    """
    if not _BREAKER.search(str(library)):
        return str(library)
    try:
        folder = tempfile.mkdtemp(prefix="hakprof-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        link = Path(folder, _BREAKER.sub("_", library.name))
        link.symlink_to(library.absolute())
    except OSError as error:
        raise _no_link(library, str(error)) from error
    if _BREAKER.search(folder):
        raise _no_link(library, f"nor {folder}, where a link would be")
    return str(link)


def _no_link(library: Path, why: str) -> StoreError:
    return StoreError(
        f"LD_PRELOAD cannot hold the path {str(library)!r}: {why}",
        advice="set TMPDIR to a folder that can be written and has neither blank nor colon",
    )
