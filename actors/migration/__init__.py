"""Migrations: resources that move, or are copied, from one platform to another."""
