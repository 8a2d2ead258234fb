"""The speed layer on the models of an Oryx 2 batch layer (`update.dialect = "oryx2"`): no registry, no epochs.

A loop of its own beside `speed_layer.layer`. May import the steps of `oryx_rule`, publishing and telemetry.
"""
