"""Training beside others: speed, quality and memory of our trainer, of Spark MLlib's and of benfred/implicit's ALS."""
