"""Doing again in a target what the oplog of a source says.

``window``: which entries count, and what became visible with them. ``naming``: what things are called in the target.
``state``: what there is in the target, followed through the commands (``commands``, ``indexes``, ``views``).
``parking``: where collections wait for a name that is restored. ``permission``: may the account replay? ``counting``:
how many records are there in the end.
``writing`` and ``batches`` do it; ``running`` drives them.
"""
