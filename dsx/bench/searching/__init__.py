"""Benchmark of searches: the same space searched by dsx and by bare Optuna."""
