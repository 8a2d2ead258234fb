"""The real servers on one machine: Java, jars, the embedded broker."""
