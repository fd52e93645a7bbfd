"""What a sweep has taught: tables, figures, the report. Reads files; no torch, no ray."""
