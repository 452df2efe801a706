"""What the setting `precision` means: of matrix products alone, all numbers that are kept are float32. Needs no JAX."""

MATMULS = {"float32": "float32", "tf32": "tensorfloat32", "bfloat16": "bfloat16"}  # JAX's names
OFF_POLICY = {"float32": 1e-4, "tf32": 1e-2, "bfloat16": 1e-2}  # the alarm: above it, acting and replay disagree
