"""Where generations are, and copies of remote ones on this host; an Oryx 2 model's files. Imports `file_systems`."""
