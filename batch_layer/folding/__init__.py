"""What tasks do with rows and pairs, in Arrow's columns and bounded memory: read, weigh, find repeats, fold, number.

Nothing here knows Spark or another room; whoever runs tasks gives them these functions.
"""
