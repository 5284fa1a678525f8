"""The last that the server imports before workers are forked from it: what it holds by now is nobody's to collect.

The garbage collector of a worker would look at the half a million objects that torch is made of, again and again, and
the marks that it leaves in them would have every page that they lie on copied.
"""

import gc

gc.freeze()
