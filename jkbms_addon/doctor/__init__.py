"""What helps to find out what is wrong on a bus: scan, capture, bytes in words, bundle. For commands and page alike."""
