"""The rotation of this platform's own certificate authority."""
