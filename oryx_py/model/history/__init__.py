"""The history's log: which files of rows there are, and which offsets of the input they cover."""
