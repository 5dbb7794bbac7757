"""Models that learn on the device: a backward pass in builtin operators, no Flex."""
