"""Bounds and complete search: which images no perturbation inside the threat can break.

`program` reads a network as steps, `linear` and `activations` say how each step is bounded, `region` is the set of
images, and `bounds` joins interval bounds and CROWN.  `encoding` turns steps into rows of a solver's model, `cp_sat`
and `milp` search completely, `complete` asks them rival by rival, and `exact` is the attack that joins all of it.
"""
