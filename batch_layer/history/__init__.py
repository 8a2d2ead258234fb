"""The history's rows in files, imports into it, and the generation on which the next one is folded.

What is taken out of the history, or written anew, is the business of `housekeeping`. Imports `folding` and `host`.
"""
