"""Remembered answers to requests that carried an `Idempotency-Key`."""
