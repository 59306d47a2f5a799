"""What a battery is, and what is known of each."""
