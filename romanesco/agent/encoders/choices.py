"""What can be chosen of encoders that attend; needs no JAX."""

GLIMPSES = ("before", "after")  # the tokens are handed over to a memory, which reads them with a query of its own
POOLS = ("attention", "mean", "summary", *GLIMPSES)
CONTROLS = ("none", "uniform", "frozen_qk", "no_residual", "mlp_matched")
