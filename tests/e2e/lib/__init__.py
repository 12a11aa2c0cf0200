"""What the end-to-end tests share. Python's own library only: a bare Debian runs them."""
