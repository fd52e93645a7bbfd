"""What a sweep writes down and reads again: its record, its journal, what can be used once more. No torch, no Ray."""
