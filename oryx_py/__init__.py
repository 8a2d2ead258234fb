"""A recommender that learns from a stream: what its three layers share."""
