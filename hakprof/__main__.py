"""`python -m hakprof` is the same as `hakprof`."""

import sys

from hakprof.cli.main import main

sys.exit(main())
