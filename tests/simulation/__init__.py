"""A deterministic simulation of the whole protocol: the layers' own logic over fake ports, one seeded source of chance.

Everything runs in one thread. Every call of a port is an *effect*; before each, the process may be killed, or paused
while others go on. What a run did is a function of its seed alone, so that a seed that fails replays.

====================  ================================================================================================
`plan`                what a seed is like: its size, and how often which fault strikes
`world`               the broker, the store, the clock, and who takes the next step
`process`             somebody who can be killed between any two effects
`ports`               producer, consumer, admin and files as one process sees them, with their faults
`speed`, `serving`,   the layers as they are, put together as their own bootstraps do it
`batch`
`engine`              trains by NumPy, in the place of Spark
`clients`             post, delete, forget, repeat, send what cannot be read, and read what they wrote
`oracle`              the slow, obvious answer, from `consistency.md` alone
`checks`              what must hold during a run, and at rest
`shortcuts`           what costs less time in a run than in earnest, and answers the same
`mutations`           each takes one rule away
====================  ================================================================================================
"""
