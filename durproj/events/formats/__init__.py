"""Formats: what lines of other systems look like, and where they keep their key, type, id, time and data."""
