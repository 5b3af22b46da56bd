"""The usage of each command: its options, its help, an example.

A module here is named as its command is, and imports nothing that takes time: what the
command does is in the module of that name in ``commands``, imported when it runs.
"""
