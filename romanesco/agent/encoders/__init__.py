"""Encoders: one observation -> a vector [D]. `Encoder(space, *, key, <settings>)`, then `encoder(obs)`."""
