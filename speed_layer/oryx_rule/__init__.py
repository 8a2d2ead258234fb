"""The fold by Oryx 2's rule in place of the exact one (`speed.fold_in = "oryx"`): one step an interaction.

May import what is sent and the budget; `oryx2` takes its steps from here.
"""
