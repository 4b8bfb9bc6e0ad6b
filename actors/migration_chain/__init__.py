"""Chains of migrations: one resource from platform to platform, each hop carried out by who then holds it."""
