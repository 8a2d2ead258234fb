"""This machine: its cores, its memory, room on its disks, and where its temporary files lie.

Imports no other room.
"""
