"""MLlib's alternating least squares on a generation's files: the plain reference, which shuffles its factors."""
