"""The order of events: times, sequence numbers and their gaps, duplicates."""
