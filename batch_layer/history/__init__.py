"""What is done to the history as a whole: imports, exports, compaction, retention."""
