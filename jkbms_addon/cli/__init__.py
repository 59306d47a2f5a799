"""The commands beside ``run``, one small file each."""
