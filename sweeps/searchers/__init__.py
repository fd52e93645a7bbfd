"""Which configuration is tried next. No Ray."""
