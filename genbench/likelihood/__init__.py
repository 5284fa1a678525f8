"""Likelihoods: exact, importance-weighted, dequantised, variational; each says which it is."""
