"""The structured output: what each token's logit gains from the musical situation.

Besides a base logit for each token, the last layer outputs a few hundred weights. A *term* is a run
of these weights and a rule that says which of them each token of a group adds to its logit: a
note-off adds the weight of its note's age, a note-on that of its interval from the last pitch, a
time shift that of the inter-onset time it would make. The rules are fixed and the network computes
the weights, so that a few numbers move many logits at once, and in the right places.

========  =====================================================================================
memory    the notes so far, exactly, and what followed earlier occurrences of the last ones
buckets   buckets of times, counts and differences
moments   what the rules look at, for many moments at once
rules     each term's rule for many moments: the reference
steps     the same for the single moment of an engine's step, computed only when it changes
stepping  the step itself: gathers the weights and adds them to the logits
scan      the indices for training windows, in C++ if possible
densities how frequent the times that a time shift makes were lately: real inputs, no indices
table     the terms: name, group, rows, rule, step
========  =====================================================================================
"""

from midirnn.terms.memory import NoteMemory
from midirnn.terms.stepping import StepMemory, TermStep
from midirnn.terms.table import OutputTerms, Term

__all__ = ["NoteMemory", "OutputTerms", "StepMemory", "Term", "TermStep"]
