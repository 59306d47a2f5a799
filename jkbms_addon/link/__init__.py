"""Links: input and output without meaning."""
