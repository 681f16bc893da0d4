"""Bounds and complete search: which images no perturbation inside the threat can break.

`program` reads a network as steps, `linear` and `activations` say how each step is bounded, `region` is the set of
images, `bounds` joins interval bounds and CROWN, `encoding` turns steps into rows of a solver's model, `switches` (CP-SAT)
and `mixed_integer` (HiGHS) search completely, and `exact` is the attack that joins them.
"""
