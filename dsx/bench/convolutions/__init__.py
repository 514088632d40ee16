"""The parts of the benchmark of convolutions."""
