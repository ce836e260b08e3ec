"""What tests are made with: databases, servers, values."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[3]
"""This checkout."""
