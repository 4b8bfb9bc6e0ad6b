"""The social contract between platforms: its versions, their exact text and their digests."""
