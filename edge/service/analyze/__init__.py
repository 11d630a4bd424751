# SPDX-License-Identifier: MIT
"""`edge analyze`: the idle-time unit, analysis by hand, and on a cluster.

One light parent watches (`unit`, `batch`), children that are as good as dead at any
moment do the work (`worker`), and what a child does is one function (`work`), whoever
asks for it.
"""
