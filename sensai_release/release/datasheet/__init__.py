"""The datasheet: questions, answers, the facts they stand on, and what is held against them.

`sheet` is the way in; `check` says what stops a release, `pages` how people see it.
"""
