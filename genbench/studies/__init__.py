"""The benchmark tested itself: audit, calibration of its intervals, profiling of its kernels."""
