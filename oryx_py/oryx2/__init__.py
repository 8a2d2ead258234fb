"""What is needed to serve, and go on from, the models of an Oryx 2 batch layer: read, never written. Pure."""
