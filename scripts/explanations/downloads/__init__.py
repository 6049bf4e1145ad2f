"""Downloads: addresses, what servers answer, files by their hashes."""
