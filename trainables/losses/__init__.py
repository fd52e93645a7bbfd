"""Terms of losses."""
