"""The pages for people: the console, and the documentation to browse."""
