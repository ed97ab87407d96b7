"""The seeded weights of `benchmarks/seeded.py`, under the name by which tests know them."""

from benchmarks.seeded import golden, seeded_input, seeded_state, seeded_tensor

__all__ = ["golden", "seeded_input", "seeded_state", "seeded_tensor"]
