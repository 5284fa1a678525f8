"""`PYTHONPATH=tests python -m fuzz`: see `fuzzing.py`."""

import sys

from fuzz.fuzzing import main

sys.exit(main())
