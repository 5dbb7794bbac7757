"""Pictures on the host: data sets, their split, and decoding them only once."""
