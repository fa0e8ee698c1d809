"""Output: the scheduler, the ledger of sounding notes, the pedal, and real-time priority."""
