"""The interface's machinery: from a handler's signature come parsing, validation, rendering and documentation."""
