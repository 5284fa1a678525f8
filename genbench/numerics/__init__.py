"""One copy of each formula: moments, neighbours, the trace of a root, log-mean-exp."""
