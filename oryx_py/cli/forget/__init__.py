"""``oryx forget``: forgets a user or an item, and proves what is left of one."""
