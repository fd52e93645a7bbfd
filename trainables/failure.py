"""How a trial fails by its own hand. No torch."""

from __future__ import annotations

from enum import StrEnum


class Failure(StrEnum):
    """Why a trial ended that threw."""

    ERROR = "ERROR"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
