"""One input shared by several speed processes: who owns what of it, and what they say to and hear of each other.

May import what is sent (`publishing`) and the levels and budget of `solving`.
"""
