"""What is sent: the scheduler, the ledger of sounding notes, the pedal and built-in audio."""
