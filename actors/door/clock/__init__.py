"""The platform's clock at the door."""
