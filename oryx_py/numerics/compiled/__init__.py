"""What kernels are compiled of, and how: loops, vector instructions, aligned arrays. May import `arrays` alone."""
