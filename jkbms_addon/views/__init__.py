"""What is shown, for any sink."""
