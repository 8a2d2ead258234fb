"""The best of many scores, how good a ranked list is, and how far a mean may be from what it estimates."""
