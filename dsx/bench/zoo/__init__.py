"""The zoo: public architectures that `dsx bench networks` examines, and how it examines them."""
