"""The difference of two releases, told so that it is safe to read.

`diff` is the way in and compares the payloads; `walk` pairs rows, `tablediff` counts what differs, `versions` says how
large a step the number of a release must take.
"""
