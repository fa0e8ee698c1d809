"""The structured output: what a logit adds by its own situation.

The last layer gives, beside a base logit for each token, a few hundred weights for the moment. A
*term* is a run of these weights and a rule that says which of them each token of a group adds: a
note-off adds the weight of its note's age, a note-on that of its interval from the last pitch, a
time shift that of the inter-onset time it would make. The rule is fixed, the weights are the
network's, so that a few numbers move many logits at once, and in the right places.

========  =====================================================================================
memory    the notes so far, exactly, and what followed when the last ones came before
buckets   of times, counts and differences
moments   what the rules look at, at many moments at once
rules     a term's rule for many moments: the reference
steps     the same for the one moment of an engine's step, each as seldom as it changes
stepping  the step itself: gathers the weights and adds them to the logits
scan      the same for the windows of a training, in C++
densities how usual the times are that a time shift leads to: the one term of real inputs
table     the terms: name, group, rows, rule, step
========  =====================================================================================
"""

from midirnn.terms.memory import NoteMemory
from midirnn.terms.stepping import StepMemory, TermStep
from midirnn.terms.table import OutputTerms, Term

__all__ = ["NoteMemory", "OutputTerms", "StepMemory", "Term", "TermStep"]
